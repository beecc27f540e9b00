"""What a broker reports, as events of the ledger; the broker's id of a fact is its key, so it is booked once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import pandas as pd

from quant_pipeline.trading.broker_records import (
    Activity,
    Amendment,
    CashActivity,
    CashKind,
    FillActivity,
    PositionActivity,
    PositionKind,
    UnknownActivity,
)
from quant_pipeline.trading.ledger.events import Event, EventKind
from quant_pipeline.trading.orders.book import OrderBook

EXTERNAL = "external"
"""Start of the client order id of a fill that this account did not order."""

_CASH = {
    CashKind.DIVIDEND: EventKind.CASH_DIVIDEND,
    CashKind.FEE: EventKind.FEE,
    CashKind.INTEREST: EventKind.INTEREST,
    CashKind.TAX: EventKind.TAX,
}
_RENAMING = {PositionKind.SYMBOL_CHANGE: EventKind.SYMBOL_CHANGE, PositionKind.MERGER: EventKind.MERGER}


@dataclass(frozen=True)
class Translator:
    """Turns activities into events.

    Attributes
    ----------
    book
        Knows which of the broker's orders are ours.
    find
        Finds the events of the ledger that are known, by key.
    session_of
        First session on or after a date; cash that moves on a weekend is booked in the next session.
    """

    book: OrderBook
    find: Callable[[Sequence[str]], Mapping[str, Event]]
    session_of: Callable[[pd.Timestamp], pd.Timestamp]

    def events(self, activities: Sequence[Activity]) -> list[Event]:
        """Translate activities in their order; what has been booked before is left out."""
        named = {_key(activity): activity for activity in activities}
        known = self.find(list(named))
        partners = _partners(list(named.values()))
        events: list[Event] = []
        for key, activity in named.items():
            if key not in known:
                for event in self._translate(activity, key, partners):
                    events.append(self._anchored(event, events))
        return events

    def _anchored(self, event: Event, before: Sequence[Event]) -> Event:
        """Let an amendment name the fill it is about, also through an earlier correction of it."""
        if event.kind not in (EventKind.TRADE_BUST, EventKind.TRADE_CORRECTION):
            return event
        name = event.payload["fill"].partition(":")[2]
        wanted = (f"fill:{name}", f"correction:{name}")
        found = [*self.find(wanted).values(), *(known for known in before if known.key in wanted)]
        if not found:
            # Of a fill before the books were opened, for instance; what it moves shows as a break.
            message = f"the broker amends the fill {name}, which the ledger does not have; look at it"
            return alert(event.session, event.key, "AMENDMENT_OF_UNKNOWN_DEAL", message)
        name_of_fill = found[0].payload.get("fill", found[0].key)
        return Event(event.session, event.kind, event.key, {**event.payload, "fill": name_of_fill})

    def _translate(self, activity: Activity, key: str, partners: dict[str, PositionActivity | None]) -> list[Event]:
        session = self.session_of(activity.date)
        if isinstance(activity, FillActivity):
            return self._fill(activity, session, key)
        if isinstance(activity, CashActivity):
            return self._cash(activity, session, key)
        if isinstance(activity, PositionActivity):
            return _position(activity, session, key, partners)
        return [alert(session, key, "UNKNOWN_ACTIVITY", f"the broker reports a {activity.raw_type}; look at it")]

    def _fill(self, activity: FillActivity, session: pd.Timestamp, key: str) -> list[Event]:
        replaced = f"fill:{activity.supersedes}"
        if activity.amendment is Amendment.CANCELLATION:
            return [Event(session, EventKind.TRADE_BUST, key, {"fill": replaced})]
        if activity.amendment is Amendment.CORRECTION:
            facts = {"fill": replaced, "quantity": str(activity.quantity), "price": str(activity.price)}
            return [Event(session, EventKind.TRADE_CORRECTION, key, facts)]
        order_id = self.book.by_broker_id.get(activity.broker_order_id)
        facts = {
            "client_order_id": order_id or f"{EXTERNAL}:{activity.broker_order_id}",
            "instrument": activity.instrument,
            "side": activity.side,
            "requested": str(activity.quantity if order_id is None else self.book.orders[order_id].quantity),
            "quantity": str(activity.quantity),
            "price": str(activity.price),
            "fee": "0",
            "status": "filled",
            "message": "" if order_id else "ordered outside of this account's plans",
        }
        return [Event(session, EventKind.FILL, key, facts)]

    def _cash(self, activity: CashActivity, session: pd.Timestamp, key: str) -> list[Event]:
        amount = activity.amount
        if activity.supersedes is not None:
            before = self.find([f"cash:{activity.supersedes}"]).values()
            booked = sum((Decimal(event.payload["amount"]) for event in before), Decimal(0))
            amount = -booked if activity.amendment is Amendment.CANCELLATION else amount - booked
        kind = _CASH.get(activity.kind, EventKind.DEPOSIT if amount >= 0 else EventKind.WITHDRAWAL)
        facts = {
            "instrument": activity.instrument,
            "amount": str(amount),
            "date": f"{activity.date:%Y-%m-%d}",
            "message": activity.description,
        }
        return [Event(session, kind, key, facts)]


def alert(session: pd.Timestamp, key: str, code: str, message: str) -> Event:
    """Make an event that the operator must look at."""
    return Event(session, EventKind.ALERT_RAISED, f"alert:{key}", {"code": code, "message": message})


def _key(activity: Activity) -> str:
    if isinstance(activity, FillActivity):
        prefix = {Amendment.NEW: "fill", Amendment.CORRECTION: "correction", Amendment.CANCELLATION: "bust"}
        return f"{prefix[activity.amendment]}:{activity.activity_id}"
    if isinstance(activity, UnknownActivity):
        return f"unknown:{activity.activity_id}"
    return f"{'cash' if isinstance(activity, CashActivity) else 'position'}:{activity.activity_id}"


def _partners(activities: Sequence[Activity]) -> dict[str, PositionActivity | None]:
    """Pair what leaves with what comes in renamings and mergers: the leaving one by its id, the coming one as None."""
    partners: dict[str, PositionActivity | None] = {}
    moves = [a for a in activities if isinstance(a, PositionActivity) and a.kind in _RENAMING]
    coming = [a for a in moves if a.quantity > 0]
    for leaving in (a for a in moves if a.quantity < 0):
        for candidate in coming:
            if candidate.activity_id not in partners and (candidate.kind, candidate.date) == (
                leaving.kind,
                leaving.date,
            ):
                partners[leaving.activity_id], partners[candidate.activity_id] = candidate, None
                break
    return partners


def _position(
    activity: PositionActivity, session: pd.Timestamp, key: str, partners: dict[str, PositionActivity | None]
) -> list[Event]:
    if activity.activity_id in partners:
        partner = partners[activity.activity_id]
        if partner is None:
            return [alert(session, key, "CORPORATE_ACTION", f"{activity.kind} into {activity.instrument}")]
        facts = {
            "instrument": activity.instrument,
            "new_instrument": partner.instrument,
            "quantity_after": str(partner.quantity),
            "amount": str(activity.amount + partner.amount),
        }
        return [Event(session, _RENAMING[activity.kind], key, facts)]
    amount = str(activity.amount)
    if activity.kind in (PositionKind.SPLIT, PositionKind.STOCK_DIVIDEND):
        facts = {"instrument": activity.instrument, "quantity_change": str(activity.quantity), "amount": amount}
        return [Event(session, EventKind.SPLIT, key, facts)]
    # The books follow the shares; what they cost, or what they were exchanged for, the operator must say.
    facts = {"instrument": activity.instrument, "quantity": str(activity.quantity), "cost": "0"}
    events = [Event(session, EventKind.TRANSFER, key, facts)]
    if activity.amount:
        kind = EventKind.DEPOSIT if activity.amount > 0 else EventKind.WITHDRAWAL
        events.append(Event(session, kind, f"{key}:cash", {"amount": amount, "instrument": activity.instrument}))
    message = f"{activity.kind} moved {activity.quantity} {activity.instrument}; its cost is booked as nothing"
    return [*events, alert(session, key, "COST_UNKNOWN", message)]
