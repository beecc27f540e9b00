"""From the rows of one file to what they book."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import groupby

import pandas as pd

from quant_pipeline.common.exceptions import AccountError
from quant_pipeline.trading.ledger.events import EventKind
from quant_pipeline.trading.statements.cells import Cells, Readers
from quant_pipeline.trading.statements.choice import StatementChoice
from quant_pipeline.trading.statements.currencies import CASH_ONLY, EXCHANGE
from quant_pipeline.trading.statements.dates import AmbiguousDates, reader_of
from quant_pipeline.trading.statements.drafts import Draft, name_drafts
from quant_pipeline.trading.statements.formats import (
    DATES,
    NUMBERS,
    OnUnknown,
    RowRule,
    StatementFormat,
    agrees,
    bare,
)
from quant_pipeline.trading.statements.interpreter import interpret
from quant_pipeline.trading.statements.numbers import decimal_mark
from quant_pipeline.trading.statements.pairs import join_legs, leg_of
from quant_pipeline.trading.statements.records import Reading, StatementFile, StatementRow
from quant_pipeline.trading.statements.unknown_rows import (
    consequence,
    draft_of,
    fields_of,
    has_unknown_word,
    is_another_export,
    is_unexplained,
    names_a_sort,
    row_names,
    without_rule,
)

_ZONES = pd.Timedelta(days=1)
_BOOKED_AHEAD = pd.Timedelta(days=31)
"""How far cash and corporate actions may be dated ahead: brokers announce payments and settle deposits later."""


def read_drafts(
    name: str, choice: StatementChoice, reading: Reading, currency: str, on_unknown: OnUnknown = "quarantine"
) -> list[Draft]:
    """Return what the rows of one file book, oldest first, with their keys.

    Parameters
    ----------
    name
        Name of the file.
    choice
        Its format.
    reading
        Its rows; what is not understood is added to the problems there.
    currency
        Currency of the account.
    on_unknown
        What is done with rows that no rule explains.

    Raises
    ------
    AccountError
        When the file as a whole cannot be read: its currency, its decimal mark, its dates.
    """
    form = choice.form
    _refuse_base_currency(name, form, reading, currency)
    chosen, unknown = _rules_of(reading, form, on_unknown)
    readers = _readers_of(name, form, chosen)
    names = dict(zip(map(id, reading.rows), row_names(reading.rows, form, readers), strict=True))
    drafts: list[Draft] = []
    for row, rule in sorted([*chosen, *((row, None) for row in unknown)], key=lambda found: found[0].number):
        try:
            if rule is None:
                draft = draft_of(fields_of(row, form, readers), choice.name, names[id(row)], currency)
                reading.warnings.append(consequence(draft))
            else:
                draft = _draft(choice.name, Cells(row, form, rule, readers), currency)
        except AccountError as error:
            reading.problems.append(error.message)
            continue
        drafts.append(replace(draft, rows=(f"{choice.name}:{names[id(row)]}",)))
    drafts, problems = _oldest_first(drafts, form)
    reading.problems += problems
    reading.warnings += [
        _told(draft)
        for draft in drafts
        if draft.kind in (EventKind.FOREIGN_MOVED, EventKind.OTHER_CASH)
        and not is_unexplained(draft)
        and draft.cells.rule.book != EXCHANGE
        and not draft.currency
    ]
    drafts, warnings = join_legs(drafts)
    reading.problems += name_drafts([draft for draft in drafts if not draft.legs])
    reading.warnings += warnings
    return drafts


def refuse_future(file: StatementFile, drafts: Sequence[Draft]) -> list[str]:
    """Return what is dated so far behind the day of reading that it cannot have happened: one problem for each date."""
    if file.read_on is None:
        return []
    problems = {}
    for draft in drafts:
        ahead = draft.day - pd.Timestamp(file.read_on)
        if ahead > (_ZONES if draft.kind is EventKind.FILL else _BOOKED_AHEAD):
            problems[draft.day] = (
                f"{draft.place}: it is dated {draft.day:%Y-%m-%d}, and today is {file.read_on}; correct the date, or "
                "the `date_formats` of the format if the file means another day"
            )
    return list(problems.values())


def _refuse_base_currency(name: str, form: StatementFormat, reading: Reading, currency: str) -> None:
    base = reading.fields.get(form.base_currency or "", currency)
    if base != currency:
        raise AccountError(
            f"{name}: the account is kept in {base}, statement_import.currency is {currency}; set it to the currency "
            "of the account"
        )


def _rules_of(
    reading: Reading, form: StatementFormat, on_unknown: OnUnknown
) -> tuple[list[tuple[StatementRow, RowRule]], list[StatementRow]]:
    """Return the rows that book something with their rules, and the activities that no rule explains."""
    rows, unknown, has_known = reading.rows, list[StatementRow](), False
    chosen: list[tuple[StatementRow, RowRule]] = []
    known: dict[tuple[int, str | None], bool] = {}
    for row in rows:
        rule = next((rule for rule in form.rules if rule.covers(row) and _holds(rule, rows, row.section, known)), None)
        if rule is not None and rule.book != "ignore" and has_unknown_word(row, form):
            has_known, rule = True, None
        if row.excess and form.ignore_rows_wider:
            reading.warnings.append(
                f"{row.place} is left out: {row.excess} cells under a header of {len(row.header.keys)}"
            )
        elif row.excess and (rule is None or rule.book != "ignore"):
            reading.problems.append(
                f"{row.place}: {row.excess} cells under a header of {len(row.header.keys)}; a rule that ignores it, "
                "`skip_last_rows` or `ignore_rows_wider` leaves it out"
            )
        elif rule is None:
            unknown.append(row)
        else:
            has_known = True
            if rule.book != "ignore":
                chosen.append((row, rule))
    # A word that is not known in a file written by hand is a slip of the pen.
    is_refused = on_unknown == "refuse" or form.completes or is_another_export(unknown, form, has_known)
    refused = [row for row in unknown if is_refused or not names_a_sort(row, form)]
    reading.problems += [without_rule(row, form) for row in refused]
    return chosen, [row for row in unknown if row not in refused]


def _holds(
    rule: RowRule, rows: Sequence[StatementRow], section: str | None, known: dict[tuple[int, str | None], bool]
) -> bool:
    """Whether the section has the rows that those of a rule repeat."""
    if not rule.repeats:
        return True
    key = (id(rule), section)
    if key not in known:
        known[key] = any(row.section == section and agrees(row, rule.repeats) for row in rows)
    return known[key]


def _readers_of(name: str, form: StatementFormat, chosen: Sequence[tuple[StatementRow, RowRule]]) -> Readers:
    """Decide once for the file how its numbers and dates are read."""
    mark = form.decimal
    if mark is None:
        mark, doubtful = decimal_mark(_numbers(form, chosen))
        if mark is None:
            raise AccountError(
                f"{name}: '{doubtful}' can be read in two ways; say in its format which mark is the decimal one, by "
                """`decimal: ","` or `decimal: "."`"""
            )
    columns: dict[tuple[str | None, str], list[str]] = {}
    for field in DATES:
        for row, rule in chosen:
            cells = Cells(row, form, rule)
            key = row.key_of(bare(cells.columns(field)[0])) if cells.columns(field) else None
            if key is not None and row.values[key] and key not in row.exact:
                columns.setdefault((row.section, key), []).append(cells.text(field))
    dates = {}
    for (section, column), texts in columns.items():
        try:
            dates[section, column] = reader_of(texts, form.patterns, form.timezone, form.written_in)
        except AmbiguousDates as error:
            raise AccountError(f"{name}, column {column}: {error}") from None
    return Readers(mark, dates)


def _numbers(form: StatementFormat, chosen: Sequence[tuple[StatementRow, RowRule]]) -> Iterable[str]:
    """Return the texts of all numbers that no workbook knows exactly."""
    for row, rule in chosen:
        for field in NUMBERS:
            for column in form.columns_of(rule, field):
                key = row.key_of(bare(column))
                if key is not None and row.values[key] and key not in row.exact:
                    yield row.values[key]


def _draft(name: str, cells: Cells, currency: str) -> Draft:
    found = cells.currency()
    # A row that moves no cash may leave the column of its currency empty.
    is_stated = cells.has("currency") or not cells.columns("currency")
    other = found if is_stated and found != currency else ""
    if other and not (cells.rule.book in CASH_ONLY and any(rule.book == EXCHANGE for rule in cells.form.rules)):
        raise cells.fail("currency", f"the amounts are in {found}, the account is kept in {currency}")
    if cells.text("fee_currency", required=False) not in ("", currency) and cells.number("fee", required=False):
        what = f"the fee is in {cells.text('fee_currency')}, the account is kept in {currency}"
        raise cells.fail("fee_currency", f"{what}; write the trade into plain.csv with the fee in {currency}")
    moment = cells.moment()
    cash = cells.number("cash") if cells.has("cash") else None
    identities = (cells.text("id"),) if cells.has("id") else ()
    amendment = next((change for change in cells.form.amendments if agrees(cells.row, change.when)), None)
    if cells.rule.pair is not None:
        kind, leg = leg_of(cells)
        facts = {"instrument": leg.instrument}
        return Draft(name, cells, kind, facts, moment, cash, identities, amendment=amendment, legs=[leg])
    meaning = interpret(cells)
    facts = meaning.values | ({"currency": other} if other else {})
    draft = Draft(name, cells, meaning.kind, facts, moment, cash, identities, meaning.missing, amendment=amendment)
    return replace(draft, currency=other)


def _told(draft: Draft) -> str:
    amount, instrument = draft.facts.get("amount"), draft.instrument
    if draft.kind is EventKind.FOREIGN_MOVED:
        return f"{draft.place}: {instrument} is held outside of these books; its cash, {amount}, is booked"
    return f"{draft.place}: {amount} is booked as other cash ({draft.facts.get('note') or instrument or 'no words'})"


def _oldest_first(drafts: list[Draft], form: StatementFormat) -> tuple[list[Draft], list[str]]:
    """Turn a file, or section, that begins with the newest row; its dates tell, or its balance where they are equal."""
    ordered: list[Draft] = []
    problems: list[str] = []
    for _, rows in groupby(
        sorted(drafts, key=lambda draft: draft.cells.row.section or ""), lambda d: d.cells.row.section
    ):
        section = list(rows)
        turned = form.newest_first
        if turned is None:
            turned = section[0].moment.at > section[-1].moment.at
        faults = _balance_faults(section[::-1] if turned else section)
        is_open = form.newest_first is None and section[0].day == section[-1].day
        if faults and is_open and not _balance_faults(section if turned else section[::-1]):
            turned, faults = not turned, []
        problems += faults
        if is_open and not section[0].cells.has("balance"):
            # One day tells no direction.
            section = [replace(draft, is_ordered=False) for draft in section]
        ordered += section[::-1] if turned else section
    return ordered, problems


def _balance_faults(drafts: Sequence[Draft]) -> list[str]:
    """Check that the running balance of the statement moves by the cash of every row."""
    before: Decimal | None = None
    for draft in drafts:
        if not draft.cells.has("balance"):
            continue
        balance, cash = draft.cells.number("balance"), draft.cash or Decimal(0)
        if before is not None and balance != before + cash:
            fault = draft.cells.fail(
                "balance", f"{before} and {cash} give {before + cash}, not {balance}; a row is missing"
            )
            return [fault.message]
        before = balance
    return []
