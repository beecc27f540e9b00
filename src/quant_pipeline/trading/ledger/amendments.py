"""Busts and corrections of fills, read in one place: books, orders and tables all count the same.

Each amendment applies to the fill as those before it left it. A bust says that it never happened; a correction says how
it was, also after a bust.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Literal

from quant_pipeline.trading.ledger.events import Event, EventKind

AMENDING = (EventKind.TRADE_BUST, EventKind.TRADE_CORRECTION)
_CORRECTED = ("quantity", "price", "fee", "cash")
_ONLY_OF_THE_ORIGINAL = ("cash", "lots")
_NOTHING = {"quantity": "0", "fee": "0", "cash": "0"}


@dataclass(frozen=True)
class EffectiveFill:
    """A fill as it counts.

    Attributes
    ----------
    event
        The fill as it was booked.
    facts
        What it really was: its payload with every correction. Cash and chosen lots of the original do not outlive a
        correction that does not name them.
    amendment
        What was said about it last; empty when nothing was.
    """

    event: Event
    facts: Mapping[str, Any]
    amendment: Literal["", "bust", "correction"] = ""

    @classmethod
    def of(cls, event: Event) -> EffectiveFill:
        """Take a fill as it was booked."""
        return cls(event, event.payload)

    @property
    def counts(self) -> bool:
        """Whether it happened at all."""
        return self.amendment != "bust"

    @property
    def quantity(self) -> Decimal:
        """Shares."""
        return Decimal(self.facts["quantity"]) if self.counts else Decimal(0)

    @property
    def value(self) -> Decimal:
        """Shares times price, without fees."""
        return self.quantity * Decimal(self.facts["price"])

    @property
    def cash(self) -> Decimal:
        """Cash that it moved: what its broker states, else shares times price and the fee."""
        if not self.counts:
            return Decimal(0)
        if "cash" in self.facts:
            return Decimal(self.facts["cash"])
        return (-self.value if self.facts["side"] == "buy" else self.value) - Decimal(self.facts["fee"])

    @property
    def booked(self) -> Mapping[str, Any]:
        """The facts with the amounts that count: none after a bust."""
        return self.facts if self.counts else {**self.facts, **_NOTHING}

    def amended(self, event: Event) -> EffectiveFill:
        """Apply a bust or a correction."""
        if event.kind is EventKind.TRADE_BUST:
            return EffectiveFill(self.event, self.facts, "bust")
        kept = {name: value for name, value in self.facts.items() if name not in _ONLY_OF_THE_ORIGINAL}
        named = {name: event.payload[name] for name in _CORRECTED if name in event.payload}
        return EffectiveFill(self.event, {**kept, **named}, "correction")


def effective_fills(events: Iterable[Event]) -> dict[str, EffectiveFill]:
    """Return every fill as it counts, by its key, in the order of the ledger; busted and cancelled ones too."""
    fills: dict[str, EffectiveFill] = {}
    for event in events:
        if event.kind is EventKind.FILL:
            fills[event.key] = EffectiveFill.of(event)
        elif event.kind in AMENDING:
            key = event.payload["fill"]
            fills[key] = fills[key].amended(event)
        elif event.kind is EventKind.EVENT_CANCELLED:
            for key in fills.keys() & set(event.payload["events"]):
                fills[key] = replace(fills[key], amendment="bust")
    return fills
