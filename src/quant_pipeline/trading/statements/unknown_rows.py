"""Rows that no rule explains: cash that they state is booked as other cash, what moves shares waits in quarantine."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from decimal import Decimal
from functools import lru_cache

import pandas as pd

from quant_pipeline.common.exceptions import AccountError
from quant_pipeline.common.listing import first_of
from quant_pipeline.trading.activities.booked import alert
from quant_pipeline.trading.activities.quarantine import PREFIX, quarantine_event, resolution_event
from quant_pipeline.trading.broker_records import UnknownActivity
from quant_pipeline.trading.ledger.bookkeeping import StatementEntry
from quant_pipeline.trading.ledger.events import Event, EventKind
from quant_pipeline.trading.statements.cells import Cells, Readers, plain
from quant_pipeline.trading.statements.dates import DateReader
from quant_pipeline.trading.statements.drafts import Draft
from quant_pipeline.trading.statements.formats import FieldName, RowRule, StatementFormat, agrees, bare
from quant_pipeline.trading.statements.numbers import DecimalMark, read_number
from quant_pipeline.trading.statements.records import StatementRow

CODE = "UNKNOWN_ROW"
UNEXPLAINED = "unexplained:"
"""Start of the keys of cash that was booked as other for want of a rule."""

SORTS_OF_ANOTHER_EXPORT = 3
"""A file with so many sorts of rows of which none is known is another export, or in another language."""

_MADE_HERE = ("line", "Meaning")
"""Columns that conditions look at and no export has."""

_FIELDS: tuple[FieldName, ...] = ("date", "cash", "quantity", "instrument")


def sort_of(row: StatementRow, form: StatementFormat) -> dict[str, str]:
    """Return the columns by which rules tell rows apart, the first to look at first, with the texts of a row."""
    rules = [rule for rule in form.rules if rule.section in (None, row.section)]
    uses = Counter(column for rule in rules for column in rule.when if row.key_of(column) is not None)
    sort = {column: row.get(column) for column, _ in uses.most_common() if column not in _MADE_HERE}
    return sort | {column: row.get(column) for column in form.words if has_unknown_word(row, form)}


def has_unknown_word(row: StatementRow, form: StatementFormat) -> bool:
    """Whether a column that has one of a few words has another one: what the row means is not known then."""
    return any(row.get(column) not in ("", *words) for column, words in form.words.items())


def without_rule(row: StatementRow, form: StatementFormat) -> str:
    """Say that no rule explains a row."""
    sort = sort_of(row, form)
    if not sort:
        columns = first_of(row.header.keys, limit=40)
        return (
            f"{row.file}: none of the columns that tell the rows of its format apart is in its header "
            f"({columns}); is it another export, or in another language? {form.advice}".strip()
        )
    texts = ", ".join(f"{column} '{text}'" for column, text in sort.items() if text)
    what = f"with {texts}" if texts else "without text in its deciding columns"
    return f"{row.place}: no rule of the format says what a row {what} means; add one under `more_rows`"


def is_another_export(unknown: Sequence[StatementRow], form: StatementFormat, has_known: bool) -> bool:
    """Whether the rows of a file are of another sort altogether, so that none of them is an activity by itself."""
    sorts = {_word(row, form) for row in unknown}
    return not has_known and len(sorts) >= SORTS_OF_ANOTHER_EXPORT


def names_a_sort(row: StatementRow, form: StatementFormat) -> bool:
    """Whether a row says what it is, in words that are not known; a foot or title of the file does not."""
    return not row.excess and bool(_word(row, form))


def _word(row: StatementRow, form: StatementFormat) -> str:
    """Return the text of the column that most rules look at."""
    return next(iter(sort_of(row, form).values()), "")


def row_names(rows: Sequence[StatementRow], form: StatementFormat, readers: Readers) -> list[str]:
    """Name every row of a file, whatever the rules: by its id, else by its content and its place among equal rows."""
    ids = [_id_of(row, form) for row in rows]
    uses, seen = Counter(ids), Counter[str]()
    names = []
    for row, name in zip(rows, ids, strict=True):
        if name and uses[name] == 1:
            names.append(name)
            continue
        digest = _digest(row, form, readers)
        seen[digest] += 1
        names.append(f"{digest}:{seen[digest]}")
    return names


def draft_of(cells: Cells, name: str, row_name: str, currency: str) -> Draft:
    """Return what is booked of a row that no rule explains.

    Parameters
    ----------
    cells
        The row as `fields_of` reads it.
    name, row_name
        Name of the format, and of the row from `row_names`.
    currency
        Currency of the account.

    Raises
    ------
    AccountError
        When the row has no date.
    """
    row, form, activity_id = cells.row, cells.form, f"{name}:{row_name}"
    moment, quantity = cells.moment(), _readable(cells, "quantity")
    amends = any(agrees(row, amendment.when) for amendment in form.amendments)
    is_open = amends or cells.currency() != currency or has_unknown_word(row, form)
    cash = None if is_open else _readable(cells, "cash")
    instrument = cells.renamed(cells.text("instrument", required=False)) if cells.columns("instrument") else ""
    if cash and quantity == 0:
        facts = {"amount": plain(cash), "note": cells.text("note", required=False), "instrument": instrument}
        key = f"{UNEXPLAINED}{activity_id}"
        return Draft(name, cells, EventKind.OTHER_CASH, facts, moment, cash, key=key)
    activity = UnknownActivity(
        activity_id,
        pd.Timestamp(moment.at).normalize(),
        raw_type=_word(row, form),
        amount=cash,
        instrument=instrument,
        # Only the sort of a row says whether shares came or left, unless they carry a minus.
        quantity=None if quantity is not None and quantity > 0 else quantity,
        raw=dict(row.values),
    )
    words = without_rule(row, form) + (", and it takes back or corrects another one" if amends else "")
    event = quarantine_event(activity, activity.date, CODE, words)
    return Draft(name, cells, event.kind, dict(event.payload), moment, cash, key=event.key)


def fields_of(row: StatementRow, form: StatementFormat, readers: Readers) -> Cells:
    """Read a row by what the rules of its section agree on: date, cash, shares, instrument."""
    return Cells(row, form, RowRule(book="other_cash", columns=_columns(row, form)), readers)


def consequence(draft: Draft) -> str:
    """Say what becomes of a row that no rule explains."""
    what = "it waits in quarantine, see `kedro account quarantine list`"
    if draft.kind is EventKind.OTHER_CASH:
        what = f"its cash, {draft.facts['amount']}, is booked as other cash"
    return f"{without_rule(draft.cells.row, draft.cells.form)}; until then {what}"


def alerts(entries: Iterable[StatementEntry], drafts: Iterable[Draft]) -> list[StatementEntry]:
    """Return an alert for every row that no rule explains, to be booked behind it."""
    rows = {draft.key: draft for draft in drafts if is_unexplained(draft)}
    made = []
    for entry in entries:
        if draft := rows.get(entry.event.key):
            event = alert(entry.event.session, entry.event.key, CODE, consequence(draft), draft.cells.row.values)
            made.append(StatementEntry(event, entry.place, None))
    return made


def is_unexplained(draft: Draft) -> bool:
    """Whether a draft is of a row that no rule explains."""
    return draft.key.startswith((PREFIX, UNEXPLAINED))


def heed_answers(entries: Iterable[StatementEntry], events: Sequence[Event]) -> list[StatementEntry]:
    """Let rules and answers that came later count: no row is booked twice, and none is forgotten.

    A row that waited in quarantine and that a rule explains by now is booked and leaves the quarantine. Cash that was
    booked as other for want of a rule is taken back before the row is booked as what it is. What the operator has
    answered is left out.

    Parameters
    ----------
    entries
        What statements book.
    events
        The ledger.

    Raises
    ------
    AccountError
        When a row that a rule had explained, and that is booked, is explained no more.
    """
    known = {event.key: event for event in events if event.kind is not EventKind.SESSION_CLOSED}
    closed = max((event.session for event in events if event.kind is EventKind.SESSION_CLOSED), default=pd.Timestamp(0))
    answered = {event.payload["row"] for event in events if event.kind is EventKind.QUARANTINE_RESOLVED}
    heeded: list[StatementEntry] = []
    for entry in entries:
        if entry.event.key in known:
            heeded.append(entry)
            continue
        if entry.event.key.startswith((PREFIX, UNEXPLAINED)):
            file = entry.place.partition(", row ")[0]
            if f"statement:{file}" in known and entry.event.session <= closed:
                raise AccountError(
                    f"{entry.place}: a rule that the format has no more had booked this row; put the rule back"
                )
        waiting = [f"{PREFIX}{row}" for row in entry.rows if f"{PREFIX}{row}" in known]
        if any(row in answered for row in waiting):
            continue
        session = entry.event.session
        for row in waiting:
            answer = resolution_event(row, session, "booked", "a rule of the format", "a rule explains the row now")
            heeded.append(StatementEntry(answer, entry.place, None))
        for key in (f"{UNEXPLAINED}{row}" for row in entry.rows):
            if key in known and f"{key}:cancelled" not in known:
                facts = {"events": [key], "message": "a rule explains the row now"}
                event = Event(session, EventKind.EVENT_CANCELLED, f"{key}:cancelled", facts)
                heeded.append(StatementEntry(event, entry.place, None))
        heeded.append(entry)
    return heeded


def _columns(row: StatementRow, form: StatementFormat) -> dict[FieldName, str | list[str]]:
    rules = [rule for rule in form.rules if rule.section in (None, row.section) and rule.book != "ignore"]
    columns: dict[FieldName, str | list[str]] = {}
    for field in _FIELDS:
        stated = [form.columns_of(rule, field) for rule in rules]
        here = [names for names in stated if any(row.key_of(bare(name)) is not None for name in names)]
        every = list(dict.fromkeys(bare(name) for names in here for name in names))
        if field == "quantity":
            # Whatever may hold shares counts; with which sign is not known.
            columns[field] = [name for name in every if row.get(name)][:1] or every[:1]
        elif field == "date":
            columns[field] = next((names for names in here if row.get(bare(names[0]))), here[0] if here else [])
        elif field == "instrument":
            columns[field] = max(here, key=here.count) if here else []
        else:
            # Where a sort of row decides the column, or its sign, the amount of an unknown sort is not known.
            columns[field] = here[0] if here and all(names == here[0] for names in here) else []
    return columns


def _readable(cells: Cells, field: FieldName) -> Decimal | None:
    """Return a number when the row has one that can be read; nothing at all moves nothing."""
    if not cells.columns(field):
        return None if field == "cash" else Decimal(0)
    try:
        return cells.number(field, required=False)
    except AccountError:
        return None


def _id_of(row: StatementRow, form: StatementFormat) -> str:
    rules = [rule for rule in form.rules if rule.section in (None, row.section)]
    columns = dict.fromkeys(bare(column) for rule in rules for column in form.columns_of(rule, "id"))
    return next((text for column in columns if (text := row.get(column))), "")


def _digest(row: StatementRow, form: StatementFormat, readers: Readers) -> str:
    parts = [row.section or ""]
    for key, text in row.values.items():
        reader = readers.dates.get((row.section, key))
        parts.append(f"{key}={_day(text, reader) if reader else _normal(text, readers.mark, form.currency)}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _day(text: str, reader: DateReader) -> str:
    try:
        return f"{reader.read(text, is_day=True).at:%Y-%m-%d}"
    except ValueError:
        return text


@lru_cache(maxsize=1 << 16)
def _normal(text: str, mark: DecimalMark, currency: str) -> str:
    """Write a cell so that the same number in another notation is the same text."""
    try:
        return plain(read_number(text, mark, currency))
    except ValueError:
        return " ".join(text.split())
