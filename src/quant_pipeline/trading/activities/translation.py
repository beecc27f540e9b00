"""What a broker reports, as events of the ledger; the broker's id of a fact is its key, so it is booked once.

Activities that belong together are tried on a copy of the account. What the books cannot take goes into quarantine, and
everything else is booked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import NamedTuple

import pandas as pd

from quant_pipeline.common.exceptions import AccountError
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
    early_amendment,
    facts_of_position,
    quarantine_event,
    resolution_event,
    waiting_amendments,
    waiting_fills,
    waiting_parts,
)
from quant_pipeline.trading.activities.reading_order import fresh_of
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


@dataclass
class Translator:
    """Turns activities into events.

    Attributes
    ----------
    own_order
        Finds the order of ours that the broker calls so; None when it is not ours.
    find
        Finds the events of the ledger that are known, by key.
    session_of
        First session on or after a date; cash that moves on a weekend is booked in the next session.
    account
        The account as booked; it is copied, not changed.
    """

    own_order: Callable[[str], OwnOrder | None]
    find: Callable[[Sequence[str]], Mapping[str, Event]]
    session_of: Callable[[pd.Timestamp], pd.Timestamp]
    account: AccountState
    _events: list[Event] = field(default_factory=list, init=False)

    def events(self, activities: Sequence[Activity], before: Sequence[Event] = ()) -> list[Event]:
        """Translate activities in their order; what has been booked or put into quarantine before is left out.

        Parameters
        ----------
        activities
            What the broker reports.
        before
            Events that are booked in the same transaction before these.
        """
        self._events = []
        self.account = self.account.fork()
        for event in before:
            self.account.apply(event)
        fresh, later = self._fresh(activities), []
        amended = {activity.supersedes for activity in fresh}
        for unit in self._units(fresh):
            may_wait = not any(isinstance(a, FillActivity) or a.activity_id in amended for a in unit)
            if not self._book(unit, may_wait):
                later.append(unit)
            self._book_what_waited()
        # What is of shares that another record of the same reading brings stands before it at times.
        for unit in later:
            self._book(unit)
        return self._events

    @property
    def _booked(self) -> Booked:
        return Booked(self.find, self.account, self._events)

    def _fresh(self, activities: Sequence[Activity]) -> list[Activity]:
        return fresh_of(self._booked, activities)

    def _units(self, fresh: Sequence[Activity]) -> Iterable[tuple[Activity, ...]]:
        """Yield what is booked together, in the order of what comes first.

        What is yielded is booked before the next is asked for.
        """
        parts = [a for a in fresh if isinstance(a, PositionActivity) and a.amendment is Amendment.NEW]
        early = {a.activity_id: row for a in parts if (row := early_amendment(self.account, a.activity_id)) is not None}
        left = {part.activity_id: part for part in parts if part.activity_id not in early}
        for activity in fresh:
            if isinstance(activity, PositionActivity) and activity.activity_id in early:
                self._amended_before(activity, early[activity.activity_id])
            elif isinstance(activity, PositionActivity) and activity.amendment is Amendment.CORRECTION:
                yield from self._corrected(activity)
            elif activity.activity_id not in left:
                if activity.amendment is not Amendment.NEW or not isinstance(activity, PositionActivity):
                    yield (activity,)
            else:
                waiting = waiting_parts(self.account, INCOMPLETE)
                groups = groups_of([*waiting, *left.values()])
                group = next(group for group in groups if activity in group)
                for record in group:
                    left.pop(record.activity_id, None)
                yield group

    def _corrected(self, activity: PositionActivity) -> Iterable[tuple[Activity, ...]]:
        """Part the correction of a corporate action: it is taken back, then it is booked again with the new record."""
        booked = self._booked
        root = activity.supersedes
        action = None if root is None else booked.corporate_action(root)
        others = [] if action is None or root is None else booked.others_of(action, root)
        undone = replace(activity, amendment=Amendment.CANCELLATION, activity_id=f"{activity.activity_id}:undone")
        yield (undone,)
        corrected = replace(activity, amendment=Amendment.NEW)
        if others:
            yield (corrected, *others)
        else:
            groups = groups_of([*waiting_parts(self.account, INCOMPLETE), corrected])
            yield next(group for group in groups if corrected in group)

    def _book(self, unit: tuple[Activity, ...], may_wait: bool = False) -> bool:
        """Book a unit, or put it into quarantine; return False for what the books refuse now and that may wait."""
        session = self.session_of(max(self._day_of(activity) for activity in unit))
        trial = self.account.fork()
        try:
            events = self._translate(unit, session)
            for event in events:
                trial.apply(event)
        except AccountError as error:
            if may_wait and not isinstance(error, NotBookableError):
                return False
            code = error.code if isinstance(error, NotBookableError) else "NOT_BOOKABLE"
            self._put_aside(unit, session, code, error.message)
            return True
        self.account = trial
        self._events += events
        return True

    def _amended_before(self, part: PositionActivity, early: PositionActivity) -> None:
        """Leave out a part of a corporate action that was taken back before it was reported; what corrects it waits."""
        session = self.session_of(part.date)
        noted = Event(session, EventKind.ACTIVITY_NOTED, key_of(part), {"with": row_of(early.activity_id)})
        if row_of(early.activity_id) in self.account.quarantine:
            answer = self._answer(early.activity_id, session, "booked", f"{part.activity_id} has come, which it amends")
            self._keep([answer, noted])
        else:
            self._keep([noted])

    def _keep(self, events: Sequence[Event]) -> None:
        for event in events:
            self.account.apply(event)
        self._events += events

    def _day_of(self, activity: Activity) -> pd.Timestamp:
        """Return the date of an activity; what has none is booked where the books are now."""
        if activity.date is not pd.NaT:
            return activity.date
        return max((event.session for event in self.account.history), default=pd.Timestamp.min)

    def _book_what_waited(self) -> None:
        """Book what waited for another record: sales for a whole corporate action, amendments for what they amend."""
        unfinished = {part.instrument for part in waiting_parts(self.account, INCOMPLETE)}
        fills = [fill for fill in waiting_fills(self.account) if fill.instrument not in unfinished]
        for activity in (*fills, *waiting_amendments(self.account)):
            session = self.session_of(self._day_of(activity))
            answer = self._answer(activity.activity_id, session, "booked", "the record that it waited for has come")
            trial = self.account.fork()
            try:
                events = [answer, *self._translate((activity,), session)]
                for event in events:
                    trial.apply(event)
            except AccountError:
                continue  # It stays where the operator sees it.
            self.account = trial
            self._events += events

    def _answer(self, activity_id: str, session: pd.Timestamp, how: str, reason: str) -> Event:
        return resolution_event(row_of(activity_id), session, how, THE_BROKER, reason)

    def _put_aside(self, unit: tuple[Activity, ...], session: pd.Timestamp, code: str, problem: str) -> None:
        for activity in unit:
            row = row_of(activity.activity_id)
            if self._booked.events([row]):
                continue  # It is there, or was answered when it came first.
            corrected = self._booked.corrected_fill(activity)
            event = quarantine_event(activity, session, code, problem, corrected)
            words = f"{event.payload['sort']} of {event.payload['date']} is in quarantine: {problem}"
            events = [event, alert(session, row, code, words, activity.raw)]
            self._keep(events)

    def _translate(self, unit: tuple[Activity, ...], session: pd.Timestamp) -> list[Event]:
        activity = unit[0]
        if activity.amendment is not Amendment.NEW and activity.supersedes is not None:
            row = self.account.quarantine.get(row_of(activity.supersedes))
            if row is not None and not isinstance(activity, UnknownActivity):
                return self._of_row(activity, session)
        if isinstance(activity, PositionActivity):
            if activity.amendment is Amendment.NEW:
                return self._positions([a for a in unit if isinstance(a, PositionActivity)], session)
            return taken_back(self._booked, activity, session)
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
        answer = self._answer(activity.supersedes, session, how, f"{words} {activity.activity_id}")
        corrected = self._translate((replace(activity, amendment=Amendment.NEW),), session) if is_correction else []
        noted = Event(session, EventKind.ACTIVITY_NOTED, key_of(activity), {"with": row_of(activity.supersedes)})
        is_noted = key_of(activity) not in {event.key for event in corrected}
        return [answer, *corrected, *([noted] if is_noted else [])]

    def _fill(self, activity: FillActivity, session: pd.Timestamp) -> list[Event]:
        if activity.amendment is not Amendment.NEW:
            original = self._booked.amended_fill(activity)
            if parts := self._booked.parts_beyond_zero(original):
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
            return booked_again(self._booked, activity, amends["amends"], session, corrected)
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
        kinds = {event.kind for event in self._booked.counting(f"cash:{root}", root)} - {EventKind.ACTIVITY_NOTED}
        if activity.kind is CashKind.TRANSFER:
            return bool(kinds - {*OWNERS})
        return CASH_EVENTS[activity.kind] in _WITH_COST or bool(kinds - {CASH_EVENTS[activity.kind]})

    def _amount(self, activity: CashActivity | ForeignActivity) -> tuple[Decimal, dict[str, str]]:
        return self._booked.amount(activity)

    def _foreign(self, activity: ForeignActivity, session: pd.Timestamp) -> list[Event]:
        amount, amends = self._amount(activity)
        quantity = activity.quantity
        if amends:
            booked = self._booked.of_activity(f"foreign:{amends['amends']}", amends["amends"])
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
            self._answer(record.activity_id, session, "booked", "its other part has come")
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
        new = [record for record in members if not self._booked.events([key_of(record)])]
        noted = [Event(session, EventKind.ACTIVITY_NOTED, key_of(record), {"with": main}) for record in new]
        if warning:
            noted.append(alert(session, main, "COST_UNKNOWN", warning, records[0].raw))
        return [*answers, *events, *noted]

    def _whole(self, records: list[PositionActivity]) -> tuple[list[PositionActivity], Meaning]:
        """Say what records do; what lacks a part may have it among the records that another one had taken along."""
        meaning = meaning_of_group(records)
        left = self._booked.left_behind() if meaning.code == INCOMPLETE else []
        for group in groups_of([*records, *left]) if left else ():
            if records[0] in group and {*records} <= {*group}:
                together = meaning_of_group(group)
                if not together.problem:
                    return list(group), together
        return records, meaning
