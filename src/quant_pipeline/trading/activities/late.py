"""Where a broker's records belong that come late: a split after trades since, a trade after a split since.

The date of a record may be later than the day on which a corporate action worked. The old shares that it takes out say
when that was: when as many were held.
"""

from __future__ import annotations

from decimal import Decimal

import pandas as pd

from quant_pipeline.trading.activities.amendments import beyond_zero
from quant_pipeline.trading.activities.booked import AGAIN, ZERO
from quant_pipeline.trading.broker_records import FillActivity
from quant_pipeline.trading.ledger.account import AccountState
from quant_pipeline.trading.ledger.events import Event, EventKind
from quant_pipeline.trading.ledger.late_events import belongs_before, effective

_TURNED = (EventKind.SPLIT, EventKind.MERGER, EventKind.SYMBOL_CHANGE)


def placed_fill(account: AccountState, fill: Event) -> Event:
    """Let a trade count before the corporate actions of later sessions that are booked already."""
    return effective(fill, fill.session) if belongs_before(account.newest, fill) else fill


def in_time(account: AccountState, action: Event, day: pd.Timestamp) -> tuple[list[Event], str]:
    """Let a corporate action work on the shares held before the trades since.

    Parameters
    ----------
    account
        The account before it.
    action
        The corporate action; ``quantity_before`` or ``quantity`` are the old shares that it takes out, where known.
    day
        Session of its records.

    Returns
    -------
    tuple
        The action with its place, behind the trades by hand that it shows to have been no short sales, which are booked
        again; and what the operator should know, empty when nothing.
    """
    name = action.payload["instrument"]
    # What was sold since is of the new name, where there is one.
    shorts = _short_sales(account, action.payload.get("new_instrument", name), day) if action.kind in _TURNED else []
    if not shorts:
        if action.kind is EventKind.SPLIT and name not in account.positions and name in account.foreign:
            return [_of_short(action)], ""
        placed, remark = _placed(account, action, day)
        return [placed], remark
    trial = account.fork()
    parts = [key for short in shorts for key in _parts(account, short)]
    undone = Event(action.session, EventKind.EVENT_CANCELLED, f"{action.key}:shorts", {"events": parts})
    trial.apply(undone)
    placed, remark = _placed(trial, action, day)
    trial.apply(placed)
    events = [undone, placed]
    for short in shorts:
        whole = Event(short.session, EventKind.FILL, f"{_fill_key(short)}{AGAIN}", short.payload["whole"])
        again = beyond_zero(trial, whole, _activity(whole))
        for event in again:
            trial.apply(event)
        events += again
    return events, remark


def _placed(account: AccountState, action: Event, day: pd.Timestamp) -> tuple[Event, str]:
    name, facts = action.payload["instrument"], action.payload
    at_open = effective(action, day)
    late = at_open if belongs_before(account.newest, at_open) else action
    taken = facts.get("quantity_before", facts.get("quantity"))
    if taken is None:
        return late, ""
    gone, now = Decimal(taken), account.positions[name].quantity if name in account.positions else ZERO
    if account.held_at_open(name, day) == gone:
        return late, ""
    if now == gone:
        return action, ""
    for session, held in reversed(account.held_before_trades(name)):
        if held == gone:
            return effective(action, session), ""
    if action.kind is not EventKind.SPLIT:
        return action, ""
    return late, f"a split takes out {gone} {name}, which the books never held; its lots may have another cost"


def _of_short(action: Event) -> Event:
    facts = {"instrument": action.payload["instrument"], "quantity": action.payload["quantity_change"]}
    more = {name: action.payload[name] for name in ("amount", "activities", "moved", "records")}
    return Event(action.session, EventKind.FOREIGN_MOVED, action.key, {**facts, **more, "message": "split"})


def _short_sales(account: AccountState, name: str, day: pd.Timestamp) -> list[Event]:
    """Return what sales by hand since a day have sold beyond the shares that were held before a split."""
    return [
        event
        for event in account.history
        if event.kind is EventKind.FOREIGN_MOVED
        and event.payload["instrument"] == name
        and event.session >= day
        and event.key not in account.cancelled
        and Decimal(event.payload["quantity"]) < 0
        and "whole" in event.payload
    ]


def _fill_key(short: Event) -> str:
    return short.key.removesuffix(":short")


def _parts(account: AccountState, short: Event) -> list[str]:
    keys = {short.key, _fill_key(short)}
    return [event.key for event in account.history if event.key in keys]


def _activity(whole: Event) -> FillActivity:
    facts = whole.payload
    return FillActivity(
        whole.key,
        whole.session,
        occurred_at=whole.session.tz_localize("UTC"),
        broker_order_id=facts["client_order_id"],
        instrument=facts["instrument"],
        side=facts["side"],
        quantity=Decimal(facts["quantity"]),
        price=Decimal(facts["price"]),
        cash=Decimal(facts["cash"]) if "cash" in facts else None,
    )
