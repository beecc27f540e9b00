"""Reading of statement files: every row with its place, its section and its cells by column."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import assert_never

from quant_pipeline.common.exceptions import AccountError
from quant_pipeline.trading.activities.activity_types import meaning_of
from quant_pipeline.trading.statements.contents import Content, content_of
from quant_pipeline.trading.statements.formats import StatementFormat, bare
from quant_pipeline.trading.statements.records import Header, Reading, StatementFile, StatementRow, make_row
from quant_pipeline.trading.statements.sections import flex_rows, section_rows
from quant_pipeline.trading.statements.tables import Cell, Line, flex_elements, header_score, lines_of, plain_text

RECORDS = ("BOF", "BOA", "BOS", "HEADER", "DATA", "EOS", "EOA", "EOF")
"""First cells of the lines of a Flex query as CSV, when header and trailer records are exported."""


def fitness(file: StatementFile, form: StatementFormat) -> int:
    """Return how much of a file a format knows: sections that it books, or columns of the header.

    Raises
    ------
    AccountError
        When the file cannot be read at all.
    """
    content = content_of(file.name, file.content)
    booked = {rule.section for rule in form.rules} - {None}
    match form.layout:
        case "flex_xml":
            if content is not Content.XML:
                return 0
            return len(booked & {element.section for element in flex_elements(file.name, file.content)})
        case "sections" | "table" if content is Content.XML:
            return 0
        case "sections":
            lines = lines_of(file.name, file.content, content, form)
            return len(booked & {plain_text(line.cells[0]) for line in lines if line.cells})
        case "table":
            return header_score(lines_of(file.name, file.content, content, form), form.known_columns)
        case unknown:
            assert_never(unknown)


def read_rows(file: StatementFile, form: StatementFormat) -> Reading:
    """Read every row of a statement that is not empty.

    Raises
    ------
    AccountError
        When the file cannot be read.
    """
    content = content_of(file.name, file.content)
    reading = Reading()
    if form.layout == "flex_xml":
        if content is not Content.XML:
            raise AccountError(f"{file.name} is no XML of a Flex query; give a CSV export the name of its own format")
        reading.rows = list(flex_rows(file, form, reading))
    elif content is Content.XML:
        raise AccountError(f"{file.name} is XML; a Flex query as XML has a name such as flex_2025.xml")
    else:
        _read_lines(file, content, form, reading)
    for row in reading.rows:
        if form.activity_type:
            row.values["Meaning"] = str(meaning_of(*(row.get(bare(column)) for column in form.activity_type)) or "")
        if form.account is not None and (account := row.get(form.account)):
            reading.accounts.setdefault(account.split()[0], row.place)
        for column, digits in form.zero_filled.items():
            if (code := row.get(column)).isdigit():
                row.values[column] = code.zfill(digits)
        row.values.update({name: column.of(row) for name, column in form.derived.items()})
    return reading


def _read_lines(file: StatementFile, content: Content, form: StatementFormat, reading: Reading) -> None:
    lines = [line for line in lines_of(file.name, file.content, content, form)[form.skip_rows :] if not line.is_empty]
    if form.skip_last_rows:
        lines = lines[: -form.skip_last_rows]
    if not lines:
        raise AccountError(f"{file.name} is empty; export it again, or remove it from the folder of the statements")
    lines = [Line(number, _filled(cells, form)) for number, cells in lines]
    if form.layout == "sections":
        reading.rows = section_rows(file.name, lines, form, reading)
    elif lines[0].cells[0] in RECORDS:
        reading.rows = list(_records(file.name, lines))
    else:
        place = _header_place(file.name, lines, form.known_columns)
        header = Header(tuple(plain_text(cell) for cell in lines[place].cells))
        # Exports that were joined repeat the header.
        rows = (line for line in lines[place + 1 :] if line.cells != lines[place].cells)
        reading.rows = [make_row(file.name, line, None, header, line.cells) for line in rows]


def _filled(cells: list[Cell], form: StatementFormat) -> list[Cell]:
    return ["" if cell in form.empty else cell for cell in cells]


def _header_place(name: str, lines: Sequence[Line], known: set[str]) -> int:
    """Find the header: the first of the lines that name most columns of the format.

    Raises
    ------
    AccountError
        When no line names one.
    """
    scores = [len(known & {cell for cell in line.cells if isinstance(cell, str)}) for line in lines[:60]]
    if known and not max(scores):
        first = " ".join(plain_text(cell) for cell in lines[0].cells)[:60]
        raise AccountError(
            f"{name} has no header with the columns of its format, such as {', '.join(sorted(known)[:4])}; its first "
            f"line is '{first}'. Set `encoding` or `delimiter`, or change the columns of the format"
        )
    return scores.index(max(scores))


def _records(name: str, lines: Sequence[Line]) -> Iterator[StatementRow]:
    """Read the lines of a Flex query with header and trailer records."""
    headers: dict[str, Header] = {}
    for line in lines:
        kind, *cells = line.cells
        if kind == "HEADER":
            headers[plain_text(cells[0])] = Header(tuple(map(plain_text, cells[1:])), 3)
        elif kind == "DATA":
            code = plain_text(cells[0])
            if code not in headers:
                raise AccountError(f"{name}, row {line.number}: no HEADER record of '{code}' stands above it")
            yield make_row(name, line, None, headers[code], cells[1:])
        elif kind not in RECORDS:
            raise AccountError(f"{name}, row {line.number}: '{kind}' is no record of a Flex query")
