"""Reading of statement files: every row as text, with its place in the file."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from pathlib import PurePosixPath
from typing import assert_never

from quant_pipeline.common.exceptions import AccountError
from quant_pipeline.trading.statements.formats import StatementFormat


@dataclass(frozen=True)
class StatementFile:
    """A statement as it came.

    Attributes
    ----------
    name
        Path relative to the folder of the statements.
    content
        Its bytes.
    """

    name: str
    content: bytes

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the content."""
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True)
class StatementRow:
    """One row of a statement.

    Attributes
    ----------
    file, number
        Where it is; the first line of a file, or of a sheet, is number 1.
    section
        Section, when the layout has sections.
    values
        Text by column.
    """

    file: str
    number: int
    section: str | None
    values: dict[str, str]

    @property
    def place(self) -> str:
        """Where to find the row."""
        return f"{self.file}, row {self.number}" + (f" ({self.section})" if self.section else "")


def read_rows(file: StatementFile, form: StatementFormat) -> list[StatementRow]:
    """Read every row of a statement that is not empty.

    Raises
    ------
    AccountError
        When the file cannot be read, or a row has more cells than the header.
    """
    lines = list(_lines(file, form))[form.skip_rows :]
    filled = [(number, cells) for number, cells in lines if any(cells)]
    if not filled:
        raise AccountError(f"{file.name} is empty; export it again, or remove it from the folder of the statements")
    match form.layout:
        case "sections":
            rows = list(_sections(file.name, filled, form))
        case "table":
            header = filled[0][1]
            rows = [StatementRow(file.name, n, None, _named(file.name, n, header, cells)) for n, cells in filled[1:]]
        case unknown:
            assert_never(unknown)
    for row in rows:
        row.values.update({name: column.of(row.values) for name, column in form.derived.items()})
    return rows


def _lines(file: StatementFile, form: StatementFormat) -> Iterator[tuple[int, list[str]]]:
    kind = PurePosixPath(file.name).suffix.lower()
    if kind == ".xlsx":
        import openpyxl  # Only who brings a workbook waits for it.

        book = openpyxl.load_workbook(io.BytesIO(file.content), data_only=True, read_only=True)
        if form.sheet is not None and form.sheet not in book.sheetnames:
            raise AccountError(f"{file.name} has no sheet '{form.sheet}', only {', '.join(book.sheetnames)}")
        sheet = book[form.sheet] if form.sheet is not None else book.worksheets[0]
        for number, row in enumerate(sheet.iter_rows(values_only=True), start=1):
            yield number, [_text(cell, form.date_formats[0]) for cell in row]
        return
    if kind not in (".csv", ".txt", ".tsv"):
        raise AccountError(f"{file.name} is neither xlsx nor csv; convert it, or remove it from the folder")
    try:
        text = file.content.decode(form.encoding)
    except UnicodeDecodeError as error:
        raise AccountError(
            f"{file.name} is not {form.encoding} (byte {error.start}); set the `encoding` of its format, for instance "
            "gb18030"
        ) from error
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=form.delimiter)
    for cells in reader:
        yield reader.line_num, [_clean(cell) for cell in cells]


def _text(cell: object, date_format: str) -> str:
    if cell is None:
        return ""
    if isinstance(cell, datetime | date):
        return cell.strftime(date_format)
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return _clean(str(cell))


def _clean(cell: str) -> str:
    # Spreadsheets are kept from eating leading zeros by ="000001".
    quoted = re.fullmatch(r'="?(.*?)"?', cell.strip())
    return (quoted.group(1) if quoted else cell).strip()


def _sections(name: str, lines: list[tuple[int, list[str]]], form: StatementFormat) -> Iterator[StatementRow]:
    headers: dict[str, list[str]] = {}
    known = {rule.section for rule in form.rows}
    for number, line in lines:
        if len(line) < 2:
            raise AccountError(f"{name}, row {number}: a line of a section needs its name and its kind")
        section, kind, *cells = line
        if section in form.ignored_sections:
            continue
        if section not in known:
            raise AccountError(
                f"{name}, row {number}: the format knows no section '{section}'; add a rule for it, or its name to "
                "ignored_sections"
            )
        if kind == "Header":
            headers[section] = cells
        elif section not in headers:
            raise AccountError(f"{name}, row {number}: section '{section}' has no header above it")
        else:
            values = _named(name, number, headers[section], cells)
            yield StatementRow(name, number, section, {**values, "line": kind})


def _named(name: str, number: int, header: list[str], cells: list[str]) -> dict[str, str]:
    if any(cells[len(header) :]):
        raise AccountError(f"{name}, row {number}: {len(cells)} cells under a header of {len(header)}")
    return dict(zip(header, [*cells, *[""] * (len(header) - len(cells))], strict=False))
