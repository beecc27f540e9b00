"""Events that take back or correct what was booked: cash, short positions, corporate actions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import pandas as pd

from quant_pipeline.trading.activities.booked import ZERO, Booked, NotBookableError, alert, key_of
from quant_pipeline.trading.broker_records import Amendment, CashActivity, FillActivity, PositionActivity
from quant_pipeline.trading.ledger.account import AccountState
from quant_pipeline.trading.ledger.events import Event, EventKind


def beyond_zero(account: AccountState, fill: Event, activity: FillActivity) -> list[Event]:
    """Book what a trade by hand sells beyond the shares held, or buys back, as a foreign position."""
    name, quantity = activity.instrument, activity.quantity
    short = max(-account.foreign.get(name, ZERO), ZERO)
    held = account.positions[name].quantity if name in account.positions else ZERO
    part = min(quantity, short) if activity.side == "buy" else max(quantity - held, ZERO)
    if not part:
        return [fill]
    cash = -activity.price * quantity if activity.side == "buy" else activity.price * quantity
    cash = cash if activity.cash is None else activity.cash
    of_part = (cash * part / quantity).quantize(Decimal("1e-8"))
    moved = part if activity.side == "buy" else -part
    facts = {
        "instrument": name,
        "quantity": str(moved),
        "amount": str(of_part),
        "message": f"{activity.side} by hand",
        "whole": dict(fill.payload),
    }
    words = f"{activity.side} of {part} {name} by hand changes a short position, which is carried and never traded"
    is_all = part == quantity
    events = [Event(fill.session, EventKind.FOREIGN_MOVED, fill.key if is_all else f"{fill.key}:short", facts)]
    if not is_all:
        rest = {"quantity": str(quantity - part), "requested": str(quantity - part), "cash": str(cash - of_part)}
        events.insert(0, replace(fill, payload={**fill.payload, **rest}))
    return [*events, alert(fill.session, f"short:{fill.key}", "FOREIGN_POSITION", words, activity.raw)]


def amended_short(account: AccountState, activity: FillActivity, whole: Event, parts: Sequence[str]) -> list[Event]:
    """Take back the parts of a trade by hand that changed a short position; book it again when it is corrected."""
    key = key_of(activity)
    is_bust = activity.amendment is Amendment.CANCELLATION
    undone = Event(whole.session, EventKind.EVENT_CANCELLED, key if is_bust else f"{key}:undone", {"events": [*parts]})
    if is_bust:
        return [undone]
    before = account.fork()
    before.apply(undone)
    return [undone, *beyond_zero(before, whole, activity)]


def booked_again(
    booked: Booked, activity: CashActivity, root: str, session: pd.Timestamp, corrected: Sequence[Event]
) -> list[Event]:
    """Take back cash that changed shares or their cost, and book what corrects it, if anything does, again."""
    counting = [event.key for event in booked.counting(f"cash:{root}", root)]
    key = f"{key_of(activity)}:undone" if corrected else key_of(activity)
    undone = Event(session, EventKind.EVENT_CANCELLED, key, {"events": counting, "amends": root})
    if not counting:
        undone = Event(session, EventKind.ACTIVITY_NOTED, key, {"amends": root})
    return [undone, *(replace(event, payload={**event.payload, "amends": root}) for event in corrected)]


def taken_back(booked: Booked, activity: PositionActivity, session: pd.Timestamp) -> list[Event]:
    """Take back shares that moved: the whole corporate action that the record is a part of.

    Raises
    ------
    NotBookableError
        When the record is not known.
    """
    original, key = activity.supersedes or booked.equal_position(activity), key_of(activity)
    record = {"record": original, "amendment": str(activity.amendment)}
    action = booked.corporate_action(original)
    if action is not None:
        parts = [e.key for e in booked.account.history if e.key == action.key or e.key.startswith(f"{action.key}:")]
        counting = [name for name in parts if name not in booked.account.cancelled]
        return [Event(session, EventKind.EVENT_CANCELLED, key, {"events": counting, **record})]
    if booked.was_corporate_action(original):
        return [Event(session, EventKind.ACTIVITY_NOTED, key, {"with": f"position:{original}", **record})]
    problem = f"the broker takes back {original}, which the ledger does not have"
    raise NotBookableError("AMENDMENT_OF_UNKNOWN_ACTIVITY", problem)
