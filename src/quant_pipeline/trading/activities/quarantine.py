"""Quarantine: what a broker reported and the books cannot take, kept with its raw record until the operator answers.

The effect that a row would have had on cash and shares is kept with it, so that the books and the broker can be
compared all the same: a difference that rows in quarantine explain is no other one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from typing import Any

import pandas as pd

from quant_pipeline.trading.broker_records import (
    Activity,
    Amendment,
    CashActivity,
    CashKind,
    Consideration,
    FillActivity,
    ForeignActivity,
    PositionActivity,
    PositionKind,
    UnknownActivity,
)
from quant_pipeline.trading.ledger.account import AccountState
from quant_pipeline.trading.ledger.amendments import EffectiveFill
from quant_pipeline.trading.ledger.events import Event, EventKind

PREFIX = "quarantine:"
AMENDS_UNKNOWN = "AMENDMENT_OF_UNKNOWN"
"""Begin of the codes of amendments whose original is not known."""

WAITS_FOR_SPLIT = "WAITS_FOR_CORPORATE_ACTION"
"""Code of a sale that is booked by itself as soon as the other part of a corporate action has come."""

ZERO = Decimal(0)


@dataclass(frozen=True)
class QuarantinedRow:
    """A row of the quarantine as the operator sees it.

    Attributes
    ----------
    activity_id, session
        The broker's name of the activity, and the session in which it is booked.
    sort
        What it is, in the broker's words.
    code, problem
        Why it could not be booked.
    cash, instrument, shares
        What it moves; None where that is not known.
    order_id
        The broker's name of the order whose fill it is; empty otherwise.
    raw
        The broker's own record.
    """

    activity_id: str
    session: pd.Timestamp
    sort: str
    code: str
    problem: str
    cash: Decimal | None
    instrument: str
    shares: Decimal | None
    order_id: str
    raw: Mapping[str, Any]

    @classmethod
    def of(cls, event: Event) -> QuarantinedRow:
        """Read a row from its event."""
        facts = event.payload
        return cls(
            activity_id=facts["activity_id"],
            session=event.session,
            sort=facts["sort"],
            code=facts["code"],
            problem=facts["problem"],
            cash=None if facts["cash"] is None else Decimal(facts["cash"]),
            instrument=facts["instrument"],
            shares=None if facts["shares"] is None else Decimal(facts["shares"]),
            order_id=facts["order_id"],
            raw=facts["record"],
        )


def open_rows(account: AccountState) -> tuple[QuarantinedRow, ...]:
    """List what is in quarantine, oldest first."""
    return tuple(QuarantinedRow.of(event) for event in account.quarantine.values())


def effects_of(account: AccountState) -> tuple[Decimal, dict[str, Decimal]]:
    """Return the cash and the shares that rows in quarantine explain, as far as they are known."""
    cash, shares = ZERO, dict[str, Decimal]()
    for row in open_rows(account):
        cash += row.cash or ZERO
        if row.shares:
            shares[row.instrument] = shares.get(row.instrument, ZERO) + row.shares
    return cash, shares


def quarantine_event(
    activity: Activity, session: pd.Timestamp, code: str, problem: str, corrected: EffectiveFill | None = None
) -> Event:
    """Store an activity that cannot be booked; ``corrected`` is the fill that it corrects, as far as that is known."""
    cash, instrument, shares = _effect(activity)
    if corrected is not None and isinstance(activity, FillActivity):
        sign = 1 if activity.side == "buy" else -1
        cash = _as_corrected(corrected, activity).cash - corrected.cash
        shares = sign * (activity.quantity - corrected.quantity)
    facts = {
        "activity_id": activity.activity_id,
        "date": "an unknown date" if activity.date is pd.NaT else f"{activity.date:%Y-%m-%d}",
        "sort": _sort(activity),
        "code": code,
        "problem": problem,
        "cash": None if cash is None else str(cash),
        "instrument": instrument,
        "shares": None if shares is None else str(shares),
        "order_id": activity.broker_order_id if isinstance(activity, FillActivity) else "",
        # What brokers of one's own put into a record may not be JSON.
        "record": json.loads(json.dumps(dict(activity.raw), default=str)),
        "amendment": str(activity.amendment),
        "supersedes": activity.supersedes,
        "waiting": None if isinstance(activity, UnknownActivity) else _facts_of(activity),
    }
    return Event(session, EventKind.ACTIVITY_QUARANTINED, f"{PREFIX}{activity.activity_id}", facts)


def resolution_event(row: str, session: pd.Timestamp, how: str, name: str, reason: str) -> Event:
    """Take a row out of quarantine; ``name`` is who answers it."""
    facts = {"row": row, "how": how, "name": name, "reason": reason}
    return Event(session, EventKind.QUARANTINE_RESOLVED, f"resolved:{row.removeprefix(PREFIX)}", facts)


def waiting_parts(account: AccountState, code: str) -> list[PositionActivity]:
    """Return the parts of corporate actions that wait in quarantine for their other parts."""
    rows = (event for event in account.quarantine.values() if event.payload["code"] == code)
    return [_read_waiting(row) for row in rows if row.payload["waiting"] is not None]


def waiting_fills(account: AccountState) -> list[FillActivity]:
    """Return the trades that wait in quarantine for a corporate action to be whole."""
    rows = (event for event in account.quarantine.values() if event.payload["code"] == WAITS_FOR_SPLIT)
    return [_read_fill(row) for row in rows]


def waiting_amendments(account: AccountState) -> list[Activity]:
    """Return amendments that wait in quarantine for what they amend; of corporate actions, see `early_amendment`."""
    rows = (row for row in account.quarantine.values() if row.payload["code"].startswith(AMENDS_UNKNOWN))
    found = [_read_row(row) for row in rows if row.payload["waiting"] is not None]
    return [activity for activity in found if not isinstance(activity, PositionActivity)]


def early_amendment(account: AccountState, activity_id: str) -> PositionActivity | None:
    """Return the amendment of a part of a corporate action that was reported before it and waits, if one does."""
    for row in account.quarantine.values():
        if row.payload.get("supersedes") == activity_id and row.payload["waiting"] is not None:
            found = _read_row(row)
            return found if isinstance(found, PositionActivity) else None
    return None


def _read_row(row: Event) -> Activity:
    facts = row.payload["waiting"]
    if "occurred_at" in facts:
        return _read_fill(row)
    if "consideration" in facts:
        return _read_waiting(row)
    common: dict[str, Any] = {
        "amendment": amendment_of_row(row), "supersedes": facts["supersedes"], "raw": row.payload["record"],
    }  # fmt: skip
    day, name, amount = pd.Timestamp(row.payload["date"]), facts["activity_id"], Decimal(facts["amount"])
    if "kind" not in facts:
        return ForeignActivity(
            name, day, facts["instrument"], Decimal(facts["quantity"]), amount, facts["description"], **common
        )
    quantity = Decimal(facts["quantity"])
    return CashActivity(
        name, day, CashKind(facts["kind"]), amount, facts["instrument"], facts["description"], quantity, **common
    )


def amendment_of_row(row: Event) -> Amendment:
    """Return what the activity of a row is to an earlier one; ledgers of earlier versions do not say."""
    return Amendment(row.payload.get("amendment", Amendment.NEW))


def facts_of_position(activity: PositionActivity) -> dict[str, Any]:
    """Write a record of a corporate action down, to be read again by `position_of`."""
    cusip = {"cusip": str(activity.raw["cusip"])} if activity.raw.get("cusip") else {}
    return {**_facts_of(activity), "date": f"{activity.date:%Y-%m-%d}", **cusip}


def position_of(facts: Mapping[str, Any]) -> PositionActivity:
    """Read a record of a corporate action."""
    return PositionActivity(
        facts["activity_id"],
        pd.Timestamp(facts["date"]),
        kind=PositionKind(facts["kind"]),
        instrument=facts["instrument"],
        quantity=Decimal(facts["quantity"]),
        amount=Decimal(facts["amount"]),
        description=facts["description"],
        price=None if facts["price"] is None else Decimal(facts["price"]),
        consideration=Consideration(facts["consideration"]),
        amendment=Amendment(facts["amendment"]),
        supersedes=facts["supersedes"],
        group=facts["group"],
        is_half=facts["is_half"] == "True",
        raw={"cusip": facts["cusip"]} if "cusip" in facts else {},
    )


def _read_waiting(row: Event) -> PositionActivity:
    return replace(position_of({**row.payload["waiting"], "date": row.payload["date"]}), raw=row.payload["record"])


def _read_fill(row: Event) -> FillActivity:
    facts = row.payload["waiting"]
    return FillActivity(
        facts["activity_id"],
        pd.Timestamp(row.payload["date"]),
        occurred_at=pd.Timestamp(facts["occurred_at"]),
        broker_order_id=facts["broker_order_id"],
        instrument=facts["instrument"],
        side=facts["side"],
        quantity=Decimal(facts["quantity"]),
        price=Decimal(facts["price"]),
        cash=None if facts["cash"] is None else Decimal(facts["cash"]),
        amendment=amendment_of_row(row),
        supersedes=facts["supersedes"],
        raw=row.payload["record"],
    )


def _effect(activity: Activity) -> tuple[Decimal | None, str, Decimal | None]:
    """Return what an activity moves: cash, instrument and shares; None where that is not known."""
    if activity.amendment is Amendment.CORRECTION:
        return None, getattr(activity, "instrument", ""), None
    sign = -1 if activity.amendment is Amendment.CANCELLATION else 1
    if isinstance(activity, FillActivity):
        signed = activity.quantity if activity.side == "buy" else -activity.quantity
        cash = -signed * activity.price if activity.cash is None else activity.cash
        return sign * cash, activity.instrument, sign * signed
    if isinstance(activity, CashActivity):
        return sign * activity.amount, activity.instrument, -sign * activity.quantity
    if isinstance(activity, PositionActivity | ForeignActivity):
        return sign * activity.amount, activity.instrument, sign * activity.quantity
    amount, quantity = activity.amount, activity.quantity
    return None if amount is None else sign * amount, activity.instrument, None if quantity is None else sign * quantity


def _as_corrected(fill: EffectiveFill, activity: FillActivity) -> EffectiveFill:
    """Return a fill as its correction says that it was."""
    facts = {"quantity": str(activity.quantity), "price": str(activity.price), "side": activity.side}
    kept = {name: value for name, value in fill.facts.items() if name != "cash"}
    cash = {} if activity.cash is None else {"cash": str(activity.cash)}
    return EffectiveFill(fill.event, {**kept, **facts, **cash}, "correction")


def _sort(activity: Activity) -> str:
    if isinstance(activity, UnknownActivity):
        return activity.raw_type
    words = [str(activity.raw[name]) for name in ("activity_type", "activity_sub_type") if activity.raw.get(name)]
    return "/".join(words) or str(getattr(activity, "kind", "fill"))


def _facts_of(activity: PositionActivity | FillActivity | CashActivity | ForeignActivity) -> dict[str, Any]:
    values = {field.name: getattr(activity, field.name) for field in fields(activity) if field.name not in _NOT_TEXT}
    return {name: None if value is None else str(value) for name, value in values.items()}


_NOT_TEXT = ("raw", "date")
