"""What a broker reports, as events of the ledger; the broker's id of a fact is its key, so it is booked once.

Activities that belong together are tried on a copy of the account. What the books cannot take goes into quarantine, and
everything else is booked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pandas as pd

from quant_pipeline.common.exceptions import AccountError
from quant_pipeline.trading.activities.booked import Booked, NotBookableError, alert, key_of, row_of
from quant_pipeline.trading.activities.corporate import INCOMPLETE, groups_of
from quant_pipeline.trading.activities.quarantine import (
    early_amendment,
    quarantine_event,
    waiting_amendments,
    waiting_fills,
    waiting_parts,
)
from quant_pipeline.trading.activities.reading_order import fresh_of
from quant_pipeline.trading.activities.records import OwnOrder, Records, answer_of_broker
from quant_pipeline.trading.broker_records import Activity, Amendment, FillActivity, PositionActivity
from quant_pipeline.trading.ledger.account import AccountState
from quant_pipeline.trading.ledger.events import Event, EventKind


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

    @property
    def _records(self) -> Records:
        return Records(self.own_order, self.session_of, self.account, self._booked)

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
            events = self._records.events(unit, session)
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
            answer = answer_of_broker(
                early.activity_id, session, "booked", f"{part.activity_id} has come, which it amends"
            )
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
            answer = answer_of_broker(activity.activity_id, session, "booked", "the record that it waited for has come")
            trial = self.account.fork()
            try:
                events = [answer, *self._records.events((activity,), session)]
                for event in events:
                    trial.apply(event)
            except AccountError:
                continue  # It stays where the operator sees it.
            self.account = trial
            self._events += events

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
