"""What the ledger has of a broker's activities: looked up by the broker's names of them, or by what they moved."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import pandas as pd

from quant_pipeline.common.exceptions import AccountError
from quant_pipeline.trading.activities.quarantine import PREFIX, amendment_of_row, position_of
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

ZERO = Decimal(0)
CASH_EVENTS = {
    CashKind.DIVIDEND: EventKind.CASH_DIVIDEND,
    CashKind.FEE: EventKind.FEE,
    CashKind.INTEREST: EventKind.INTEREST,
    CashKind.TAX: EventKind.TAX,
    CashKind.CASH_IN_LIEU: EventKind.CASH_IN_LIEU,
    CashKind.RETURN_OF_CAPITAL: EventKind.RETURN_OF_CAPITAL,
    CashKind.OTHER: EventKind.OTHER_CASH,
}
"""Events of cash by its kind; a transfer is a deposit or a withdrawal."""

AGAIN = ":again"
"""End of the key of a trade that was taken back and booked again after a late split."""

OWNERS = (EventKind.DEPOSIT, EventKind.WITHDRAWAL)


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


def alert(session: pd.Timestamp, key: str, code: str, message: str, record: Mapping[str, Any] | None = None) -> Event:
    """Make an event that the operator must look at, with the broker's own record where there is one."""
    facts: dict[str, Any] = {"code": code, "message": message}
    if record:
        facts["record"] = {name: None if value is None else str(value) for name, value in record.items()}
    return Event(session, EventKind.ALERT_RAISED, f"alert:{key}", facts)


def key_of(activity: Activity) -> str:
    """Return the key of the event that books an activity."""
    if isinstance(activity, FillActivity):
        prefix = {Amendment.NEW: "fill", Amendment.CORRECTION: "correction", Amendment.CANCELLATION: "bust"}
        return f"{prefix[activity.amendment]}:{activity.activity_id}"
    sorts = {CashActivity: "cash", PositionActivity: "position", ForeignActivity: "foreign", UnknownActivity: "unknown"}
    return f"{sorts[type(activity)]}:{activity.activity_id}"


def row_of(activity_id: str) -> str:
    """Return the key of the row of the quarantine that keeps an activity."""
    return f"{PREFIX}{activity_id}"


def moved_by(activity: PositionActivity) -> str:
    """Say what a record moved, as its event remembers it."""
    return f"{activity.quantity.normalize():f} {activity.instrument}"


@dataclass(frozen=True)
class Booked:
    """What is booked already, in the ledger and in the batch that is being translated.

    Attributes
    ----------
    find
        Finds the events of the ledger that are known, by key.
    account
        The account with everything that is booked.
    batch
        Events of the batch so far.
    """

    find: Callable[[Sequence[str]], Mapping[str, Event]]
    account: AccountState
    batch: Sequence[Event]

    def events(self, keys: Sequence[str]) -> list[Event]:
        """Return the events of keys, those of the ledger first."""
        return [*self.find(keys).values(), *(event for event in self.batch if event.key in keys)]

    def amended_fill(self, activity: FillActivity) -> str:
        """Return the key of the fill that an amendment is about, also through an earlier correction of it.

        Raises
        ------
        NotBookableError
            When no such fill is known.
        """
        named = activity.supersedes or activity.activity_id
        found = self.events((f"fill:{named}", f"correction:{named}")) or self._ending_in(named)
        if not found:
            # Of a fill before the books were opened, for instance.
            problem = f"the broker amends the fill {named}, which the ledger does not have"
            raise NotBookableError("AMENDMENT_OF_UNKNOWN_FILL", problem)
        key = str(found[0].payload.get("fill", found[0].key))
        # A trade that was booked again when a split was reported late.
        while key in self.account.cancelled and self.events([f"{key}{AGAIN}"]):
            key = f"{key}{AGAIN}"
        return key

    def _ending_in(self, name: str) -> list[Event]:
        """Return the fills whose ids end in a name: executions are also called by that end."""
        ends = f"::{name}"
        return [event for event in self.account.history if event.key.startswith("fill:") and event.key.endswith(ends)]

    def corrected_fill(self, activity: Activity) -> EffectiveFill | None:
        """Return the fill that a correction is about, as it counts; None when it is no correction or not known."""
        if not isinstance(activity, FillActivity) or activity.amendment is not Amendment.CORRECTION:
            return None
        try:
            key = self.amended_fill(activity)
        except NotBookableError:
            return None
        events = (event for event in self.account.history if event.key == key and event.kind is EventKind.FILL)
        fills = (EffectiveFill.of(event) for event in events)
        return self.account.amended.get(key) or next(fills, None)

    def parts_beyond_zero(self, fill: str) -> list[str]:
        """Return the keys of a fill by hand that changed a short position, when it did and still counts."""
        keys = (fill, f"{fill}:short")
        events = [e for e in self.account.history if e.key in keys and e.key not in self.account.cancelled]
        is_short = any(event.kind is EventKind.FOREIGN_MOVED for event in events)
        return [event.key for event in events] if is_short else []

    def amount(self, activity: CashActivity | ForeignActivity) -> tuple[Decimal, dict[str, str]]:
        """Return what an activity changes the cash by, and which activity it amends, if any.

        Raises
        ------
        NotBookableError
            When what it amends is not known.
        """
        if activity.amendment is Amendment.NEW:
            return activity.amount, {}
        prefix = key_of(activity).partition(":")[0]
        root = activity.supersedes or self._equal_to(activity)
        found = self.of_activity(f"{prefix}:{root}", root)
        if found and "amends" in found[0].payload:
            root = found[0].payload["amends"]
            found = self.of_activity(f"{prefix}:{root}", root)
        if not found:
            problem = f"the broker takes back or corrects {root}, which the ledger does not have"
            raise NotBookableError("AMENDMENT_OF_UNKNOWN_ACTIVITY", problem)
        counting = self.counting(f"{prefix}:{root}", root)
        booked = sum((Decimal(event.payload["amount"]) for event in counting), ZERO)
        amount = -booked if activity.amendment is Amendment.CANCELLATION else activity.amount - booked
        return amount, {"amends": root}

    def of_activity(self, key: str, root: str) -> list[Event]:
        """Return what is booked of an activity: itself and what has amended it."""
        first = {event.key: event for event in self.events([key])}
        later = (event for event in self.account.history if event.payload.get("amends") == root)
        return list((first | {event.key: event for event in later}).values())

    def counting(self, key: str, root: str) -> list[Event]:
        """Return what is booked of an activity and moves cash or shares still."""
        booked = self.of_activity(key, root)
        return [event for event in booked if "amount" in event.payload and event.key not in self.account.cancelled]

    def _equal_to(self, activity: CashActivity | ForeignActivity) -> str:
        """Return the newest activity that equals one which does not say what it takes back."""
        prefix = key_of(activity).partition(":")[0]
        kind = CASH_EVENTS.get(activity.kind) if isinstance(activity, CashActivity) else EventKind.FOREIGN_MOVED
        kinds = OWNERS if kind is None else (kind,)
        taken_back = {event.payload["amends"] for event in self.account.history if "amends" in event.payload}
        for event in reversed(self.account.history):
            same = event.key.startswith(f"{prefix}:") and event.kind in kinds
            same = same and event.payload.get("instrument") == activity.instrument
            name = event.key.partition(":")[2]
            is_open = name not in taken_back and event.key not in self.account.cancelled
            if same and is_open and abs(Decimal(event.payload["amount"])) == abs(activity.amount):
                return name
        raise NotBookableError("AMENDMENT_OF_UNKNOWN_ACTIVITY", "it does not say which activity it takes back")

    def corporate_action(self, record: str) -> Event | None:
        """Return the corporate action that counts and that a record of the broker is a part of, if any."""
        for event in reversed(self.account.history):
            if event.key not in self.account.cancelled and _is_of(event, record):
                return event
        return None

    def was_corporate_action(self, record: str) -> bool:
        """Whether a record was a part of a corporate action, also of one that has been taken back."""
        return any(_is_of(event, record) for event in self.account.history) or bool(self.events([f"position:{record}"]))

    def equal_position(self, activity: PositionActivity) -> str:
        """Return the newest booked record, or the group that it is in, which moved as much of the same instrument."""
        wanted = {moved_by(activity), moved_by(replace(activity, quantity=-activity.quantity))}
        for event in reversed(self.account.history):
            # Ledgers of earlier versions name only the instrument.
            moved = event.payload.get("moved")
            same = event.payload.get("instrument") == activity.instrument if moved is None else wanted & {*moved}
            # The other records of a group that has been taken back are about the same group.
            is_open = event.key not in self.account.cancelled or len(moved or ()) > 1
            if event.key.startswith("position:") and same and is_open:
                return event.key.partition(":")[2]
        raise NotBookableError("AMENDMENT_OF_UNKNOWN_ACTIVITY", "it does not say which activity it takes back")

    def others_of(self, action: Event, record: str) -> list[PositionActivity]:
        """Return the other records of a corporate action; none where its ledger was written without them."""
        records = map(position_of, action.payload.get("records", ()))
        return [other for other in records if record not in (other.activity_id, other.supersedes)]

    def left_behind(self) -> list[PositionActivity]:
        """Return records of corporate actions that were taken back for another record, and not by themselves."""
        left = {}
        for event in self.account.history:
            for facts in event.payload.get("records", ()) if event.key in self.account.cancelled else ():
                left[facts["activity_id"]] = position_of(facts)
        counts = {name for event in self.account.history for name in self._names(event)}
        return [record for name, record in left.items() if name not in counts | self.account.taken_back]

    def _names(self, event: Event) -> Iterable[str]:
        return () if event.key in self.account.cancelled else event.payload.get("activities", ())

    def is_new_state_of(self, activity: Activity, earlier: Activity | None) -> bool:
        """Whether a broker has written an amendment into the record itself: one id, first booked, now taken back."""
        if activity.amendment is Amendment.NEW or activity.supersedes not in (None, activity.activity_id):
            return False
        if earlier is not None:
            return earlier.amendment is Amendment.NEW
        row = self.account.quarantine.get(row_of(activity.activity_id))
        if row is not None:
            return amendment_of_row(row) is Amendment.NEW
        first = f"fill:{activity.activity_id}" if isinstance(activity, FillActivity) else key_of(activity)
        known = self.events([first])
        return bool(known) and self._is_first(known[0], activity.activity_id)

    def _is_first(self, event: Event, name: str) -> bool:
        if event.kind is EventKind.EVENT_CANCELLED or "amends" in event.payload or event.payload.get("amendment"):
            return False
        whole = event.payload.get("with")
        if event.kind is not EventKind.ACTIVITY_NOTED or whole is None:
            return True
        return any(name in main.payload.get("activities", ()) for main in self.events([whole]))


def _is_of(event: Event, record: str) -> bool:
    facts = event.payload
    is_superseded = any(member["supersedes"] == record for member in facts.get("records", ()))
    return event.key == f"position:{record}" or record in facts.get("activities", ()) or is_superseded
