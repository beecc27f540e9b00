"""What shall go wrong: a small typed script of faults, readable from YAML."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar

import yaml
from pydantic import Field, ValidationError

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.common.parameters import Parameters


class Request(StrEnum):
    """The requests at which a fault can strike."""

    ANY = "any"
    SUBMIT = "submit"
    CANCEL = "cancel"
    LOOKUP = "lookup"
    ORDERS = "orders"
    ACCOUNT = "account"
    POSITIONS = "positions"
    ACTIVITIES = "activities"
    CLOCK = "clock"
    CALENDAR = "calendar"
    ASSETS = "assets"
    CONFIGURATION = "configuration"
    BARS = "bars"
    LAST_TRADES = "last_trades"
    CORPORATE_ACTIONS = "corporate_actions"


class FaultKind(StrEnum):
    """What happens to a request; *before* means that it is never carried out, *after* that only its answer suffers."""

    TIMEOUT_BEFORE = "timeout_before"
    TIMEOUT_AFTER = "timeout_after"
    RESET_BEFORE = "reset_before"
    RESET_AFTER = "reset_after"
    STATUS_BEFORE = "status_before"
    STATUS_AFTER = "status_after"
    SLOW = "slow"
    GARBAGE = "garbage"

    @property
    def is_before(self) -> bool:
        """Whether the request is never carried out."""
        return self in (FaultKind.TIMEOUT_BEFORE, FaultKind.RESET_BEFORE, FaultKind.STATUS_BEFORE)


class ScriptedFault(Parameters):
    """One fault.

    Attributes
    ----------
    request, kind
        Where and what.
    times
        How often, after the first ``skip`` requests of this sort were left in peace.
    seconds
        How long a timeout or a slow answer lasts, and after how long a 429 says that requests are taken again.
    status
        HTTP status of ``status_before`` and ``status_after``, for instance 429, 500 or 504.
    """

    request: Request
    kind: FaultKind
    times: int = Field(default=1, ge=1)
    skip: int = Field(default=0, ge=0)
    seconds: float = Field(default=2.0, ge=0)
    status: int = Field(default=504, ge=400, le=599)


class Ending(StrEnum):
    """What becomes of the rest of an order after its scripted fills."""

    FILLED = "filled"
    OPEN = "open"
    CANCELED = "canceled"
    EXPIRED = "expired"
    REJECTED = "rejected"


class Refusal(StrEnum):
    """Definitive answers to a new order."""

    BUYING_POWER = "buying_power"
    WASH_TRADE = "wash_trade"
    DAY_TRADING = "day_trading"
    NOT_TRADABLE = "not_tradable"


class OrderScript(Parameters):
    """How the next orders fare.

    Attributes
    ----------
    instrument
        Which; ``*`` is any.
    times
        How many orders.
    parts
        Partial fills, as fractions of the quantity, executed in this sequence before ``ending``.
    prices
        Price of each part; the price of the instrument where it is shorter than ``parts``.
    ending
        What becomes of the rest.
    refuse
        Refuse the order at once, for this reason.
    """

    instrument: str = "*"
    times: int = Field(default=1, ge=1)
    parts: tuple[Decimal, ...] = ()
    prices: tuple[Decimal, ...] = ()
    ending: Ending = Ending.FILLED
    refuse: Refusal | None = None


class FeedScript(Parameters):
    """How the activity feed lies.

    Attributes
    ----------
    hidden_reads
        A new activity is left out of this many reads.
    lose
        This many of the next fills never appear.
    duplicate, reorder
        Every page returns its records twice; newest first.
    repeat_cursor
        A page begins with the record of its token, not behind it.
    unknown_type
        A record of an unknown type precedes the next fill.
    """

    hidden_reads: int = Field(default=0, ge=0)
    lose: int = Field(default=0, ge=0)
    duplicate: bool = False
    reorder: bool = False
    repeat_cursor: bool = False
    unknown_type: bool = False


class StreamScript(Parameters):
    """How the stream of trade updates suffers.

    Attributes
    ----------
    drop_before_fill
        The next fills happen while no client is connected.
    duplicate, reorder
        Every update comes twice; updates of one order come newest first.
    unknown_event, unknown_status
        Words that no client knows.
    mute
        The connection stands, but nothing comes.
    max_connections
        Connections at the same time; Alpaca lets an account have one.
    """

    renamed: ClassVar[Mapping[str, str]] = {"most_connections": "max_connections"}

    drop_before_fill: int = Field(default=0, ge=0)
    duplicate: bool = False
    reorder: bool = False
    unknown_event: bool = False
    unknown_status: bool = False
    mute: bool = False
    max_connections: int = Field(default=1, ge=0)


class MarketStreamScript(Parameters):
    """How the stream of market data suffers.

    Attributes
    ----------
    mute
        The connection stands, but nothing comes.
    drop_before_message
        In the place of the next messages the connections are closed.
    max_connections
        Connections at the same time; with one key Alpaca takes one.
    max_symbols
        Symbols of a channel; the free plan has 30.
    """

    mute: bool = False
    drop_before_message: int = Field(default=0, ge=0)
    max_connections: int = Field(default=1, ge=0)
    max_symbols: int = Field(default=30, ge=1)


class Script(Parameters):
    """Everything that shall go wrong."""

    faults: tuple[ScriptedFault, ...] = ()
    orders: tuple[OrderScript, ...] = ()
    feed: FeedScript = FeedScript()
    stream: StreamScript = StreamScript()
    market: MarketStreamScript = MarketStreamScript()

    @classmethod
    def from_file(cls, path: Path) -> Script:
        """Read a script from YAML.

        Raises
        ------
        ConfigurationError
            When the file is missing or a key is misspelt.
        """
        try:
            return cls.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
        except (OSError, yaml.YAMLError, ValidationError) as error:
            raise ConfigurationError(f"fault script {path} cannot be used: {error}") from error


class Director:
    """Plays a script: hands out each fault as often as it was asked for; safe between threads."""

    def __init__(self, script: Script | None = None) -> None:
        self._lock = threading.Lock()
        self._faults: list[list[Any]] = []
        self._orders: list[list[Any]] = []
        self.play(script or Script())

    def play(self, script: Script) -> None:
        """Replace what was left of the old script."""
        with self._lock:
            self._faults = [[fault, fault.skip, fault.times] for fault in script.faults]
            self._orders = [[order, order.times] for order in script.orders]
            self.feed, self.stream, self.market = script.feed, script.stream, script.market
            self.fills_to_lose = script.feed.lose
            self.drops = script.stream.drop_before_fill
            self.market_drops = script.market.drop_before_message

    def fault_for(self, request: Request) -> ScriptedFault | None:
        """Hand out the fault that strikes this request, if any."""
        with self._lock:
            for entry in self._faults:
                fault, skip, left = entry
                if fault.request not in (request, Request.ANY) or left == 0:
                    continue
                if skip:
                    entry[1] -= 1
                    continue
                entry[2] -= 1
                return fault
        return None

    def order_script(self, instrument: str) -> OrderScript:
        """Hand out how the next order of an instrument fares; without a script it is filled."""
        with self._lock:
            for entry in self._orders:
                if entry[1] and entry[0].instrument in (instrument, "*"):
                    entry[1] -= 1
                    return entry[0]
        return OrderScript()

    def takes_one(self, counter: str) -> bool:
        """Use up one of ``fills_to_lose``, ``drops`` or ``market_drops``, when one is left."""
        with self._lock:
            left = getattr(self, counter)
            setattr(self, counter, max(left - 1, 0))
            return left > 0
