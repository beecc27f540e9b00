"""Corporate actions that brokers write as several rows: old shares out, new shares in, cash."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from quant_pipeline.common.exceptions import AccountError
from quant_pipeline.common.listing import first_of
from quant_pipeline.trading.activities.corporate import meaning_of_group
from quant_pipeline.trading.broker_records import PositionActivity, PositionKind
from quant_pipeline.trading.ledger.events import EventKind
from quant_pipeline.trading.statements.cells import ZERO, Cells, plain
from quant_pipeline.trading.statements.drafts import Draft, Leg, name_drafts

_KINDS = {
    "split": EventKind.SPLIT,
    "merger": EventKind.MERGER,
    "symbol_change": EventKind.SYMBOL_CHANGE,
    "delisting": EventKind.DELISTING,
    # Parts after the first are spun off from it.
    "unit_split": EventKind.MERGER,
}


def leg_of(cells: Cells) -> tuple[EventKind, Leg]:
    """Read a row as one part of a corporate action.

    Raises
    ------
    AccountError
        When the action cannot take several rows, or moves neither shares nor cash.
    """
    if cells.rule.book not in _KINDS:
        raise AccountError(f"{cells.row.place}: rows that are booked as {cells.rule.book} cannot be joined by `pair`")
    moved, cash = cells.number("quantity", required=False), cells.number("cash", required=False)
    leg = Leg(cells.instrument(), moved, cash, cells.number("price") if cells.has("price") else None)
    if leg.quantity == 0 and leg.cash == 0:
        raise cells.fail("quantity", f"a {cells.rule.book} moves shares or cash, this row moves neither")
    return _KINDS[cells.rule.book], leg


def join_legs(drafts: Sequence[Draft]) -> tuple[list[Draft], list[str]]:
    """Join the rows of every corporate action of one file.

    Parameters
    ----------
    drafts
        What the rows of a file book, in their order; those with legs are joined.

    Returns
    -------
    tuple
        The drafts, an action in the place of its first row, rows whose other half is missing as they are; warnings.
    """
    groups: dict[tuple[object, ...], list[Draft]] = defaultdict(list)
    for draft in drafts:
        if draft.legs:
            groups[_group(draft)].append(draft)
    joined: dict[int, list[Draft]] = {}
    warnings: list[str] = []
    for members in groups.values():
        for part in _parts(members):
            try:
                whole = _join(part)
            except AccountError:
                continue
            if not whole:
                name = part[0].legs[0].instrument
                warnings.append(f"{part[0].place}: {name} gets another number, nothing that is booked changes")
            elif part[0].cells.rule.book == "unit_split" and any(leg.price is None for leg in _coming(part)):
                warnings.append(
                    f"{part[0].place}: the parts of a unit have no prices; the first one takes all of its cost"
                )
            joined |= {id(draft): [] for draft in part} | {id(part[0]): whole}
    return [made for draft in drafts for made in joined.get(id(draft), [draft])], warnings


def join_halves(drafts: Sequence[Draft]) -> tuple[list[Draft], list[str]]:
    """Join rows of one action that stand in two files, where one ends and the next begins within a day.

    Parameters
    ----------
    drafts
        Of all files; those that still have legs lack their other half.

    Returns
    -------
    tuple
        The drafts, and the halves that no file completes.
    """
    known = {(draft.format, draft.day, part) for draft in drafts for part in draft.parts}
    groups: dict[tuple[object, ...], dict[object, Draft]] = defaultdict(dict)
    for draft in drafts:
        if draft.legs and (draft.format, draft.day, _part(draft)) not in known:
            # The same half in two files is one.
            groups[draft.format, *_group(draft)].setdefault(_part(draft), draft)
    joined: list[Draft] = []
    problems: list[str] = []
    for members in groups.values():
        try:
            whole = _join(list(members.values()))
        except AccountError as error:
            problems.append(error.message)
            continue
        name_drafts(whole)
        joined += whole
    return [*(draft for draft in drafts if not draft.legs), *joined], problems


def _part(draft: Draft) -> str:
    leg = draft.legs[0]
    return "+".join(draft.identities) or f"{leg.instrument} {plain(leg.quantity)} {plain(leg.cash)}"


def _group(draft: Draft) -> tuple[object, ...]:
    rule, row = draft.cells.rule, draft.cells.row
    named = [value for column in rule.pair or () if (value := row.get(column))]
    kind = draft.amendment.kind if draft.amendment else ""
    return (draft.kind, kind, draft.day, *named)


def _parts(members: list[Draft]) -> Iterable[list[Draft]]:
    """Split actions of one day: those that are whole within one name, renamings by their number of shares."""
    by_name: dict[str, list[Draft]] = defaultdict(list)
    for draft in members:
        by_name[draft.legs[0].instrument].append(draft)
    if all(len(rows) > 1 and any(row.legs[0].quantity < 0 for row in rows) for rows in by_name.values()):
        return by_name.values()
    out = [draft for draft in members if draft.legs[0].quantity < 0]
    if len(out) < 2 or members[0].kind is not EventKind.SYMBOL_CHANGE:
        return [members]
    parts = []
    for leaving in out:
        coming = [draft for draft in members if draft.legs[0].quantity == -leaving.legs[0].quantity]
        if len(coming) != 1:
            return [members]
        parts.append([leaving, coming[0]])
    return parts


def _join(members: list[Draft]) -> list[Draft]:
    """Return what rows that belong together book; nothing when they only give a security another number."""
    first = members[0]
    if first.cells.rule.book == "unit_split":
        return _unit_split(members)
    legs = [leg for draft in members for leg in draft.legs]
    if first.amendment is not None and first.amendment.kind == "cancel" and first.kind is EventKind.SPLIT:
        # What takes back a split moves its shares the other way.
        turned = len(members) == 1 and legs[0].quantity < 0
        legs = [replace(leg, quantity=-leg.quantity) if turned else leg for leg in legs]
    out, into = _sums(leg for leg in legs if leg.quantity < 0), _sums(leg for leg in legs if leg.quantity > 0)
    if len(out) > 1 or len(into) > 1:
        raise AccountError(
            f"{first.place}: {len(members)} rows of one day move {first_of([*out, *into])}; which of them belong "
            "together is not stated. Write the actions into plain.csv and let a rule ignore these rows."
        )
    amount = sum((leg.cash for leg in legs), ZERO)
    facts = _facts(first, out, into, amount)
    if facts is None:
        return []
    kind, values = facts
    values["amount"] = plain(amount)
    identities = tuple(identity for draft in members for identity in draft.identities)
    cash = amount if any(draft.cash is not None for draft in members) else None
    whole = Draft(first.format, first.cells, kind, values, first.moment, cash, identities, amendment=first.amendment)
    return [_of_rows(whole, members)]


def _unit_split(members: list[Draft]) -> list[Draft]:
    """Part a unit as the live account does: its cost goes to its parts by their values."""
    records = [
        PositionActivity(
            "+".join(draft.identities),
            draft.day,
            kind=PositionKind.UNIT_SPLIT,
            instrument=draft.legs[0].instrument,
            quantity=draft.legs[0].quantity,
            amount=draft.legs[0].cash,
            price=draft.legs[0].price,
        )
        for draft in members
    ]
    meaning = meaning_of_group(records)
    first = members[0]
    if meaning.problem or meaning.kind is None:
        raise AccountError(f"{first.place}: {meaning.problem}; the rows with the other parts are missing")
    came = [draft for draft in members if draft.legs[0].quantity > 0][1:]
    identities = tuple(identity for draft in members for identity in draft.identities)
    cash = sum((leg.cash for draft in members for leg in draft.legs), ZERO)
    whole = replace(
        first, kind=meaning.kind, facts=dict(meaning.facts or {}), cash=cash, identities=identities, legs=[]
    )
    parts = [
        replace(draft, kind=kind, facts={**facts, "amount": "0"}, cash=ZERO, moment=first.moment, legs=[])
        for draft, (kind, facts) in zip(came, meaning.more, strict=True)
    ]
    return [_of_rows(whole, members), *parts]


def _coming(members: Sequence[Draft]) -> list[Leg]:
    return [leg for draft in members for leg in draft.legs if leg.quantity > 0]


def _of_rows(whole: Draft, members: Sequence[Draft]) -> Draft:
    rows = tuple(name for draft in members for name in draft.rows)
    return replace(whole, parts=tuple(_part(draft) for draft in members), rows=rows)


def _facts(
    first: Draft, out: dict[str, Decimal], into: dict[str, Decimal], amount: Decimal
) -> tuple[EventKind, dict[str, Any]] | None:
    """Say what an action does; None when it only gives a security another number."""
    old, left = next(iter(out.items()), ("", ZERO))
    new, came = next(iter(into.items()), ("", ZERO))
    if not old and not new:
        raise AccountError(
            f"{first.place}: cash of a {first.cells.rule.book}, but no row says which shares left for it"
        )
    if first.kind is EventKind.SPLIT and old and new and _is_number(old) != _is_number(new):
        # Old shares that are called by their number already are those of the symbol.
        old = new = new if _is_number(old) else old
    if old and new and old != new:
        if _is_number(old) and not _is_number(new):
            raise AccountError(
                f"{first.place}: the shares that become {new} are called {old}, a number and no symbol; say which they "
                f"were under `symbols` of the format: '{old}': <symbol>"
            )
        if first.kind is EventKind.SYMBOL_CHANGE and came == -left and not amount:
            return EventKind.SYMBOL_CHANGE, {"instrument": old, "new_instrument": new, "quantity": plain(-left)}
        after = {"quantity": plain(-left), "quantity_after": plain(came)}
        return EventKind.MERGER, {"instrument": old, "new_instrument": new} | after
    if old and new:
        if came == -left and not amount:
            return None
        return EventKind.SPLIT, {"instrument": old, "quantity_before": plain(-left), "quantity_after": plain(came)}
    if first.kind is EventKind.SPLIT:
        if first.cells.rule.needs_both or left or _makes_fewer(first.cells):
            raise AccountError(
                f"{first.place}: one half of a split, {plain(left + came)} {old or new}; the row with the "
                f"{'old' if new else 'new'} shares is missing"
            )
        return EventKind.SPLIT, {"instrument": old or new, "quantity_change": plain(left + came)}
    if not old:
        raise AccountError(f"{first.place}: {plain(came)} {new} come, but no row says which shares they stand for")
    if first.kind is EventKind.SYMBOL_CHANGE:
        raise AccountError(f"{first.place}: {plain(-left)} {old} leave under their name, but no row has the new one")
    if first.kind is EventKind.MERGER and not amount:
        raise AccountError(
            f"{first.place}: {plain(-left)} {old} leave by a merger, but no row says what came for them; add the "
            "statement with it, or write the merger, or a delisting when nothing came, into plain.csv"
        )
    kind = EventKind.MERGER if first.kind is EventKind.MERGER else EventKind.DELISTING
    return kind, {"instrument": old, "quantity": plain(-left)}


def _makes_fewer(cells: Cells) -> bool:
    """Whether the ratio of a split, new shares for old ones, is below one."""
    numbers = re.fullmatch(r"(\d+(?:\.\d+)?) for (\d+(?:\.\d+)?)", cells.text("ratio", required=False))
    return numbers is not None and Decimal(numbers.group(1)) < Decimal(numbers.group(2))


def _is_number(name: str) -> bool:
    """Whether a security is called by its CUSIP or ISIN instead of its symbol."""
    is_code = re.fullmatch(r"[0-9A-Z]{8}\d|[A-Z]{2}[0-9A-Z]{9}\d", name) is not None
    return is_code and sum(character.isdigit() for character in name) > 2


def _sums(legs: Iterable[Leg]) -> dict[str, Decimal]:
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for leg in legs:
        sums[leg.instrument] += leg.quantity
    return dict(sums)
