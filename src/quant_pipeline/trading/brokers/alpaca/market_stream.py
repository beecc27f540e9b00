"""Market data of Alpaca as they come: trades, bars of minutes, trading statuses; by unmodified alpaca-py.

A key has one connection. The client makes it again when it breaks, with growing pauses, and when nothing has come for
``data_timeout`` seconds: a connection may stand and be mute. What was missed is asked for by REST.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from types import TracebackType
from typing import Any, Self, cast
from urllib.parse import urlsplit

import pandas as pd
from alpaca.data.live import StockDataStream
from alpaca.data.live import websocket as client

from quant_pipeline.trading.brokers.alpaca.adapter import AlpacaAdapter
from quant_pipeline.trading.brokers.alpaca.transport import AlpacaTransport, connect_data
from quant_pipeline.trading.brokers.alpaca.updates import Troubles
from quant_pipeline.trading.market_listener import MarketListener, MinuteBar, TradingStatus
from quant_pipeline.trading.ports import BrokerUnavailableError

logger = logging.getLogger(__name__)

_CLIENT_LOGGER = logging.getLogger(client.__name__)
_CLOSING_SECONDS, _STOPPING_SECONDS = 0.5, 2.0
BARS_A_PAGE = 10_000
NAMES_A_QUESTION = 200
"""Instruments of one question: addresses are not of any length."""
# https://docs.alpaca.markets/docs/real-time-stock-pricing-data, Trading Status: of tapes A and B, of tapes C and O.
HALTED = frozenset(("2", "H", "P"))
RESUMED = frozenset(("3", "T"))


class AlpacaMarketStream:
    """Use it in a ``with`` block.

    Parameters
    ----------
    parameters
        Which account and feed.
    keys
        Its keys; they appear in no log.
    instruments
        What to listen to.
    listener
        Takes what comes.
    """

    def __init__(
        self,
        parameters: AlpacaAdapter,
        keys: Mapping[str, str],
        instruments: Sequence[str],
        listener: MarketListener,
    ) -> None:
        api_key, secret_key = keys["api_key"], keys["secret_key"]
        self._listener, self._feed = listener, parameters.feed
        self._connect_data: Callable[[], AlpacaTransport] = lambda: connect_data(parameters, api_key, secret_key)
        self._thread = threading.Thread(target=self._run, name="alpaca-market-data", daemon=True)
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._troubles = Troubles(
            self._thread,
            parameters.market_stream_address,
            (api_key, secret_key),
            "sends no market data for now ({reason}). Prices are asked for one by one instead.",
        )
        self._stream = _Stream(parameters, api_key, secret_key, listener.on_connected)
        heard = instruments[: parameters.stream_symbols]
        if len(heard) < len(instruments):
            logger.warning(
                "the stream is asked for %d of %d instruments (max_stream_symbols)", len(heard), len(instruments)
            )
        self._stream.subscribe_trades(self._take_trade, *heard)
        self._stream.subscribe_bars(self._take_bar, *heard)
        self._stream.subscribe_updated_bars(self._take_bar, *heard)
        self._stream.subscribe_trading_statuses(self._take_status, *heard)

    def __enter__(self) -> Self:
        _CLIENT_LOGGER.addFilter(self._troubles)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(RuntimeError):  # It has ended on its own.
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(_STOPPING_SECONDS)
        _CLIENT_LOGGER.removeFilter(self._troubles)

    def minutes_since(self, instant: pd.Timestamp, instruments: Sequence[str]) -> list[MinuteBar]:
        """Ask the REST API for the bars of minutes from an instant on, oldest first.

        Raises
        ------
        BrokerError
            When they cannot be asked for.
        """
        parts = [
            instruments[first : first + NAMES_A_QUESTION] for first in range(0, len(instruments), NAMES_A_QUESTION)
        ]
        found = [bar for part in parts for bar in self._minutes_of(instant, part)]
        return sorted(found, key=lambda bar: bar.begins_at)

    def _minutes_of(self, instant: pd.Timestamp, instruments: Sequence[str]) -> list[MinuteBar]:
        data, token = self._connect_data(), ""
        found: list[MinuteBar] = []
        query = {"timeframe": "1Min", "start": instant.isoformat(), "feed": self._feed, "limit": BARS_A_PAGE}
        while True:
            more = {"page_token": token} if token else {}
            page = data.ask("/stocks/bars", {**query, "symbols": ",".join(instruments), **more}) or {}
            try:
                rows = [(name, row) for name, of_name in page.get("bars", {}).items() for row in of_name]
            except (AttributeError, TypeError) as error:
                raise BrokerUnavailableError(f"Alpaca's bars cannot be read ({error!r}); try again later") from error
            for name, row in rows:
                with _skipping_unreadable(row):
                    found.append(_minute(name, row))
            token = page.get("next_page_token") or ""
            if not token:
                return found

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._listen())

    async def _listen(self) -> None:
        listening = asyncio.ensure_future(self._stream._run_forever())
        stopping = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait({listening, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if listening.done() and not listening.cancelled():
            self._troubles.report(listening.exception() or "the client has ended")
        await self._stream.stop_ws()
        listening.cancel()
        stopping.cancel()
        await asyncio.wait({listening, stopping})
        await asyncio.wait({asyncio.ensure_future(self._stream.close())}, timeout=_CLOSING_SECONDS)

    async def _take_trade(self, row: Any) -> None:
        with _skipping_unreadable(row):
            self._listener.on_trade(str(row["S"]), _price(row), _instant(row["t"]))

    async def _take_bar(self, row: Any) -> None:
        with _skipping_unreadable(row):
            self._listener.on_bar(_minute(str(row["S"]), row))

    async def _take_status(self, row: Any) -> None:
        with _skipping_unreadable(row):
            code = str(row["sc"])
            if code in HALTED | RESUMED:
                reason = str(row.get("rm") or row.get("sm") or code)
                self._listener.on_status(TradingStatus(str(row["S"]), _instant(row["t"]), code in HALTED, reason))


class _skipping_unreadable:
    """Leave one message out that is of another shape, and say so; the stream goes on."""

    def __init__(self, row: Any) -> None:
        self._row = row

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        is_unreadable = isinstance(error, AttributeError | KeyError | TypeError | ValueError | ArithmeticError)
        if is_unreadable:
            logger.warning("a message of Alpaca's market data cannot be read: %r", error)
        return is_unreadable


class _Stream(StockDataStream):
    """The client of Alpaca; it says when it is connected, and sends keys to no other host than the one asked for."""

    def __init__(self, parameters: AlpacaAdapter, api_key: str, secret_key: str, connected: Callable[[], None]) -> None:
        # At its level DEBUG the library would log what it sends, which is the keys; this logger has no switch.
        silent = logging.Logger("websockets", logging.CRITICAL + 1)
        wire = {"ping_interval": 10, "ping_timeout": 180, "max_queue": 1024}
        super().__init__(
            api_key,
            secret_key,
            raw_data=True,
            url_override=parameters.market_stream_address,
            data_timeout=parameters.max_mute_seconds,
            websocket_params={**wire, "close_timeout": _CLOSING_SECONDS, "logger": silent},
        )
        self._connected = connected

    async def _connect(self) -> None:
        await super()._connect()
        socket: Any = self._ws
        asked, found = urlsplit(self._endpoint).netloc, socket.request_headers["Host"]
        if found != asked:
            raise ConnectionError(f"{asked} leads to {found}, which is sent no keys")

    async def _send_subscribe_msg(self) -> None:
        await super()._send_subscribe_msg()
        self._connected()


def _instant(stamp: Any) -> pd.Timestamp:
    """Read a time of msgpack or of JSON."""
    if isinstance(stamp, str):
        return pd.Timestamp(stamp).tz_convert("UTC")
    return pd.Timestamp(cast(int, stamp.to_unix_nano()), unit="ns", tz="UTC")


def _price(row: Mapping[str, Any]) -> Decimal:
    price = Decimal(str(row["p"]))
    if not (price.is_finite() and price > 0):
        raise ValueError(f"a trade of {row['S']} at {price}")
    return price


def _minute(instrument: str, row: Mapping[str, Any]) -> MinuteBar:
    prices = [float(row[name]) for name in ("o", "h", "l", "c", "v")]
    if not all(0 < price < float("inf") for price in prices[:4]) or not 0 <= prices[4] < float("inf"):
        raise ValueError(f"the bar of {instrument} has {prices}")
    return MinuteBar(instrument, _instant(row["t"]), *prices)
