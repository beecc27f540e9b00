"""Corporate actions that a broker writes in several records: which belong together, and what they do to the books.

Alpaca writes old shares out, new shares in and cash as records of their own, joined by ``group_id`` or ``ca_id``. Where
there is no such name, records of one kind, instrument and date belong together; several renamings or mergers of one day
are kept apart by names in their descriptions, by CUSIP, or by equal quantities. What stays ambiguous is not guessed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from quant_pipeline.trading.broker_records import Consideration, PositionActivity, PositionKind
from quant_pipeline.trading.ledger.events import EventKind

ZERO = Decimal(0)
INCOMPLETE, AMBIGUOUS = "INCOMPLETE", "AMBIGUOUS"
_OF_SEVERAL = (
    PositionKind.SPLIT,
    PositionKind.SYMBOL_CHANGE,
    PositionKind.MERGER,
    PositionKind.UNIT_SPLIT,
)
_EXCHANGES = _OF_SEVERAL[1:]


@dataclass(frozen=True)
class Meaning:
    """What records that belong together do: facts of one event, more events after it, or why they cannot be booked.

    Attributes
    ----------
    kind, facts
        The event; None when it moves nothing.
    more
        Further events, as kind and facts.
    warning
        What the operator should know although it is booked; empty when nothing.
    code, problem
        Why it cannot be booked; empty when it can.
    """

    kind: EventKind | None = None
    facts: dict[str, Any] | None = None
    more: tuple[tuple[EventKind, dict[str, Any]], ...] = ()
    warning: str = ""
    code: str = ""
    problem: str = ""


def groups_of(records: Sequence[PositionActivity]) -> list[tuple[PositionActivity, ...]]:
    """Put together what belongs together, in the order of the first record of each group."""
    named: dict[tuple[str, ...], list[PositionActivity]] = {}
    exchanges: dict[tuple[str, ...], list[PositionActivity]] = {}
    for record in records:
        day = f"{record.date:%Y-%m-%d}"
        if record.kind not in _OF_SEVERAL or (record.kind is PositionKind.SPLIT and not record.is_half):
            named[("one", record.activity_id)] = [record]
        elif record.group:
            named.setdefault(("group", record.group), []).append(record)
        elif record.kind is PositionKind.SPLIT:
            named.setdefault(("split", record.instrument, day), []).append(record)
        else:
            exchanges.setdefault((record.kind, day), []).append(record)
    groups = [tuple(group) for group in named.values()]
    for group in exchanges.values():
        groups += _parted(group)
    place = {record.activity_id: number for number, record in enumerate(records)}
    return sorted(groups, key=lambda group: place[group[0].activity_id])


def meaning_of_group(records: Sequence[PositionActivity]) -> Meaning:
    """Say what records that belong together do to the books."""
    leaving = [record for record in records if record.quantity < 0]
    coming = [record for record in records if record.quantity > 0]
    cash = sum((record.amount for record in records), ZERO)
    match records[0].kind:
        case PositionKind.SPLIT:
            return _split(records, leaving, coming, cash)
        case PositionKind.STOCK_DIVIDEND:
            facts = {"instrument": records[0].instrument, "quantity_change": str(records[0].quantity)}
            return Meaning(EventKind.SPLIT, facts | {"amount": str(cash)})
        case PositionKind.SYMBOL_CHANGE | PositionKind.MERGER:
            return _exchange(records, leaving, coming, cash)
        case PositionKind.UNIT_SPLIT:
            return _unit_split(leaving, coming, cash)
        case PositionKind.REMOVAL if leaving:
            facts = {"instrument": leaving[0].instrument, "quantity": str(-leaving[0].quantity), "amount": str(cash)}
            return Meaning(EventKind.DELISTING, facts)
    return _transfer(records[0], cash)


def _split(
    records: Sequence[PositionActivity],
    leaving: Sequence[PositionActivity],
    coming: Sequence[PositionActivity],
    cash: Decimal,
) -> Meaning:
    instruments = {record.instrument for record in records}
    # Where less than one share is left, the new record is one of nothing.
    if records[0].is_half and not (leaving and len(records) > 1):
        return Meaning(code=INCOMPLETE, problem=_half("split", records))
    if len(instruments) > 1:
        # A reverse split may come with a new symbol.
        return _exchange(records, leaving, coming, cash)
    change = sum((record.quantity for record in records), ZERO)
    facts = {"instrument": records[0].instrument, "quantity_change": str(change), "amount": str(cash)}
    return Meaning(EventKind.SPLIT, facts | _taken_out(leaving))


def _taken_out(leaving: Sequence[PositionActivity]) -> dict[str, str]:
    gone = -sum((record.quantity for record in leaving), ZERO)
    return {"quantity_before": str(gone)} if gone else {}


def _exchange(
    records: Sequence[PositionActivity],
    leaving: Sequence[PositionActivity],
    coming: Sequence[PositionActivity],
    cash: Decimal,
) -> Meaning:
    kind = records[0].kind
    paid = {record.consideration for record in records} - {Consideration.UNKNOWN}
    needs_cash = bool(paid & {Consideration.CASH, Consideration.BOTH})
    needs_shares = bool(paid & {Consideration.SHARES, Consideration.BOTH}) or kind is PositionKind.SYMBOL_CHANGE
    has_all = (coming or not needs_shares) and (cash or not needs_cash) and (coming or cash)
    if not leaving or not has_all:
        return Meaning(code=INCOMPLETE, problem=_half(kind.replace("_", " "), records))
    old, new = {record.instrument for record in leaving}, {record.instrument for record in coming}
    if len(old) > 1 or len(new) > 1:
        names = ", ".join(sorted({*old, *new}))
        return Meaning(code=AMBIGUOUS, problem=f"which of {names} became which is not stated")
    gone = -sum((record.quantity for record in leaving), ZERO)
    after = sum((record.quantity for record in coming), ZERO)
    (instrument,) = old
    if new == old and gone == after and not cash:
        return Meaning()  # Only its CUSIP has changed.
    if new == old:
        facts = {"instrument": instrument, "quantity_change": str(after - gone), "amount": str(cash)}
        facts |= {"quantity_before": str(gone)}
        return Meaning(EventKind.SPLIT, facts)
    facts = {"instrument": instrument, "quantity": str(gone)}
    if new:
        facts |= {"new_instrument": next(iter(new)), "quantity_after": str(after)}
    is_renamed = kind is PositionKind.SYMBOL_CHANGE and gone == after and not cash
    facts |= {} if is_renamed else {"amount": str(cash)}
    return Meaning(EventKind.SYMBOL_CHANGE if is_renamed else EventKind.MERGER, facts)


def _unit_split(leaving: Sequence[PositionActivity], coming: Sequence[PositionActivity], cash: Decimal) -> Meaning:
    if len(leaving) != 1 or len(coming) < 2:
        return Meaning(code=INCOMPLETE, problem=_half("split of a unit", [*leaving, *coming]))
    unit, (first, *others) = leaving[0], coming
    values = [None if record.price is None else record.price * record.quantity for record in coming]
    known = [value for value in values if value is not None and value > 0]
    total = sum(known, ZERO) if len(known) == len(coming) else ZERO
    facts = {"instrument": unit.instrument, "quantity": str(-unit.quantity), "amount": str(cash)}
    facts |= {"new_instrument": first.instrument, "quantity_after": str(first.quantity)}
    more, left = [], Decimal(1)
    for record, value in zip(others, values[1:], strict=True):
        part = (value or ZERO) / total if total else ZERO
        fraction = (part / left).quantize(Decimal("1e-12"))
        left -= part
        more.append(
            (
                EventKind.SPIN_OFF,
                {
                    "instrument": first.instrument,
                    "new_instrument": record.instrument,
                    "quantity": str(record.quantity),
                    "cost_fraction": str(fraction),
                },
            )
        )
    words = f"the parts of {unit.instrument} came without values; its whole cost is that of {first.instrument} now"
    return Meaning(EventKind.MERGER, facts, tuple(more), "" if total else words)


def _transfer(record: PositionActivity, cash: Decimal) -> Meaning:
    """Shares in or out whose other side the broker does not name: their cost is what it states, or nothing."""
    facts = {"instrument": record.instrument, "quantity": str(record.quantity)}
    more: tuple[tuple[EventKind, dict[str, Any]], ...] = ()
    if cash:
        more = ((EventKind.OTHER_CASH, {"instrument": record.instrument, "amount": str(cash)}),)
    if not record.quantity:
        return Meaning(*more[0]) if more else Meaning()
    if record.quantity < 0 and record.kind is PositionKind.TRANSFER:
        return Meaning(EventKind.TRANSFER, {**facts, "cost": "0"}, more)
    if record.kind is PositionKind.TRANSFER and record.price is not None and record.price > 0:
        return Meaning(EventKind.TRANSFER, {**facts, "cost": str(record.price * record.quantity)}, more)
    warning = f"{record.kind} moved {record.quantity} {record.instrument}; its cost is booked as nothing"
    return Meaning(EventKind.TRANSFER, {**facts, "cost": "0"}, more, warning)


def _parted(records: list[PositionActivity]) -> list[tuple[PositionActivity, ...]]:
    """Tell several renamings or mergers of one day apart; records that cannot be assigned stay together."""
    leaving = [record for record in records if record.quantity < 0]
    if len({record.instrument for record in leaving}) < 2:
        return [tuple(records)]
    groups = {record.activity_id: [record] for record in leaving}
    unassigned = []
    for record in (r for r in records if r.quantity >= 0):
        owners = _owners(record, leaving)
        if len(owners) == 1:
            groups[owners[0].activity_id].append(record)
        else:
            unassigned.append(record)
    if unassigned:
        # What is complete without them is certain; the rest waits for the operator.
        open_groups = [group for group in groups.values() if len(group) == 1]
        rest = tuple(record for group in open_groups for record in group) + tuple(unassigned)
        return [tuple(group) for group in groups.values() if len(group) > 1] + [rest]
    taken = [group for group in groups.values() if sum(1 for r in group if r.quantity > 0) > 1]
    if taken and records[0].kind is PositionKind.SYMBOL_CHANGE:
        return [tuple(records)]
    return [tuple(group) for group in groups.values()]


def _owners(record: PositionActivity, leaving: Sequence[PositionActivity]) -> list[PositionActivity]:
    """Return which leaving record a coming one, or a payment, belongs to: by the first rule that finds any."""
    rules = (
        lambda old: record.quantity == 0 and old.instrument == record.instrument,
        lambda old: _mentions(old.description, record.instrument) or _mentions(record.description, old.instrument),
        lambda old: bool(_cusip(old)) and _cusip(old) == _cusip(record),
        lambda old: old.kind is PositionKind.SYMBOL_CHANGE and -old.quantity == record.quantity,
    )
    for rule in rules:
        if found := [old for old in leaving if rule(old)]:
            return found
    return []


def _mentions(text: str, instrument: str) -> bool:
    return re.search(rf"(?<![\w.]){re.escape(instrument)}(?![\w.])", text) is not None


def _cusip(record: PositionActivity) -> str:
    return str(record.raw.get("cusip") or "")


def _half(what: str, records: Sequence[PositionActivity]) -> str:
    rows = ", ".join(f"{record.quantity} {record.instrument}" for record in records)
    return f"only a part of a {what} has been reported: {rows}"
