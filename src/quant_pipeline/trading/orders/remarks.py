"""What the operator has to know of an account before anything else: its state, what it denies, and what lifts it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from quant_pipeline.common.environments import in_environment
from quant_pipeline.strategy.reasons import not_carried_out
from quant_pipeline.trading.ledger.events import Event, EventKind
from quant_pipeline.trading.orders.risk_view import TradingState

_DENIED_SIDES = {TradingState.ACTIVE: (), TradingState.REDUCING: ("buy",), TradingState.HALTED: ("buy", "sell")}
_DENIED = {TradingState.REDUCING: "buys are denied until", TradingState.HALTED: "all orders are denied until"}
_BY_HAND = {
    TradingState.REDUCING: "its orders are executed by hand: leave buys alone until",
    TradingState.HALTED: "its orders are executed by hand: leave them all alone until",
}


@dataclass(frozen=True)
class AccountRemarks:
    """What stands above everything else on pages and summaries of an account.

    Attributes
    ----------
    lines
        A state that is not active with its reason and the command that lifts it, that the session is armed, and rows
        in quarantine; empty for an account that is as usual.
    problems
        Those of them that keep orders back: that a session is armed does not.
    denied
        Sides of orders that are denied, or that the operator leaves alone: none, buys, or both.
    denial
        What to say of such an order.
    """

    lines: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    denied: tuple[str, ...] = ()
    denial: str = ""

    def are_denied(self, orders: pd.DataFrame) -> pd.Series:
        """Return which orders are denied; ``side`` and ``quantity`` are looked at."""
        return orders["side"].isin(self.denied) & (orders["quantity"] > 0)

    def denial_in(self, environment: str) -> str:
        """Return what to say of an order that is denied, with the environment in its command."""
        return in_environment(self.denial, environment)

    def reasons(self, orders: pd.DataFrame, environment: str) -> pd.Series:
        """Return the reasons of orders; those of denied ones begin with it, for nothing is bought or sold."""
        denial = self.denial_in(environment)
        reasons = [
            not_carried_out(reason, denial, "") if is_denied else reason
            for reason, is_denied in zip(orders["reason"], self.are_denied(orders), strict=True)
        ]
        return pd.Series(reasons, index=orders.index, dtype="str", name="reason")


def account_remarks(events: Sequence[Event], session: pd.Timestamp, filled_by: str = "broker") -> AccountRemarks:
    """Say in which state an account is.

    Parameters
    ----------
    events
        The ledger.
    session
        Session in which the next orders execute; later events do not count.
    filled_by
        Who fills the orders of the account, see `AccountParameters`.
    """
    known = [event for event in events if event.session <= session]
    why, armed, quarantined = state_remark(known, filled_by), _armed(known, session), _quarantined(known)
    lines = tuple(filter(None, (why, armed, quarantined)))
    problems = tuple(filter(None, (why, quarantined)))
    state = _state_of(known)
    if state is TradingState.ACTIVE:
        return AccountRemarks(lines, problems)
    consequence = "leave it alone" if filled_by == "statements" else "will be denied"
    denial = f"{consequence}: the account is {state} until `kedro account resume`"
    return AccountRemarks(lines, problems, _DENIED_SIDES[state], denial)


def state_remark(events: Sequence[Event], filled_by: str = "broker") -> str | None:
    """Say that an account is reducing or halted, since when, why, and what lifts it; None when it is active."""
    state = _state_of(events)
    if state is TradingState.ACTIVE:
        return None
    (*_, last) = _changes(events)
    consequence = (_BY_HAND if filled_by == "statements" else _DENIED)[state]
    return (
        f"the account is {state} since {last.session:%Y-%m-%d}: {last.payload['message']} ({last.payload['code']}); "
        f"{consequence} `kedro account resume`"
    )


def _changes(events: Sequence[Event]) -> list[Event]:
    return [event for event in events if event.kind is EventKind.TRADING_STATE_CHANGED]


def _state_of(events: Sequence[Event]) -> TradingState:
    changes = _changes(events)
    return TradingState(changes[-1].payload["state"]) if changes else TradingState.ACTIVE


def _armed(events: Sequence[Event], session: pd.Timestamp) -> str | None:
    is_armed = False
    for event in events:
        if event.kind in (EventKind.ACCOUNT_ARMED, EventKind.ACCOUNT_DISARMED):
            of_session = event.payload["session"] == f"{session:%Y-%m-%d}"
            is_armed = event.kind is EventKind.ACCOUNT_ARMED if of_session else is_armed
    is_closed = any(event.kind is EventKind.SESSION_CLOSED and event.session >= session for event in events)
    if not is_armed or is_closed:
        return None
    return f"the account is armed for {session:%Y-%m-%d}: real orders may be sent; `kedro account disarm` takes it back"


def _quarantined(events: Sequence[Event]) -> str | None:
    rows = {event.key for event in events if event.kind is EventKind.ACTIVITY_QUARANTINED}
    rows -= {event.payload["row"] for event in events if event.kind is EventKind.QUARANTINE_RESOLVED}
    if not rows:
        return None
    return f"{len(rows)} activities wait in quarantine; `kedro account quarantine list` names them"
