"""Alpaca as YAML names it; the client library is imported only when the account is connected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import pandas as pd
from pydantic import Field

from quant_pipeline.market.sources.alpaca_addresses import DATA_HOST, checked_address
from quant_pipeline.trading.broker_records import TimeInForce
from quant_pipeline.trading.brokers.adapter import BrokerAdapter, Money, Opening, Updates
from quant_pipeline.trading.execution_capability import AuctionOrders, ExecutionCapability
from quant_pipeline.trading.market_listener import MarketListener, MarketStream
from quant_pipeline.trading.ports import Broker

HOSTS = {"paper": "paper-api.alpaca.markets", "live": "api.alpaca.markets"}

STREAM_HOST = "stream.data.alpaca.markets"
FREE_SYMBOLS = 30
"""Symbols of a stream in Alpaca's free plan; one more is answered by error 405, symbol limit exceeded."""

CAPABILITY = ExecutionCapability(
    broker="Alpaca",
    times_in_force={
        "open": (TimeInForce.DAY, TimeInForce.OPENING),
        "close": (TimeInForce.CLOSING,),
    },
    # "OPG orders submitted after 9:28am but before 7:00pm ET will be rejected." "CLS orders submitted after 3:50pm but
    # before 7:00pm ET will be rejected." (https://docs.alpaca.markets/docs/orders-at-alpaca, Time in Force.) On a half
    # day the book for the closing auction is closed ten minutes before that close.
    auctions={
        TimeInForce.OPENING: AuctionOrders("open", pd.Timedelta(hours=14, minutes=30), pd.Timedelta(minutes=2)),
        TimeInForce.CLOSING: AuctionOrders("close", pd.Timedelta(hours=14, minutes=30), pd.Timedelta(minutes=10)),
    },
)
"""Alpaca sends no order for a session's average price."""


class AlpacaAdapter(BrokerAdapter):
    """An account at Alpaca: which one, and how patiently it is asked.

    Attributes
    ----------
    kind
        ``paper`` or ``live``; each has its own host and its own keys (credentials ``alpaca_paper``, ``alpaca_live``).
    url
        Another address: only a loopback one, for rehearsals.
    feed
        Where last trades are looked for: ``iex`` is free and has the trades of one exchange only, ``sip`` has all.
    connect_seconds, read_seconds
        How long to wait for a connection and for an answer.
    requests_a_minute
        Budget; Alpaca allows 200 for an account.
    max_wait_seconds
        How long a request may wait for the budget before it is given up.
    max_read_attempts, read_pause_seconds
        How often a question (never an order) is asked, and the pause before the second time; it doubles.
    trade_updates
        Whether the account's stream of trade updates cuts the pauses between polls short, so that fills are collected
        within a moment. An account has one such connection; switch it off where another program needs it.
    max_mute_seconds
        A stream of market data that says nothing for so long is connected again.
    max_stream_symbols
        Instruments that the stream of market data is asked for; of more, the first ones, which are those held. null
        takes 30 of the feed ``iex``, which is what the free plan lets through, and all of ``sip``.
    """

    capability = CAPABILITY
    key_names = ("api_key", "secret_key")
    renamed: ClassVar[Mapping[str, str]] = {
        "longest_wait_seconds": "max_wait_seconds",
        "read_attempts": "max_read_attempts",
    }

    kind: Literal["paper", "live"] = "paper"
    url: str | None = None
    feed: Literal["iex", "sip"] = "iex"
    connect_seconds: float = Field(default=5.0, gt=0)
    read_seconds: float = Field(default=20.0, gt=0)
    requests_a_minute: int = Field(default=180, ge=1)
    max_wait_seconds: float = Field(default=120.0, ge=0)
    max_read_attempts: int = Field(default=3, ge=1)
    read_pause_seconds: float = Field(default=0.5, ge=0)
    trade_updates: bool = True
    max_mute_seconds: float = Field(default=120.0, gt=0)
    max_stream_symbols: int | None = Field(default=None, ge=1)

    @property
    def credentials_entry(self) -> str:
        """Name of the credentials."""
        return f"alpaca_{self.kind}"

    @property
    def address(self) -> str:
        """Root of the API, checked.

        Raises
        ------
        ConfigurationError
            When ``url`` is neither the https host of this kind of account nor a loopback address.
        """
        return checked_address(self.url, HOSTS[self.kind], f"a {self.kind} account")

    @property
    def updates_address(self) -> str:
        """Address of the trade updates: on the same host, without TLS only on this machine."""
        scheme, _, place = self.address.partition("://")
        return f"{'ws' if scheme == 'http' else 'wss'}://{place}/stream"

    @property
    def stream_symbols(self) -> int | None:
        """How many instruments the stream is asked for; None for all."""
        return FREE_SYMBOLS if self.max_stream_symbols is None and self.feed == "iex" else self.max_stream_symbols

    @property
    def market_stream_address(self) -> str:
        """Address of the market data as they come, checked likewise."""
        if self.url is None:
            return f"wss://{STREAM_HOST}/v2/{self.feed}"
        return f"{self.updates_address.removesuffix('/stream')}/v2/{self.feed}"

    @property
    def data_address(self) -> str:
        """Root of the data API, checked likewise."""
        return checked_address(self.url, DATA_HOST, "market data")

    @property
    def money(self) -> Money:
        """Live accounts trade real money, also in a rehearsal."""
        return Money.REAL if self.kind == "live" else Money.PAPER

    @property
    def has_own_time(self) -> bool:
        """Whether it is a rehearsal on this machine, whose exchange keeps a time of its own."""
        return self.is_rehearsal

    def connect(self, opening: Opening) -> Broker:
        """Open the wire to the account; nothing is sent yet.

        Raises
        ------
        ConfigurationError
            When ``url`` is not allowed.
        """
        from quant_pipeline.trading.brokers.alpaca.broker import AlpacaBroker

        return AlpacaBroker(self, opening.keys["api_key"], opening.keys["secret_key"])

    def updates(self, keys: Mapping[str, str]) -> Updates | None:
        """Listen to the account's stream of trade updates, unless ``trade_updates`` is false."""
        if not self.trade_updates:
            return None
        from quant_pipeline.trading.brokers.alpaca.updates import TradeUpdates

        return TradeUpdates(self.updates_address, keys["api_key"], keys["secret_key"])

    def market_stream(
        self, keys: Mapping[str, str], instruments: Sequence[str], listener: MarketListener
    ) -> MarketStream | None:
        """Listen to trades, bars and trading statuses of the configured feed."""
        from quant_pipeline.trading.brokers.alpaca.market_stream import AlpacaMarketStream

        return AlpacaMarketStream(self, keys, instruments, listener)
