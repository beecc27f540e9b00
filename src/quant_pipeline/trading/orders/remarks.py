"""What the operator has to know of an account before anything else: its state, what it denies, and what lifts it."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from quant_pipeline.trading.ledger.events import Event, EventKind
from quant_pipeline.trading.orders.risk_view import TradingState

_DENIED_SIDES = {TradingState.REDUCING: ("buy",), TradingState.HALTED: ("buy", "sell")}
_DENIED_WORDS = {TradingState.REDUCING: "buys are", TradingState.HALTED: "all orders are"}


def account_remarks(events: Sequence[Event], session: pd.Timestamp) -> tuple[str, ...]:
    """Say in which state an account is, in words for the top of a page; nothing of one that is as usual.

    Parameters
    ----------
    events
        The ledger.
    session
        Session in which the next orders execute.

    Returns
    -------
    tuple of str
        A halted or reducing state with its reason and the command that lifts it; that the session is armed; rows
        that wait in quarantine.
    """
    return tuple(filter(None, (state_remark(events), _armed(events, session), _quarantined(events))))


def state_remark(events: Sequence[Event]) -> str | None:
    """Say that an account is reducing or halted, since when, why, and what lifts it; None when it is active."""
    last = _last_change(events)
    if last is None:
        return None
    denied = _DENIED_WORDS[TradingState(last.payload["state"])]
    return (
        f"the account is {last.payload['state']} since {last.session:%Y-%m-%d}: {last.payload['message']} "
        f"({last.payload['code']}); {denied} denied until `kedro account resume`"
    )


def denied_sides(events: Sequence[Event]) -> tuple[str, ...]:
    """Return the sides of orders that the trading state denies: none, buys, or both."""
    last = _last_change(events)
    return () if last is None else _DENIED_SIDES[TradingState(last.payload["state"])]


def denial_remark(events: Sequence[Event]) -> str:
    """Say why an order that the state denies will be denied, and what lifts it; see `denied_sides`."""
    last = _last_change(events)
    if last is None:
        return ""
    return f"will be denied: the account is {last.payload['state']} until `kedro account resume`"


def _last_change(events: Sequence[Event]) -> Event | None:
    """Return the newest change of the trading state; None while orders of both sides pass."""
    changes = [event for event in events if event.kind is EventKind.TRADING_STATE_CHANGED]
    if not changes or TradingState(changes[-1].payload["state"]) is TradingState.ACTIVE:
        return None
    return changes[-1]


def _armed(events: Sequence[Event], session: pd.Timestamp) -> str | None:
    is_armed = False
    for event in events:
        if event.kind in (EventKind.ACCOUNT_ARMED, EventKind.ACCOUNT_DISARMED):
            of_session = event.payload["session"] == f"{session:%Y-%m-%d}"
            is_armed = event.kind is EventKind.ACCOUNT_ARMED if of_session else is_armed
    if not is_armed:
        return None
    return f"the account is armed for {session:%Y-%m-%d}: real orders may leave; `kedro account disarm` takes it back"


def _quarantined(events: Sequence[Event]) -> str | None:
    rows = {event.key for event in events if event.kind is EventKind.ACTIVITY_QUARANTINED}
    rows -= {event.payload["row"] for event in events if event.kind is EventKind.QUARANTINE_RESOLVED}
    if not rows:
        return None
    return f"{len(rows)} activities wait in quarantine; `kedro account quarantine list` names them"
