"""Trades and corporate actions that are reported late: where in the history of an account they belong.

A split works before the open of its session, on the shares that are held then. Where its record comes after a trade of
that session or a later one, the shares bought since are not split, and those sold since were new ones. So it is booked
before such trades; in the same way a trade of an earlier session, reported after the split, is booked before it.
"""

from __future__ import annotations

from collections.abc import Collection, MutableMapping, Sequence
from dataclasses import replace

import pandas as pd

from quant_pipeline.trading.ledger.events import Event, EventKind

TRADED, CONVERTED = "traded", "converted"
EFFECTIVE = "effective"
"""Fact of an event that belongs to another session than the one in which it was booked."""

_TRADES = (EventKind.FILL, EventKind.TRANSFER)
_CONVERSIONS = (EventKind.SPLIT, EventKind.SPIN_OFF, EventKind.MERGER, EventKind.SYMBOL_CHANGE)
_SORTS = dict.fromkeys(_TRADES, TRADED) | dict.fromkeys(_CONVERSIONS, CONVERTED)

Newest = MutableMapping[tuple[str, str], pd.Timestamp]


def effective_session(event: Event) -> pd.Timestamp:
    """Return the session to which an event belongs, which may be before the one that booked it."""
    day = event.payload.get(EFFECTIVE)
    return event.session if day is None else pd.Timestamp(day)


def matters_when(kind: EventKind) -> bool:
    """Whether it matters to the lots when an event of a kind worked, and not only when it was reported."""
    return kind in _SORTS


def mark_newest(newest: Newest, event: Event) -> None:
    """Keep in mind which session an instrument was traded or converted in last."""
    sort = _SORTS.get(event.kind)
    if sort is not None:
        name, session = (sort, event.payload["instrument"]), effective_session(event)
        newest[name] = max(newest.get(name, session), session)


def belongs_before(newest: Newest, event: Event) -> bool:
    """Whether a trade or corporate action belongs before others of its instrument that are booked already."""
    sort, session = _SORTS.get(event.kind), effective_session(event)
    if sort is None:
        return False
    other = newest.get((CONVERTED if sort == TRADED else TRADED, event.payload["instrument"]))
    return other is not None and (other > session if sort == TRADED else other >= session)


def effective(event: Event, day: pd.Timestamp) -> Event:
    """Return an event that belongs to an earlier session than the one in which it is booked, or to its end."""
    return replace(event, payload={**event.payload, EFFECTIVE: f"{day:%Y-%m-%d}"})


def is_trade_in(event: Event, instrument: str) -> bool:
    """Whether an event brought or took shares of an instrument by a trade or a transfer."""
    return event.kind in _TRADES and event.payload["instrument"] == instrument


def place_in(history: Sequence[Event], cancelled: Collection[str], event: Event) -> int:
    """Return where an event belongs: trades before conversions of later sessions, conversions before trades since."""
    if EFFECTIVE not in event.payload:
        return len(history)
    comes_before = _is_later_conversion if event.kind in _TRADES else _is_trade_since
    session, instrument = effective_session(event), event.payload["instrument"]
    for place, known in enumerate(history):
        is_about = known.key not in cancelled and known.payload.get("instrument") == instrument
        if is_about and comes_before(known, session):
            return place
    return len(history)


def _is_later_conversion(known: Event, session: pd.Timestamp) -> bool:
    return known.kind in _CONVERSIONS and effective_session(known) > session


def _is_trade_since(known: Event, session: pd.Timestamp) -> bool:
    # Shares that are transferred in on the day of a split may be old ones.
    day = effective_session(known)
    return (known.kind is EventKind.FILL and day >= session) or (known.kind is EventKind.TRANSFER and day > session)
