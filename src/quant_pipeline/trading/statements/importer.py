"""From statement files to events: every row is booked, waits in quarantine, or a problem names it, all in one list."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import pandas as pd

from quant_pipeline.common.exceptions import AccountError
from quant_pipeline.trading.ledger.bookkeeping import StatementEntry
from quant_pipeline.trading.ledger.events import Event, EventKind
from quant_pipeline.trading.statements.amendments import (
    apply_amendments,
    name_fills,
    prefer_by_hand,
    repeated_in_another_format,
    supersede_partial,
)
from quant_pipeline.trading.statements.booking_order import place_drafts
from quant_pipeline.trading.statements.choice import choose_format
from quant_pipeline.trading.statements.currencies import settle_currencies
from quant_pipeline.trading.statements.drafts import Draft
from quant_pipeline.trading.statements.file_drafts import read_drafts, refuse_future
from quant_pipeline.trading.statements.formats import StatementImportParameters
from quant_pipeline.trading.statements.pairs import join_halves
from quant_pipeline.trading.statements.reader import read_rows
from quant_pipeline.trading.statements.records import StatementFile
from quant_pipeline.trading.statements.stated import StatedHolding, stated_holdings
from quant_pipeline.trading.statements.unknown_rows import alerts


@dataclass
class ImportedStatements:
    """What a folder of statements books.

    Attributes
    ----------
    entries
        In the order in which they are booked: for every file its receipt (name, content hash, number of rows), and one
        entry per fact.
    formats
        Name of the format by file; empty for a file that none reads.
    stated
        What the statements themselves say is held at the end of their periods.
    problems, warnings
        What is not understood, all of it; what was left out or should be looked at.
    """

    entries: tuple[StatementEntry, ...] = ()
    formats: dict[str, str] = field(default_factory=dict)
    stated: list[StatedHolding] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def import_statements(
    files: Iterable[StatementFile], parameters: StatementImportParameters, calendar: str
) -> ImportedStatements:
    """Turn statements into what they book, without problems; see `read_statements`.

    Raises
    ------
    AccountError
        When a file or row is not understood; the message lists all problems.
    """
    found = read_statements(files, parameters, calendar)
    raise_problems(found.problems)
    return found


def raise_problems(problems: Sequence[str]) -> None:
    """Raise all problems as one error.

    Raises
    ------
    AccountError
        When there is one.
    """
    if len(problems) == 1:
        raise AccountError(problems[0])
    if problems:
        listed = "".join(f"\n  {problem}" for problem in problems)
        raise AccountError(f"{len(problems)} problems in the statements, nothing was booked:{listed}")


def read_statements(
    files: Iterable[StatementFile], parameters: StatementImportParameters, calendar: str
) -> ImportedStatements:
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
    ImportedStatements
        Within a session corporate actions come first, then transfers and deposits, then trades by their time, then
        other cash; busts and corrections last. Rows that no rule explains are kept in quarantine, or their cash is
        booked as other, each with an alert.
    """
    found = ImportedStatements()
    drafts: list[Draft] = []
    receipts: list[tuple[StatementFile, int]] = []
    accounts: dict[str, dict[str, str]] = {}
    for file in sorted(files, key=lambda file: file.name):
        try:
            choice = choose_format(file, parameters)
            if choice is None:
                found.warnings.append(f"{file.name} is not read: no format reads documents of this kind")
                continue
            found.formats[file.name] = choice.name
            reading = read_rows(file, choice.form)
            booked = read_drafts(file.name, choice, reading, parameters.currency, parameters.on_unknown)
            found.stated += stated_holdings(choice.form, reading, parameters.currency)
        except AccountError as error:
            found.problems.append(error.message)
            continue
        known = accounts.setdefault(choice.name, {})
        known |= {number: place for number, place in reading.accounts.items() if number not in known}
        found.problems += reading.problems + refuse_future(file, booked)
        found.warnings += reading.warnings
        drafts += booked
        if booked:
            receipts.append((file, len(reading.rows)))
        elif not reading.problems:
            found.warnings.append(f"{file.name} has no row that books anything")
    found.problems += _several_accounts(accounts)
    drafts, problems = join_halves(drafts)
    found.problems += problems
    drafts = supersede_partial(drafts)
    drafts, problems = apply_amendments(drafts)
    found.problems += problems
    name_fills(drafts)
    drafts, problems, warnings = prefer_by_hand(drafts)
    found.problems += problems + repeated_in_another_format(drafts)
    found.warnings += warnings
    drafts, problems, warnings = settle_currencies(drafts)
    found.problems += [] if found.problems else problems
    found.warnings += warnings
    entries, problems = place_drafts(drafts, calendar)
    found.problems = list(dict.fromkeys([*found.problems, *problems]))
    found.entries = (*_receipts(receipts, drafts, entries), *entries, *alerts(entries, drafts))
    found.entries = tuple(sorted(found.entries, key=lambda entry: entry.event.session))
    return found


def _several_accounts(accounts: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Name files of several accounts, by format: numbers of accounts and where each stands."""
    return [
        f"{' and '.join(f'{place} is of account {number}' for number, place in list(named.items())[:2])}; these books "
        f"are of one account: keep its files only, or set `account: null` in the format {form} to book all as one"
        for form, named in accounts.items()
        if len(named) > 1
    ]


def _receipts(
    receipts: Sequence[tuple[StatementFile, int]], drafts: Sequence[Draft], entries: Sequence[StatementEntry]
) -> list[StatementEntry]:
    made = []
    for file, rows in receipts:
        sessions = [entry.event.session for entry in entries if entry.place.startswith(f"{file.name}, ")]
        first = min(sessions or [draft.day for draft in drafts if draft.file == file.name] or [pd.Timestamp.max])
        if first == pd.Timestamp.max:
            continue
        receipt = {"file": file.name, "sha256": file.digest, "rows": str(rows)}
        event = Event(first, EventKind.STATEMENT_IMPORTED, f"statement:{file.name}", receipt)
        made.append(StatementEntry(event, file.name, Decimal(0)))
    return made
