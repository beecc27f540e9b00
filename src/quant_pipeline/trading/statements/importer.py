"""From statement files to events: every row is understood, or an error names it."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

import pandas as pd

from quant_pipeline.common.exceptions import AccountError
from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.trading.ledger.bookkeeping import StatementEntry
from quant_pipeline.trading.ledger.events import Event, EventKind
from quant_pipeline.trading.statements.formats import RowRule, StatementFormat, StatementImportParameters
from quant_pipeline.trading.statements.interpreter import Cells, interpret
from quant_pipeline.trading.statements.reader import StatementFile, StatementRow, read_rows

CALENDAR_MARGIN = pd.Timedelta(days=14)


def import_statements(
    files: Iterable[StatementFile], parameters: StatementImportParameters, calendar: str
) -> tuple[StatementEntry, ...]:
    """Turn statements into what they book, in the order of their sessions.

    Parameters
    ----------
    files
        The statements.
    parameters
        Column maps, and the currency of the account.
    calendar
        Name of the exchange calendar: a row dated on a day without trading belongs to the next session.

    Returns
    -------
    tuple of StatementEntry
        For every file its receipt (name, content hash, number of rows) and one entry per row that books something.
        A row without ``id`` is known by its content and by how many equal rows stand above it in its file, so that
        two genuine equal trades stay two, and the same row in an overlapping file is the same fact.

    Raises
    ------
    AccountError
        When a file or row is not understood; the message names file, row and column.
    """
    entries: list[StatementEntry] = []
    for file in sorted(files, key=lambda file: file.name):
        name, form = _format_of(file, parameters)
        rows = read_rows(file, form)
        ordered = rows[::-1] if form.newest_first else rows
        found = _entries_of(ordered, name, form, parameters.currency)
        if not found:
            raise AccountError(f"{file.name} has no row that books anything; remove it from the folder of statements")
        first = min(entry.event.session for entry in found)
        receipt = {"file": file.name, "sha256": file.digest, "rows": str(len(rows))}
        received = Event(first, EventKind.STATEMENT_IMPORTED, f"statement:{file.name}", receipt)
        entries += [StatementEntry(received, file.name, Decimal(0)), *found]
    return tuple(sorted(_on_sessions(entries, calendar), key=lambda entry: entry.event.session))


def _format_of(file: StatementFile, parameters: StatementImportParameters) -> tuple[str, StatementFormat]:
    fitting = [name for name, form in parameters.formats.items() if form.reads(file.name)]
    if len(fitting) == 1:
        return fitting[0], parameters.formats[fitting[0]]
    known = "; ".join(f"{name} reads {form.files}" for name, form in parameters.formats.items())
    problem = f"{' and '.join(fitting)} read it" if fitting else "no format reads it"
    raise AccountError(f"{file.name}: {problem}. Rename it, or change statement_import.formats ({known}).")


def _entries_of(rows: Sequence[StatementRow], name: str, form: StatementFormat, currency: str) -> list[StatementEntry]:
    entries: list[StatementEntry] = []
    seen: Counter[str] = Counter()
    balance: Decimal | None = None
    for row in rows:
        rule = _rule_of(row, form)
        cells = Cells(row, form, rule)
        if rule.book == "ignore":
            continue
        _refuse_other_currency(cells, currency)
        kind, facts = interpret(cells)
        cash = cells.number("cash") if cells.has("cash") else None
        balance = _follow_balance(cells, balance, cash)
        if "fill" in facts:
            facts["fill"] = f"{name}:{EventKind.FILL}:{facts['fill']}"
        key = _key(name, cells, kind, facts, seen)
        entries.append(StatementEntry(Event(cells.date(), kind, key, facts), row.place, cash))
    return entries


def _rule_of(row: StatementRow, form: StatementFormat) -> RowRule:
    for rule in form.rows:
        if rule.covers(row.section, row.values):
            return rule
    deciding = dict.fromkeys(column for rule in form.rows for column in rule.when if column in row.values)
    found = ", ".join(f"{column} '{row.values[column]}'" for column in deciding)
    raise AccountError(f"{row.place}: no rule of the format says what a row with {found} means; add one under `rows`")


def _refuse_other_currency(cells: Cells, currency: str) -> None:
    found = cells.text("currency", required=False) or cells.form.currency
    if found != currency:
        raise cells.fail("currency", f"the amounts are in {found}, the account is kept in {currency}")


def _follow_balance(cells: Cells, before: Decimal | None, cash: Decimal | None) -> Decimal | None:
    """Check that the running balance of the statement moves by the cash of every row."""
    if not cells.has("balance"):
        return before
    balance = cells.number("balance")
    if before is not None and balance != before + (cash or Decimal(0)):
        raise cells.fail(
            "balance", f"{before} and {cash or 0} give {before + (cash or 0)}, not {balance}; a row is missing"
        )
    return balance


def _key(name: str, cells: Cells, kind: EventKind, facts: Mapping[str, object], seen: Counter[str]) -> str:
    if cells.has("id"):
        key = f"{name}:{kind}:{cells.text('id')}"
        seen[key] += 1
        if seen[key] > 1:
            raise cells.fail("id", f"'{cells.text('id')}' stands in this file twice for a {kind}")
        return key
    content = json.dumps([cells.text("date"), cells.text("balance", required=False), facts], sort_keys=True)
    digest = hashlib.sha256(content.encode()).hexdigest()[:20]
    seen[digest] += 1
    return f"{name}:{kind}:{digest}:{seen[digest]}"


def _on_sessions(entries: Sequence[StatementEntry], calendar: str) -> list[StatementEntry]:
    if not entries:
        return []
    dates = [entry.event.session for entry in entries]
    sessions = TradingCalendar.of(calendar, min(dates), max(dates) + CALENDAR_MARGIN).sessions
    placed = []
    for entry in entries:
        session = sessions[sessions.searchsorted(entry.event.session)]
        if session != entry.event.session and entry.event.kind == EventKind.FILL:
            raise AccountError(f"{entry.place}: {calendar} did not trade on {entry.event.session:%Y-%m-%d}")
        event = entry.event
        dated = {**event.payload, "date": f"{event.session:%Y-%m-%d}"} if session != event.session else event.payload
        placed.append(replace(entry, event=replace(event, session=session, payload=dated)))
    return placed
