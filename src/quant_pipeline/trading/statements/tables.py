"""Lines of cells out of the bytes of a statement: text, workbook, Flex XML."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple

from quant_pipeline.common.exceptions import AccountError
from quant_pipeline.common.listing import first_of
from quant_pipeline.trading.statements.contents import Content, text_of
from quant_pipeline.trading.statements.dates import FIRST_SERIAL, LAST_SERIAL
from quant_pipeline.trading.statements.formats import StatementFormat

Cell = str | Decimal | datetime
"""Text, or what a workbook knows exactly."""

END = "\x00 end of the file \x00"
DELIMITERS = (",", "\t", ";", "|")


class Line(NamedTuple):
    """A line of a file: its number, beginning at 1, and its cells."""

    number: int
    cells: list[Cell]

    @property
    def is_empty(self) -> bool:
        """Whether nothing is written in it."""
        return not any(cell != "" for cell in self.cells)


def plain_text(cell: Cell) -> str:
    """Write a cell as text."""
    if isinstance(cell, datetime):
        return cell.isoformat(sep=" ")
    return format(cell, "f") if isinstance(cell, Decimal) else cell


def lines_of(name: str, data: bytes, content: Content, form: StatementFormat) -> list[Line]:
    """Read every line of a CSV file or workbook.

    Raises
    ------
    AccountError
        When it cannot be read.
    """
    if content is Content.WORKBOOK:
        return list(_workbook_lines(name, data, form))
    return _csv_lines(name, text_of(name, data, form.encoding), form)


def _csv_lines(name: str, text: str, form: StatementFormat) -> list[Line]:
    choices = DELIMITERS if form.delimiter is None else (form.delimiter, *DELIMITERS)
    known = form.known_columns
    readings: dict[str, list[Line]] = {}
    fault = ""
    for mark in [mark for mark in dict.fromkeys(choices) if mark in text] or [","]:
        try:
            readings[mark] = _split(text, mark)
        except ValueError as error:
            fault = fault or f"{name}, {error}"
    if fault and not any(header_score(lines, known) for lines in readings.values()):
        raise AccountError(fault)
    # A declared delimiter is taken where it finds the header as well as another one does.
    scores = {mark: header_score(lines, known) for mark, lines in readings.items()}
    best = max(scores, key=lambda mark: (scores[mark], _width(readings[mark]) if not scores[mark] else 0))
    return readings[best]


def _split(text: str, mark: str) -> list[Line]:
    # A quotation mark that is never closed would swallow all rows behind it.
    reader = csv.reader(io.StringIO(f"{text}\n{END}", newline=""), delimiter=mark)
    lines: list[Line] = []
    try:
        for cells in reader:
            lines.append(Line(reader.line_num, [_clean(cell) for cell in cells]))
    except csv.Error as error:
        raise ValueError(f"row {reader.line_num}: {error}") from error
    if lines.pop().cells != [END]:
        begins = lines[-1].number + 1 if lines else 1
        raise ValueError(f"row {begins}: a quotation mark is opened and never closed; close it, or remove it")
    return lines


def _width(lines: Sequence[Line]) -> int:
    return max((len(line.cells) for line in lines[:20]), default=0)


def header_score(lines: Sequence[Line], known: set[str]) -> int:
    """Return how many of the known columns the best of the first lines names."""
    return max((len(known & {cell for cell in line.cells if isinstance(cell, str)}) for line in lines[:60]), default=0)


def _workbook_lines(name: str, data: bytes, form: StatementFormat) -> Iterator[Line]:
    import openpyxl  # Only who brings a workbook waits for it.
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        book = openpyxl.load_workbook(io.BytesIO(data), data_only=True, read_only=True)
    except (InvalidFileException, KeyError, ValueError, OSError) as error:
        raise AccountError(f"{name} is a damaged workbook ({error}); open it and save it again as xlsx") from error
    if form.sheet is not None and form.sheet not in book.sheetnames:
        raise AccountError(f"{name} has no sheet '{form.sheet}', only {first_of(book.sheetnames)}")
    sheets = [book[form.sheet]] if form.sheet is not None else book.worksheets
    read = [
        [
            Line(number, [_exact(cell) for cell in row])
            for number, row in enumerate(sheet.iter_rows(values_only=True), 1)
        ]
        for sheet in sheets
    ]
    # Without a name it is the sheet with the header; rows of another one with the same header would get lost.
    scores = [header_score(lines, form.known_columns) for lines in read]
    named = [
        sheet.title
        for sheet, score, lines in zip(sheets, scores, read, strict=True)
        if score and score == max(scores) and sum(not line.is_empty for line in lines) > 1
    ]
    if len(named) > 1:
        raise AccountError(
            f"{name}: the sheets {' and '.join(named)} have the columns of the format; say by `sheet` which one "
            "counts, or save each as a file"
        )
    yield from read[scores.index(max(scores))]


def _exact(cell: object) -> Cell:
    if cell is None:
        return ""
    if isinstance(cell, datetime):
        return cell
    if isinstance(cell, date):
        return datetime(cell.year, cell.month, cell.day)
    if isinstance(cell, bool):
        return str(cell)
    if isinstance(cell, int | float | Decimal):
        # A float is read by its shortest decimal form: what the sheet shows.
        return Decimal(str(int(cell) if isinstance(cell, float) and cell.is_integer() else cell))
    return _clean(str(cell))


def date_of_serial(number: Decimal) -> datetime | None:
    """Return the date that a serial number of a workbook stands for; None when it is none."""
    from openpyxl.utils.datetime import from_excel

    if not FIRST_SERIAL <= number <= LAST_SERIAL:
        return None
    found = from_excel(float(number))
    return found if isinstance(found, datetime) else None


def _clean(cell: str) -> str:
    # Spreadsheets are kept from eating leading zeros by ="000001".
    quoted = re.fullmatch(r'="?(.*?)"?', cell.strip(), re.DOTALL)
    return (quoted.group(1) if quoted else cell).strip()


class Element(NamedTuple):
    """One element of a Flex statement: its section, its name and its attributes."""

    number: int
    section: str
    name: str
    values: dict[str, str]


def flex_elements(name: str, data: bytes) -> Iterator[Element]:
    """Read every record of the XML of a Flex query.

    Raises
    ------
    AccountError
        When it is no such XML.
    """
    from xml.etree.ElementTree import ParseError

    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        root = fromstring(data)
    except (ParseError, DefusedXmlException) as error:
        raise AccountError(f"{name} is damaged XML ({error}); export the query again") from error
    if root.tag != "FlexQueryResponse":
        raise AccountError(f"{name} is XML, but no Flex query of Interactive Brokers; export the statement as CSV")
    number = 0
    for statement in root.iter("FlexStatement"):
        yield Element(0, "FlexStatement", "FlexStatement", dict(statement.attrib))
        for section in statement:
            for record in section if len(section) else (section,) if section.attrib else ():
                number += 1
                values = {key: _clean(value) for key, value in record.attrib.items()}
                yield Element(number, section.tag, record.tag, values)
