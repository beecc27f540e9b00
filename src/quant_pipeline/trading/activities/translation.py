"""What a broker reports, as events of the ledger; the broker's id of a fact is its key, so it is booked once.

Activities that belong together are tried on a copy of the account. What the books cannot take goes into quarantine, and
everything else is booked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, NamedTuple

import pandas as pd

from quant_pipeline.common.exceptions import AccountError
from quant_pipeline.trading.activities.corporate import INCOMPLETE, groups_of, meaning_of_group
from quant_pipeline.trading.activities.quarantine import PREFIX, quarantine_event, resolution_event, waiting_parts
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
from quant_pipeline.trading.ledger.amendments import EffectiveFill
from quant_pipeline.trading.ledger.events import Event, EventKind

EXTERNAL = "external"
"""Start of the client order id of a fill that this account did not order."""

ZERO = Decimal(0)
_CASH = {
    CashKind.DIVIDEND: EventKind.CASH_DIVIDEND,
    CashKind.FEE: EventKind.FEE,
    CashKind.INTEREST: EventKind.INTEREST,
    CashKind.TAX: EventKind.TAX,
    CashKind.CASH_IN_LIEU: EventKind.CASH_IN_LIEU,
    CashKind.RETURN_OF_CAPITAL: EventKind.RETURN_OF_CAPITAL,
    CashKind.OTHER: EventKind.OTHER_CASH,
}
_OWNERS = {EventKind.DEPOSIT, EventKind.WITHDRAWAL}
_WITH_COST = {EventKind.CASH_IN_LIEU, EventKind.RETURN_OF_CAPITAL}
_THE_BROKER = "the broker"


class OwnOrder(NamedTuple):
    """An order of this account: our name of it, and its shares."""

    client_order_id: str
    quantity: Decimal


class NotBookableError(AccountError):
    """An activity that the books cannot take, and why.

    Attributes
    ----------
    code
        Sort of the problem.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


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
        for unit in self._units(self._fresh(activities)):
            self._book(unit)
        return self._events

    def _fresh(self, activities: Sequence[Activity]) -> list[Activity]:
        named = {_key(activity): activity for activity in activities}
        stored = {f"{PREFIX}{activity.activity_id}" for activity in activities}
        known = self.find([*named, *stored])
        return [a for key, a in named.items() if key not in known and f"{PREFIX}{a.activity_id}" not in known]

    def _units(self, fresh: Sequence[Activity]) -> Iterable[tuple[Activity, ...]]:
        """Yield what is booked together, in the order of what comes first."""
        single = [part for activity in fresh for part in _undone_and_anew(activity)]
        parts = {a.activity_id: a for a in single if _is_part(a)}
        waiting = waiting_parts(self.account, INCOMPLETE)
        groups = groups_of([*waiting, *(a for a in parts.values() if isinstance(a, PositionActivity))])
        # A group takes the place of the first of its records that is new.
        group_of = {record.activity_id: group for group in groups for record in group if record.activity_id in parts}
        given: set[int] = set()
        for activity in single:
            group = group_of.get(activity.activity_id)
            if group is None:
                yield (activity,)
            elif id(group) not in given:
                given.add(id(group))
                yield group

    def _book(self, unit: tuple[Activity, ...]) -> None:
        """Book a unit, or put it into quarantine."""
        session = self.session_of(max(activity.date for activity in unit))
        trial = self.account.fork()
        try:
            events = self._translate(unit, session)
            for event in events:
                trial.apply(event)
        except AccountError as error:
            code = error.code if isinstance(error, NotBookableError) else "NOT_BOOKABLE"
            self._put_aside(unit, session, code, error.message)
            return
        self.account = trial
        self._events += events

    def _put_aside(self, unit: tuple[Activity, ...], session: pd.Timestamp, code: str, problem: str) -> None:
        for activity in unit:
            row = f"{PREFIX}{activity.activity_id}"
            if row in self.account.quarantine:
                continue
            event = quarantine_event(activity, session, code, problem, self._corrected(activity))
            words = f"{event.payload['sort']} of {activity.date:%Y-%m-%d} is in quarantine: {problem}"
            events = [event, alert(session, row, code, words, activity.raw)]
            for made in events:
                self.account.apply(made)
            self._events += events

    def _corrected(self, activity: Activity) -> EffectiveFill | None:
        if not isinstance(activity, FillActivity) or activity.amendment is not Amendment.CORRECTION:
            return None
        try:
            key = self._amended_fill(activity)
        except NotBookableError:
            return None
        events = (event for event in self.account.history if event.key == key and event.kind is EventKind.FILL)
        fills = (EffectiveFill.of(event) for event in events)
        return self.account.amended.get(key) or next(fills, None)

    def _translate(self, unit: tuple[Activity, ...], session: pd.Timestamp) -> list[Event]:
        activity = unit[0]
        if isinstance(activity, PositionActivity):
            if activity.amendment is Amendment.NEW:
                return self._positions([a for a in unit if isinstance(a, PositionActivity)], session)
            return self._taken_back(activity, session)
        if isinstance(activity, FillActivity):
            return self._fill(activity, session)
        if isinstance(activity, CashActivity):
            return self._cash(activity, session)
        if isinstance(activity, ForeignActivity):
            return self._foreign(activity, session)
        return self._unknown(activity, session)

    def _fill(self, activity: FillActivity, session: pd.Timestamp) -> list[Event]:
        if activity.amendment is not Amendment.NEW:
            original = self._amended_fill(activity)
            if parts := self._parts_beyond_zero(original):
                return self._amended_short(activity, session, parts)
            facts = {"fill": original}
            if activity.amendment is Amendment.CANCELLATION:
                return [Event(session, EventKind.TRADE_BUST, _key(activity), facts)]
            facts |= {"quantity": str(activity.quantity), "price": str(activity.price)}
            return [Event(session, EventKind.TRADE_CORRECTION, _key(activity), facts)]
        whole, is_own = self._whole_fill(activity, session)
        return [whole] if is_own else self._beyond_zero(whole, activity, self.account)

    def _whole_fill(self, activity: FillActivity, session: pd.Timestamp) -> tuple[Event, bool]:
        own = self.own_order(activity.broker_order_id)
        cash = {} if activity.cash is None else {"cash": str(activity.cash)}
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
        return Event(session, EventKind.FILL, _key(activity), facts | cash), own is not None

    def _parts_beyond_zero(self, fill: str) -> list[str]:
        """Return the keys of a fill by hand that changed a short position, when it did and still counts."""
        keys = (fill, f"{fill}:short")
        events = [e for e in self.account.history if e.key in keys and e.key not in self.account.cancelled]
        is_short = any(event.kind is EventKind.FOREIGN_MOVED for event in events)
        return [event.key for event in events] if is_short else []

    def _amended_short(self, activity: FillActivity, session: pd.Timestamp, parts: list[str]) -> list[Event]:
        key = _key(activity)
        is_bust = activity.amendment is Amendment.CANCELLATION
        undone = Event(session, EventKind.EVENT_CANCELLED, key if is_bust else f"{key}:undone", {"events": parts})
        if is_bust:
            return [undone]
        before = self.account.fork()
        before.apply(undone)
        whole, _ = self._whole_fill(activity, session)
        return [undone, *self._beyond_zero(whole, activity, before)]

    def _beyond_zero(self, fill: Event, activity: FillActivity, account: AccountState) -> list[Event]:
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
        }
        words = f"{activity.side} of {part} {name} by hand changes a short position, which is carried and never traded"
        is_all = part == quantity
        events = [Event(fill.session, EventKind.FOREIGN_MOVED, fill.key if is_all else f"{fill.key}:short", facts)]
        if not is_all:
            rest = {"quantity": str(quantity - part), "requested": str(quantity - part), "cash": str(cash - of_part)}
            events.insert(0, replace(fill, payload={**fill.payload, **rest}))
        return [*events, alert(fill.session, f"short:{fill.key}", "FOREIGN_POSITION", words, activity.raw)]

    def _amended_fill(self, activity: FillActivity) -> str:
        """Return the key of the fill that an amendment is about, also through an earlier correction of it."""
        wanted = (f"fill:{activity.supersedes}", f"correction:{activity.supersedes}")
        found = [*self.find(wanted).values(), *(event for event in self._events if event.key in wanted)]
        if not found:
            # Of a fill before the books were opened, for instance.
            problem = f"the broker amends the fill {activity.supersedes}, which the ledger does not have"
            raise NotBookableError("AMENDMENT_OF_UNKNOWN_FILL", problem)
        return str(found[0].payload.get("fill", found[0].key))

    def _cash(self, activity: CashActivity, session: pd.Timestamp) -> list[Event]:
        amount, amends = self._amount(activity)
        if amends and self._must_be_booked_again(activity, amends["amends"]):
            return self._booked_again(activity, amends["amends"], session)
        kind = _CASH.get(activity.kind)
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
        return [Event(session, kind, _key(activity), facts)]

    def _must_be_booked_again(self, activity: CashActivity, root: str) -> bool:
        """Whether a difference in cash says too little: cost or shares moved too, or it was cash of another kind."""
        kinds = {event.kind for event in self._counting(f"cash:{root}", root)} - {EventKind.ACTIVITY_NOTED}
        if activity.kind is CashKind.TRANSFER:
            return bool(kinds - _OWNERS)
        return _CASH[activity.kind] in _WITH_COST or bool(kinds - {_CASH[activity.kind]})

    def _booked_again(self, activity: CashActivity, root: str, session: pd.Timestamp) -> list[Event]:
        """Take back cash that changed shares or their cost, and book what corrects it again."""
        counting = [event.key for event in self._counting(f"cash:{root}", root)]
        is_correction = activity.amendment is Amendment.CORRECTION
        key = f"{_key(activity)}:undone" if is_correction else _key(activity)
        undone = [Event(session, EventKind.EVENT_CANCELLED, key, {"events": counting, "amends": root})]
        if not counting:
            undone = [Event(session, EventKind.ACTIVITY_NOTED, key, {"amends": root})]
        if not is_correction:
            return undone
        (event,) = self._cash(replace(activity, amendment=Amendment.NEW), session)
        return [*undone, replace(event, payload={**event.payload, "amends": root})]

    def _foreign(self, activity: ForeignActivity, session: pd.Timestamp) -> list[Event]:
        amount, amends = self._amount(activity)
        quantity = activity.quantity
        if amends:
            booked = self._booked(f"foreign:{amends['amends']}", amends["amends"])
            before = sum((Decimal(event.payload["quantity"]) for event in booked), ZERO)
            quantity = -before if activity.amendment is Amendment.CANCELLATION else quantity - before
        facts = {"instrument": activity.instrument, "quantity": str(quantity), "amount": str(amount), **amends}
        facts["message"] = activity.description
        words = f"{activity.instrument} is no share: {quantity} of it and {amount} cash moved; it is never traded here"
        key = _key(activity)
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
        key = _key(activity)
        words = f"the broker reports a {activity.raw_type}, which is not known; its cash of {activity.amount} is booked"
        kind = EventKind.OTHER_CASH if activity.amount else EventKind.ACTIVITY_NOTED
        facts = {"instrument": activity.instrument, "amount": str(activity.amount), "message": activity.raw_type}
        return [Event(session, kind, key, facts), alert(session, key, "UNKNOWN_ACTIVITY", words, activity.raw)]

    def _amount(self, activity: CashActivity | ForeignActivity) -> tuple[Decimal, dict[str, str]]:
        """Return what an activity changes the cash by, and which activity it amends, if any."""
        if activity.amendment is Amendment.NEW:
            return activity.amount, {}
        prefix = _key(activity).partition(":")[0]
        root = activity.supersedes or self._equal_to(activity)
        found = self._booked(f"{prefix}:{root}", root)
        if found and "amends" in found[0].payload:
            root = found[0].payload["amends"]
            found = self._booked(f"{prefix}:{root}", root)
        if not found:
            problem = f"the broker takes back or corrects {root}, which the ledger does not have"
            raise NotBookableError("AMENDMENT_OF_UNKNOWN_ACTIVITY", problem)
        counting = self._counting(f"{prefix}:{root}", root)
        booked = sum((Decimal(event.payload["amount"]) for event in counting), ZERO)
        amount = -booked if activity.amendment is Amendment.CANCELLATION else activity.amount - booked
        return amount, {"amends": root}

    def _booked(self, key: str, root: str) -> list[Event]:
        """Return what is booked of an activity: itself and what has amended it."""
        history = [*self.find([key]).values(), *(event for event in self._events if event.key == key)]
        first = {event.key: event for event in history}
        later = (event for event in self.account.history if event.payload.get("amends") == root)
        return list((first | {event.key: event for event in later}).values())

    def _counting(self, key: str, root: str) -> list[Event]:
        """Return what is booked of an activity and moves cash or shares still."""
        booked = self._booked(key, root)
        return [event for event in booked if "amount" in event.payload and event.key not in self.account.cancelled]

    def _equal_to(self, activity: CashActivity | ForeignActivity) -> str:
        """Return the newest activity that equals one which does not say what it takes back."""
        prefix = _key(activity).partition(":")[0]
        kind = _CASH.get(activity.kind) if isinstance(activity, CashActivity) else EventKind.FOREIGN_MOVED
        kinds = _OWNERS if kind is None else {kind}
        taken_back = {event.payload["amends"] for event in self.account.history if "amends" in event.payload}
        for event in reversed(self.account.history):
            same = event.key.startswith(f"{prefix}:") and event.kind in kinds
            same = same and event.payload.get("instrument") == activity.instrument
            name = event.key.partition(":")[2]
            is_open = name not in taken_back and event.key not in self.account.cancelled
            if same and is_open and abs(Decimal(event.payload["amount"])) == abs(activity.amount):
                return name
        raise NotBookableError("AMENDMENT_OF_UNKNOWN_ACTIVITY", "it does not say which activity it takes back")

    def _positions(self, records: list[PositionActivity], session: pd.Timestamp) -> list[Event]:
        meaning = meaning_of_group(records)
        if meaning.problem:
            raise NotBookableError(meaning.code, meaning.problem)
        answers = [
            resolution_event(row, session, "booked", _THE_BROKER, "its other part has come")
            for record in records
            if (row := f"{PREFIX}{record.activity_id}") in self.account.quarantine
        ]
        main = _key(records[0])
        events, members = [], list(records)
        if meaning.kind is not None:
            facts = {**(meaning.facts or {}), "activities": [record.activity_id for record in records]}
            facts["moved"] = [_moved(record) for record in records]
            events.append(Event(session, meaning.kind, main, facts))
            members = records[1:]
        for number, (kind, facts) in enumerate(meaning.more):
            events.append(Event(session, kind, f"{main}:{number}", facts))
        noted = [Event(session, EventKind.ACTIVITY_NOTED, _key(record), {"with": main}) for record in members]
        if meaning.warning:
            noted.append(alert(session, main, "COST_UNKNOWN", meaning.warning, records[0].raw))
        return [*answers, *events, *noted]

    def _taken_back(self, activity: PositionActivity, session: pd.Timestamp) -> list[Event]:
        """Take back shares that moved."""
        original, noted = activity.supersedes or self._equal_position(activity), _key(activity)
        row, key = f"{PREFIX}{original}", f"position:{original}"
        if row in self.account.quarantine:
            answer = resolution_event(row, session, "cancelled", _THE_BROKER, f"taken back by {activity.activity_id}")
            return [answer, Event(session, EventKind.ACTIVITY_NOTED, noted, {"with": row})]
        found = [*self.find([key]).values(), *(event for event in self._events if event.key == key)]
        if found and found[0].kind is EventKind.ACTIVITY_NOTED:
            key = found[0].payload.get("with", key)
        booked = [e.key for e in self.account.history if e.key == key or e.key.startswith(f"{key}:")]
        counting = [name for name in booked if name not in self.account.cancelled]
        if counting:
            return [Event(session, EventKind.EVENT_CANCELLED, noted, {"events": counting})]
        if booked or found:
            return [Event(session, EventKind.ACTIVITY_NOTED, noted, {"with": key})]
        problem = f"the broker takes back {original}, which the ledger does not have"
        raise NotBookableError("AMENDMENT_OF_UNKNOWN_ACTIVITY", problem)

    def _equal_position(self, activity: PositionActivity) -> str:
        """Return the newest booked record, or the group that it is in, which moved as much of the same instrument."""
        wanted = {_moved(activity), _moved(replace(activity, quantity=-activity.quantity))}
        for event in reversed(self.account.history):
            # Ledgers of earlier versions name only the instrument.
            moved = event.payload.get("moved")
            same = event.payload.get("instrument") == activity.instrument if moved is None else wanted & {*moved}
            # The other records of a group that has been taken back are about the same group.
            is_open = event.key not in self.account.cancelled or len(moved or ()) > 1
            if event.key.startswith("position:") and same and is_open:
                return event.key.partition(":")[2]
        raise NotBookableError("AMENDMENT_OF_UNKNOWN_ACTIVITY", "it does not say which activity it takes back")


def alert(session: pd.Timestamp, key: str, code: str, message: str, record: Mapping[str, Any] | None = None) -> Event:
    """Make an event that the operator must look at, with the broker's own record where there is one."""
    facts: dict[str, Any] = {"code": code, "message": message}
    if record:
        facts["record"] = {name: None if value is None else str(value) for name, value in record.items()}
    return Event(session, EventKind.ALERT_RAISED, f"alert:{key}", facts)


def _key(activity: Activity) -> str:
    if isinstance(activity, FillActivity):
        prefix = {Amendment.NEW: "fill", Amendment.CORRECTION: "correction", Amendment.CANCELLATION: "bust"}
        return f"{prefix[activity.amendment]}:{activity.activity_id}"
    sorts = {CashActivity: "cash", PositionActivity: "position", ForeignActivity: "foreign", UnknownActivity: "unknown"}
    return f"{sorts[type(activity)]}:{activity.activity_id}"


def _moved(activity: PositionActivity) -> str:
    return f"{activity.quantity.normalize():f} {activity.instrument}"


def _is_part(activity: Activity) -> bool:
    return isinstance(activity, PositionActivity) and activity.amendment is Amendment.NEW


def _undone_and_anew(activity: Activity) -> tuple[Activity, ...]:
    """Part the correction of a corporate action: what it corrects is taken back, then it stands for itself."""
    if not isinstance(activity, PositionActivity) or activity.amendment is not Amendment.CORRECTION:
        return (activity,)
    undone = replace(activity, amendment=Amendment.CANCELLATION, activity_id=f"{activity.activity_id}:undone")
    return undone, replace(activity, amendment=Amendment.NEW)
