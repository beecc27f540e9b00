"""One record of a broker, or those of one corporate action, as events of the ledger; nothing is booked here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import NamedTuple

import pandas as pd

from quant_pipeline.trading.activities.amendments import amended_short, beyond_zero, booked_again, taken_back
from quant_pipeline.trading.activities.booked import (
    CASH_EVENTS,
    OWNERS,
    ZERO,
    Booked,
    NotBookableError,
    alert,
    key_of,
    moved_by,
    row_of,
)
from quant_pipeline.trading.activities.corporate import INCOMPLETE, Meaning, groups_of, meaning_of_group
from quant_pipeline.trading.activities.late import in_time, placed_fill
from quant_pipeline.trading.activities.quarantine import (
    WAITS_FOR_SPLIT,
    facts_of_position,
    resolution_event,
    waiting_parts,
)
from quant_pipeline.trading.broker_records import (
    Activity,
    Amendment,
    CashActivity,
    CashKind,
    FillActivity,
    ForeignActivity,
    PositionActivity,
    UnknownActivity,
)
from quant_pipeline.trading.ledger.account import AccountState
from quant_pipeline.trading.ledger.events import Event, EventKind

EXTERNAL = "external"
"""Start of the client order id of a fill that this account did not order."""

THE_BROKER = "the broker"
_WITH_COST = (EventKind.CASH_IN_LIEU, EventKind.RETURN_OF_CAPITAL)


class OwnOrder(NamedTuple):
    """An order of this account: our name of it, and its shares."""

    client_order_id: str
    quantity: Decimal


def answer_of_broker(activity_id: str, session: pd.Timestamp, how: str, reason: str) -> Event:
    """Return the event that another record answers a row in quarantine."""
    return resolution_event(row_of(activity_id), session, how, THE_BROKER, reason)


@dataclass(frozen=True)
class Records:
    """Turns records into events, against an account as it is booked.

    Attributes
    ----------
    own_order, session_of
        See `translation.Translator`.
    account
        The account that they are booked in; it is only looked at.
    booked
        What the ledger, and the events before, have of earlier records.
    """

    own_order: Callable[[str], OwnOrder | None]
    session_of: Callable[[pd.Timestamp], pd.Timestamp]
    account: AccountState
    booked: Booked

    def events(self, unit: tuple[Activity, ...], session: pd.Timestamp) -> list[Event]:
        """Return the events of a unit, booked in a session.

        Raises
        ------
        AccountError
            When the books cannot take it.
        """
        activity = unit[0]
        if activity.amendment is not Amendment.NEW and activity.supersedes is not None:
            row = self.account.quarantine.get(row_of(activity.supersedes))
            if row is not None and not isinstance(activity, UnknownActivity):
                return self._of_row(activity, session)
        if isinstance(activity, PositionActivity):
            if activity.amendment is Amendment.NEW:
                return self._positions([a for a in unit if isinstance(a, PositionActivity)], session)
            return taken_back(self.booked, activity, session)
        if isinstance(activity, FillActivity):
            return self._fill(activity, session)
        if isinstance(activity, CashActivity):
            return self._cash(activity, session)
        if isinstance(activity, ForeignActivity):
            return self._foreign(activity, session)
        return self._unknown(activity, session)

    def _of_row(self, activity: Activity, session: pd.Timestamp) -> list[Event]:
        """Take back what waits in quarantine; what corrects it stands for itself."""
        assert activity.supersedes is not None
        is_correction = activity.amendment is Amendment.CORRECTION
        how, words = ("corrected", "corrected by") if is_correction else ("cancelled", "taken back by")
        answer = answer_of_broker(activity.supersedes, session, how, f"{words} {activity.activity_id}")
        corrected = self.events((replace(activity, amendment=Amendment.NEW),), session) if is_correction else []
        noted = Event(session, EventKind.ACTIVITY_NOTED, key_of(activity), {"with": row_of(activity.supersedes)})
        is_noted = key_of(activity) not in {event.key for event in corrected}
        return [answer, *corrected, *([noted] if is_noted else [])]

    def _fill(self, activity: FillActivity, session: pd.Timestamp) -> list[Event]:
        if activity.amendment is not Amendment.NEW:
            original = self.booked.amended_fill(activity)
            if parts := self.booked.parts_beyond_zero(original):
                whole, _ = self._whole_fill(activity, session)
                return amended_short(self.account, activity, whole, parts)
            facts = {"fill": original}
            if self._is_another_trade(activity, original):
                return self._traded_otherwise(activity, original, session)
            if activity.amendment is Amendment.CANCELLATION:
                return [Event(session, EventKind.TRADE_BUST, key_of(activity), facts)]
            facts |= {"quantity": str(activity.quantity), "price": str(activity.price)}
            if activity.cash is not None:
                facts |= {"cash": str(activity.cash)}
            return [Event(session, EventKind.TRADE_CORRECTION, key_of(activity), facts)]
        whole, is_own = self._whole_fill(activity, session)
        if is_own:
            return [whole]
        waiting = (part.instrument for part in waiting_parts(self.account, INCOMPLETE))
        if activity.side == "sell" and activity.instrument in waiting:
            problem = f"a part of a corporate action of {activity.instrument} is missing; it is booked after that"
            raise NotBookableError(WAITS_FOR_SPLIT, problem)
        return beyond_zero(self.account, whole, activity)

    def _is_another_trade(self, activity: FillActivity, original: str) -> bool:
        """Whether a correction says that another instrument was traded, or on the other side."""
        if activity.amendment is not Amendment.CORRECTION:
            return False
        facts = next((e.payload for e in self.account.history if e.key == original and "side" in e.payload), None)
        return facts is not None and (facts["instrument"], facts["side"]) != (activity.instrument, activity.side)

    def _traded_otherwise(self, activity: FillActivity, original: str, session: pd.Timestamp) -> list[Event]:
        """Take a trade by hand back and book what it was; an order of ours cannot have been another one."""
        whole, is_own = self._whole_fill(replace(activity, amendment=Amendment.NEW), session)
        if is_own:
            problem = f"the broker corrects {original} to {activity.side} {activity.instrument}, which was not ordered"
            raise NotBookableError("NOT_BOOKABLE", problem)
        undone = Event(session, EventKind.TRADE_BUST, f"{key_of(activity)}:undone", {"fill": original})
        trial = self.account.fork()
        trial.apply(undone)
        noted = Event(session, EventKind.ACTIVITY_NOTED, key_of(activity), {"fill": whole.key})
        return [undone, *beyond_zero(trial, whole, activity), noted]

    def _whole_fill(self, activity: FillActivity, session: pd.Timestamp) -> tuple[Event, bool]:
        own = self.own_order(activity.broker_order_id)
        cash = {} if activity.cash is None else {"cash": str(activity.cash)}
        at = activity.occurred_at
        # Of some records only the day is known.
        when = {"at": at.isoformat()} if at != at.normalize() else {}
        facts = {
            "client_order_id": own.client_order_id if own else f"{EXTERNAL}:{activity.broker_order_id}",
            "instrument": activity.instrument,
            "side": activity.side,
            "requested": str(own.quantity if own else activity.quantity),
            "quantity": str(activity.quantity),
            "price": str(activity.price),
            "fee": "0",
            "status": "filled",
            "message": "" if own else "ordered outside of this account's plans",
        }
        event = Event(session, EventKind.FILL, key_of(activity), facts | when | cash)
        return placed_fill(self.account, event), own is not None

    def _cash(self, activity: CashActivity, session: pd.Timestamp) -> list[Event]:
        amount, amends = self._amount(activity)
        if amends and self._must_be_booked_again(activity, amends["amends"]):
            corrected = []
            if activity.amendment is Amendment.CORRECTION:
                corrected = self._cash(replace(activity, amendment=Amendment.NEW), session)
            return booked_again(self.booked, activity, amends["amends"], session, corrected)
        kind = CASH_EVENTS.get(activity.kind)
        if kind is None:
            kind = EventKind.DEPOSIT if amount >= 0 else EventKind.WITHDRAWAL
        if not amount and not amends:
            kind = EventKind.ACTIVITY_NOTED
        facts = {
            "instrument": activity.instrument,
            "amount": str(amount),
            "date": f"{activity.date:%Y-%m-%d}",
            "message": activity.description,
            **amends,
        }
        if activity.kind is CashKind.CASH_IN_LIEU and activity.quantity:
            facts["quantity"] = str(activity.quantity)
        return [Event(session, kind, key_of(activity), facts)]

    def _must_be_booked_again(self, activity: CashActivity, root: str) -> bool:
        """Whether a difference in cash says too little: cost or shares moved too, or it was cash of another kind."""
        kinds = {event.kind for event in self.booked.counting(f"cash:{root}", root)} - {EventKind.ACTIVITY_NOTED}
        if activity.kind is CashKind.TRANSFER:
            return bool(kinds - {*OWNERS})
        return CASH_EVENTS[activity.kind] in _WITH_COST or bool(kinds - {CASH_EVENTS[activity.kind]})

    def _amount(self, activity: CashActivity | ForeignActivity) -> tuple[Decimal, dict[str, str]]:
        return self.booked.amount(activity)

    def _foreign(self, activity: ForeignActivity, session: pd.Timestamp) -> list[Event]:
        amount, amends = self._amount(activity)
        quantity = activity.quantity
        if amends:
            booked = self.booked.of_activity(f"foreign:{amends['amends']}", amends["amends"])
            before = sum((Decimal(event.payload["quantity"]) for event in booked), ZERO)
            quantity = -before if activity.amendment is Amendment.CANCELLATION else quantity - before
        facts = {"instrument": activity.instrument, "quantity": str(quantity), "amount": str(amount), **amends}
        facts["message"] = activity.description
        words = f"{activity.instrument} is no share: {quantity} of it and {amount} cash moved; it is never traded here"
        key = key_of(activity)
        return [
            Event(session, EventKind.FOREIGN_MOVED, key, facts),
            alert(session, key, "FOREIGN_POSITION", words, activity.raw),
        ]

    def _unknown(self, activity: UnknownActivity, session: pd.Timestamp) -> list[Event]:
        if activity.problem or activity.amount is None or activity.amendment is not Amendment.NEW:
            problem = activity.problem or "its type is not known"
            raise NotBookableError("UNREADABLE_ACTIVITY" if activity.problem else "UNKNOWN_ACTIVITY", problem)
        if not activity.amount and (activity.quantity or activity.quantity is None) and activity.instrument:
            raise NotBookableError("UNKNOWN_ACTIVITY", "its type is not known, and it moves shares")
        key = key_of(activity)
        words = f"the broker reports a {activity.raw_type}, which is not known; its cash of {activity.amount} is booked"
        kind = EventKind.OTHER_CASH if activity.amount else EventKind.ACTIVITY_NOTED
        facts = {"instrument": activity.instrument, "amount": str(activity.amount), "message": activity.raw_type}
        return [Event(session, kind, key, facts), alert(session, key, "UNKNOWN_ACTIVITY", words, activity.raw)]

    def _positions(self, records: list[PositionActivity], session: pd.Timestamp) -> list[Event]:
        records, meaning = self._whole(records)
        if meaning.problem:
            raise NotBookableError(meaning.code, meaning.problem)
        answers = [
            answer_of_broker(record.activity_id, session, "booked", "its other part has come")
            for record in records
            if row_of(record.activity_id) in self.account.quarantine
        ]
        main = key_of(records[0])
        events, members = [], list(records)
        warning = meaning.warning
        if meaning.kind is not None:
            facts = {**(meaning.facts or {}), "activities": [record.activity_id for record in records]}
            facts["moved"] = [moved_by(record) for record in records]
            facts["records"] = [facts_of_position(record) for record in records]
            if any(record.supersedes for record in records):
                facts["amendment"] = str(Amendment.CORRECTION)
            day = self.session_of(min(record.date for record in records))
            action = Event(session, meaning.kind, main, facts)
            made, remark = in_time(self.account, action, day)
            events += made
            warning = warning or remark
            members = records[1:]
        for number, (kind, facts) in enumerate(meaning.more):
            events.append(Event(session, kind, f"{main}:{number}", facts))
        new = [record for record in members if not self.booked.events([key_of(record)])]
        noted = [Event(session, EventKind.ACTIVITY_NOTED, key_of(record), {"with": main}) for record in new]
        if warning:
            noted.append(alert(session, main, "COST_UNKNOWN", warning, records[0].raw))
        return [*answers, *events, *noted]

    def _whole(self, records: list[PositionActivity]) -> tuple[list[PositionActivity], Meaning]:
        """Say what records do; what lacks a part may have it among the records that another one had taken along."""
        meaning = meaning_of_group(records)
        left = self.booked.left_behind() if meaning.code == INCOMPLETE else []
        for group in groups_of([*records, *left]) if left else ():
            if records[0] in group and {*records} <= {*group}:
                together = meaning_of_group(group)
                if not together.problem:
                    return list(group), together
        return records, meaning
