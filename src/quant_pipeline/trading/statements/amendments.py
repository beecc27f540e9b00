"""Rows that take back, correct or complete others: cancel codes, previous ids, busts by hand, costs by hand."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pandas as pd

from quant_pipeline.trading.ledger.events import EventKind
from quant_pipeline.trading.statements.cells import plain
from quant_pipeline.trading.statements.drafts import Draft
from quant_pipeline.trading.statements.interpreter import PARENT

BROKERS_DELAY = pd.Timedelta(days=5)
"""How far the dates of one corporate action may be apart."""

_BY_HAND = (
    EventKind.TRANSFER, EventKind.SPLIT, EventKind.SPIN_OFF, EventKind.MERGER, EventKind.SYMBOL_CHANGE,
)  # fmt: skip
_SIGNED = ("amount", "quantity", "cash", "fee", "quantity_change")


def apply_amendments(drafts: Sequence[Draft]) -> tuple[list[Draft], list[str]]:
    """Turn rows that take back or correct others into busts, corrections and cancellations.

    Parameters
    ----------
    drafts
        Of all files, with their keys.

    Returns
    -------
    tuple
        The drafts, and what takes back a row that no statement has.
    """
    kept = [draft for draft in drafts if draft.amendment is None]
    made: dict[str, Draft] = {}
    problems: list[str] = []
    amended = _Amended([*kept])
    for draft in _in_turn([draft for draft in drafts if draft.amendment is not None]):
        key = amended.target(draft)
        if key is None:
            problems.append(
                f"{draft.place}: takes back a {draft.kind} that no statement has; add the statement with it, or write "
                "what is right into plain.csv and let a rule ignore this row"
            )
            continue
        for event in amended.apply(draft, key):
            made.setdefault(event.key, event)
    return [*kept, *made.values()], list(dict.fromkeys(problems))


def _in_turn(amendments: Sequence[Draft]) -> Iterator[Draft]:
    """Yield amendments by their time, those of other amendments behind these."""
    waiting = sorted(amendments, key=lambda draft: draft.moment.at)
    while waiting:
        names = {(draft.format, name) for draft in waiting for name in draft.identities}
        ready = [draft for draft in waiting if (draft.format, _previous(draft)) not in names] or waiting
        yield from ready
        waiting = [draft for draft in waiting if draft not in ready]


def _previous(draft: Draft) -> str:
    named = draft.cells.text("previous", required=False)
    return "" if named in draft.identities else named


class _Amended:
    """Rows as they stand after the amendments so far.

    Parameters
    ----------
    known
        Rows that amend nothing; rows that stand in the place of others are added.
    """

    def __init__(self, known: list[Draft]) -> None:
        self._known = known
        self._taken: dict[str, str] = {}
        self._replaced: dict[str, str] = {}
        self._corrected_by: dict[tuple[str, str], str] = {}

    def target(self, draft: Draft) -> str | None:
        """Find the key of the row that is amended, as it stands now; None when no row is."""
        key, own = self._named(draft), self._standing(draft)
        while key in self._replaced and self._replaced[key] != own:
            key = self._replaced[key]
        return key

    def _standing(self, draft: Draft) -> str:
        """Return the key under which an amendment itself is booked; one within the row needs another than the row."""
        if all(other.key != draft.key for other in self._known):
            return draft.key
        facts = json.dumps(draft.compared, sort_keys=True, default=str)
        return f"{draft.key}:corrected:{hashlib.sha256(facts.encode()).hexdigest()[:8]}"

    def _named(self, draft: Draft) -> str | None:
        """Find a row by the id that an amendment names, or has itself, else by what it says."""
        previous = _previous(draft)
        if previous:
            for other in self._known:
                # Executions are also named by the end of their id, behind the time of the record.
                named = (name == previous or name.endswith(f"::{previous}") for name in other.identities)
                if other.format == draft.format and any(named):
                    return other.key
            return self._corrected_by.get((draft.format, previous), f"{draft.format}:{draft.kind}:{previous}")
        for other in self._known:
            # A later export may write into the row itself that it was taken back.
            is_itself = (other.format, other.kind, other.identities) == (draft.format, draft.kind, draft.identities)
            if draft.identities and is_itself:
                return other.key
        same = [
            other
            for other in self._known
            if (other.format, other.kind) == (draft.format, draft.kind)
            and other.moment.at <= draft.moment.at
            and self._taken.get(other.key, draft.key) == draft.key
            and (_unsigned(other.facts) == _unsigned(draft.facts))
        ]
        return max(same, key=lambda other: other.moment.at).key if same else None

    def apply(self, draft: Draft, key: str) -> list[Draft]:
        """Return what an amendment books, and keep in mind what stands in the place of the row."""
        self._taken[key] = draft.key
        original = next((other for other in self._known if other.key == key), None)
        events = _amending(draft, self._standing(draft), key, original)
        self._corrected_by |= {(draft.format, name): key for name in draft.identities}
        if len(events) > 1:
            self._known.append(events[-1])
            self._replaced[key] = events[-1].key
        return events


def _unsigned(facts: dict[str, Any]) -> dict[str, Any]:
    """Return the facts of a row without its sign: a row that takes back may repeat or turn it."""
    amounts = {name: str(value).removeprefix("-") for name, value in facts.items() if name in _SIGNED}
    others = {name: facts[name] for name in ("instrument", "price", "new_instrument") if name in facts}
    return amounts | others


def _amending(draft: Draft, standing: str, key: str, original: Draft | None) -> list[Draft]:
    """Return the bust, correction or cancellation of a row, and behind it the row that stands in its place, if any."""
    is_correction = draft.amendment is not None and draft.amendment.kind == "correct"
    plain_draft = replace(draft, amendment=None, key=standing)
    if draft.kind is EventKind.FILL:
        facts: dict[str, Any] = {"fill": key}
        bust = replace(
            plain_draft, kind=EventKind.TRADE_BUST, facts=facts, key=_key(draft.key, "trade_bust"), cash=None
        )
        if not is_correction:
            return [bust]
        if original is not None and _trade_of(original) != _trade_of(draft):
            return [bust, plain_draft]
        kind = EventKind.TRADE_CORRECTION
        return [replace(plain_draft, kind=kind, facts=facts | draft.facts, key=_key(standing, str(kind)), cash=None)]
    cancelled = {"events": [key], "message": draft.cells.text("note", required=False)}
    cancellation = replace(
        plain_draft, kind=EventKind.EVENT_CANCELLED, facts=cancelled, key=f"{key}:cancelled", cash=None, identities=()
    )
    return [cancellation, plain_draft] if is_correction else [cancellation]


def _key(key: str, kind: str) -> str:
    """Return the key of an amendment: that of its row with another kind."""
    form, _, rest = key.partition(":")
    return f"{form}:{kind}:{rest.partition(':')[2]}"


def _trade_of(draft: Draft) -> tuple[str, str]:
    """Return instrument and side, which no correction of a trade can change: then it was another trade."""
    return draft.instrument, str(draft.facts.get("side"))


def name_fills(drafts: Iterable[Draft]) -> None:
    """Let busts and corrections written by hand name a fill of any format: by its id there, or by its whole key."""
    drafts = list(drafts)
    fills = {draft.key for draft in drafts if draft.kind is EventKind.FILL}
    for draft in drafts:
        if draft.kind not in (EventKind.TRADE_BUST, EventKind.TRADE_CORRECTION) or draft.facts["fill"] in fills:
            continue
        named = str(draft.facts["fill"])
        own = f"{draft.format}:{EventKind.FILL}:{named}"
        of_others = [key for key in sorted(fills) if key.split(":", 2)[2] == named]
        if own in fills or len(of_others) != 1:
            # A key with its format may be of a fill that only the ledger has.
            draft.facts["fill"] = own if own in fills or f":{EventKind.FILL}:" not in named else named
        else:
            draft.facts["fill"] = of_others[0]


def supersede_partial(drafts: Sequence[Draft]) -> list[Draft]:
    """Leave out orders that were half filled in a statement where another one shows more of the same order.

    Two statements that have a trade of the same second both cover its day. A row that only one of them has, while the
    other has more shares of that second, is an earlier picture of the same order.
    """
    keys = {(draft.file, draft.key) for draft in drafts}
    moments: dict[tuple[object, ...], list[Draft]] = defaultdict(list)
    for draft in drafts:
        if draft.kind is EventKind.FILL and draft.moment.has_time and not draft.identities and draft.amendment is None:
            moments[draft.format, draft.instrument, draft.facts["side"], draft.moment.at].append(draft)
    replaced: dict[int, Draft | None] = {}
    for same in moments.values():
        for draft in same if len(same) > 1 else ():
            whole = next(
                (other for other in same if _shows_more(other, draft) and (other.file, draft.key) not in keys), None
            )
            if whole is not None:
                known = replaced.get(id(whole)) or whole
                replaced |= {id(draft): None, id(whole): replace(known, replaces=(*known.replaces, draft.key))}
    kept = [replaced.get(id(draft), draft) for draft in drafts]
    return [draft for draft in kept if draft is not None]


def _shows_more(other: Draft, draft: Draft) -> bool:
    return other.file != draft.file and Decimal(other.facts["quantity"]) > Decimal(draft.facts["quantity"])


def prefer_by_hand(drafts: Sequence[Draft]) -> tuple[list[Draft], list[str], list[str]]:
    """Leave out what the user has written by hand: it is the same fact, and knows what the export does not tell.

    Returns
    -------
    tuple
        The drafts without what is stated by hand too; what is missing, with the row to write; what was left out.
    """
    problems: list[str] = []
    warnings: list[str] = []
    kept: list[Draft] = []
    used: set[int] = set()
    written = [draft for draft in drafts if draft.cells.form.completes and draft.kind in _BY_HAND]
    for draft in drafts:
        about = (other for other in written if id(other) not in used and _is_about(other, draft))
        by_hand = None if draft.cells.form.completes else next(about, None)
        if by_hand is not None:
            used.add(id(by_hand))
            warnings.append(f"{draft.place}: {by_hand.place} states the same {draft.kind} by hand, which counts")
            continue
        if draft.missing:
            problems.append(_missing(draft))
        if draft.missing != PARENT:
            kept.append(draft)
    return kept, problems, warnings


def _is_about(other: Draft, draft: Draft) -> bool:
    """Whether a row written by hand states the same corporate action, or the transfer whose cost is not known."""
    if other.missing or other.kind is not draft.kind or (draft.kind is EventKind.TRANSFER and not draft.missing):
        return False
    same = [name for name in ("instrument", "new_instrument") if draft.facts.get(name)]
    if draft.kind in (EventKind.TRANSFER, EventKind.SPIN_OFF):
        same.append("quantity")
    near = abs(other.day - draft.day) <= BROKERS_DELAY
    return near and all(other.facts.get(name) == draft.facts[name] for name in same)


def _missing(draft: Draft) -> str:
    quantity = plain(Decimal(draft.facts["quantity"]))
    if draft.kind is EventKind.TRANSFER:
        what = (
            f"it needs a cost: the export does not tell what {quantity} {draft.instrument}, transferred in, have cost"
        )
        columns = "date,kind,instrument,quantity,cost,opened"
        row = f"{draft.day:%Y-%m-%d},transfer,{draft.instrument},{quantity},<cost>,<day of purchase>"
    else:
        new = draft.facts["new_instrument"]
        if draft.missing == PARENT:
            return (
                f"{draft.place}: {quantity} {new} come from a spin-off, but the export does not tell of which company; "
                "state it in a file such as plain_1.csv with the columns date,kind,instrument,quantity,new_instrument,"
                f"cost_fraction by the row {draft.day:%Y-%m-%d},spin_off,<old>,{quantity},{new},<0 to 1>"
            )
        what = (
            f"which part of the cost of {draft.instrument} the {quantity} {new} take over (cost_fraction) is not stated"
        )
        columns = "date,kind,instrument,quantity,new_instrument,cost_fraction"
        row = f"{draft.day:%Y-%m-%d},spin_off,{draft.instrument},{quantity},{new},<0 to 1>"
    return f"{draft.place}: {what}; state it in a file such as plain_1.csv with the columns {columns} by the row {row}"


def repeated_in_another_format(drafts: Sequence[Draft]) -> list[str]:
    """Find trades that stand in the exports of two formats, such as an activity statement and a Flex query.

    They are of one second; where an export tells the day only, of one day.
    """
    seen: dict[tuple[object, ...], list[Draft]] = defaultdict(list)
    problems = []
    for draft in drafts:
        if draft.kind is not EventKind.FILL or draft.cells.form.completes:
            continue
        known = seen[(draft.day, *(draft.facts[name] for name in ("instrument", "side", "quantity", "price")))]
        first = next((other for other in known if other.format != draft.format and _is_same_time(other, draft)), None)
        if first is not None:
            problems.append(
                f"{draft.place}: the same trade stands in {first.place}, an export of another format; keep the files "
                "of one format"
            )
        known.append(draft)
    return problems


def _is_same_time(one: Draft, other: Draft) -> bool:
    if not (one.moment.has_time and other.moment.has_time):
        return True
    return one.moment.at.replace(microsecond=0) == other.moment.at.replace(microsecond=0)
