"""What is new in a reading of a broker's activities, and in which order it is booked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from quant_pipeline.trading.activities.booked import Booked, key_of, row_of
from quant_pipeline.trading.broker_records import Activity, Amendment, CashActivity, CashKind, PositionActivity


def fresh_of(booked: Booked, activities: Sequence[Activity]) -> list[Activity]:
    """Return the activities that were neither booked nor put into quarantine before, amendments behind what they amend.

    An amendment that a broker has written into the record itself, under its own id, gets a name of its own.
    """
    named: dict[str, Activity] = {}
    for activity in activities:
        key = key_of(activity)
        if booked.is_new_state_of(activity, named.get(key)):
            activity = _of_itself(activity)
            key = key_of(activity)
        named[key] = activity
    # What an earlier version did not know was booked by another name.
    others = {key: (row_of(a.activity_id), f"unknown:{a.activity_id}") for key, a in named.items()}
    known = booked.find([*named, *(name for names in others.values() for name in names)])
    fresh = [a for key, a in named.items() if not any(n in known for n in (key, *others[key]))]
    return _amendments_last(_fractions_last(fresh))


def _fractions_last(fresh: Sequence[Activity]) -> list[Activity]:
    """Put cash for a fraction behind the corporate action that left it, wherever it stands in the reading."""
    ordered = list(fresh)
    for paid in (a for a in fresh if isinstance(a, CashActivity) and a.kind is CashKind.CASH_IN_LIEU):
        last = max((place for place, a in enumerate(ordered) if _has_left(a, paid)), default=-1)
        if last > (place := ordered.index(paid)):
            ordered.insert(last, ordered.pop(place))
    return ordered


def _has_left(action: Activity, paid: CashActivity) -> bool:
    if not isinstance(action, PositionActivity):
        return False
    if paid.group and action.group:
        return paid.group == action.group
    return (action.instrument, action.date) == (paid.instrument, paid.date)


def _amendments_last(fresh: Sequence[Activity]) -> list[Activity]:
    """Put amendments of one reading behind what they amend, wherever they stand in it."""
    names = {name for a in fresh if a.amendment is Amendment.NEW for name in _names_of(a)}
    ordered: list[Activity] = []
    waiting: dict[str, list[Activity]] = {}
    for activity in fresh:
        target = activity.supersedes
        if activity.amendment is not Amendment.NEW and target in names:
            waiting.setdefault(target, []).append(activity)
            continue
        names -= set(_names_of(activity))
        ordered.append(activity)
        for name in _names_of(activity):
            ordered += waiting.pop(name, [])
    return ordered


def _names_of(activity: Activity) -> tuple[str, ...]:
    """Return the names by which a broker may call an activity: its id, or the end of it."""
    tail = activity.activity_id.partition("::")[2]
    return (activity.activity_id, tail) if tail else (activity.activity_id,)


def _of_itself(activity: Activity) -> Activity:
    """Give an amendment that its broker has written into the record itself a name of its own."""
    values = [str(getattr(activity, name, None)) for name in ("quantity", "amount", "price")]
    state = "" if activity.amendment is Amendment.CANCELLATION else ":" + ":".join(values)
    name = activity.activity_id
    return replace(activity, activity_id=f"{name}:{activity.amendment}{state}", supersedes=name)
