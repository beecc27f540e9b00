"""Statements made of sections: activity statements of Interactive Brokers, its Flex queries as XML."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from quant_pipeline.common.exceptions import AccountError
from quant_pipeline.trading.statements.formats import StatementFormat
from quant_pipeline.trading.statements.records import Header, Reading, StatementFile, StatementRow, make_row
from quant_pipeline.trading.statements.tables import Line, flex_elements, plain_text

_MOVING = {"Quantity", "Qty", "Amount", "Proceeds", "Cash Amount"}
"""Columns of sections whose rows may move cash or shares."""


def section_rows(name: str, lines: Sequence[Line], form: StatementFormat, reading: Reading) -> list[StatementRow]:
    """Read the rows of an activity statement; sections that begin again and repeat their rows are left out.

    Raises
    ------
    AccountError
        When it has none of the sections of its format.
    """
    return _without_repeated(name, list(_sections(name, lines, form, reading)), reading)


def flex_rows(file: StatementFile, form: StatementFormat, reading: Reading) -> Iterator[StatementRow]:
    """Read the records of a Flex query as XML."""
    known = {rule.section for rule in form.rules}
    unknown: Counter[str] = Counter()
    for element in flex_elements(file.name, file.content):
        if element.section in ("FlexStatement", "AccountInformation"):
            reading.fields |= element.values
            if account := element.values.get(form.account or ""):
                reading.accounts.setdefault(account, file.name)
            continue
        if form.ignores(element.section):
            continue
        if element.section not in known:
            unknown[element.section] += bool(element.values)
            continue
        values = {key: "" if value in form.empty else value for key, value in element.values.items()}
        header = Header(tuple(values))
        yield StatementRow(file.name, element.number, element.section, {**values, "line": element.name}, header)
    for section, number in unknown.items():
        if number:
            reading.problems.append(_unknown_section(file.name, section, f"{number} records", True))


def _sections(name: str, lines: Sequence[Line], form: StatementFormat, reading: Reading) -> Iterator[StatementRow]:
    headers: dict[str, Header] = {}
    known = {rule.section for rule in form.rules} | {stated.section for stated in form.stated}
    found = {plain_text(line.cells[0]) for line in lines}
    if not known & found and not all(form.ignores(section) for section in found):
        raise AccountError(f"{name} has none of the sections that its format books. {form.advice}".strip())
    unknown: set[str] = set()
    for line in lines:
        if len(line.cells) < 2:
            reading.problems.append(f"{name}, row {line.number}: a line of a section needs its name and its kind")
            continue
        section, kind, *cells = (plain_text(cell) for cell in line.cells)
        if kind == "Data" and len(cells) >= 2 and headers.get(section, Header(())).names[:1] == ("Field Name",):
            reading.fields.setdefault(cells[0], cells[1])
            if cells[0] == form.account and cells[1]:
                reading.accounts.setdefault(cells[1].split()[0], f"{name}, row {line.number}")
        if kind == "Header":
            headers[section] = Header(tuple(cells), 3)
        if form.ignores(section) or (section in unknown):
            continue
        if section not in known:
            unknown.add(section)
            moves = bool(_MOVING & set(cells))
            reading.problems.append(_unknown_section(name, section, f"row {line.number}", moves))
        elif kind == "Header":
            continue
        elif section not in headers:
            reading.problems.append(f"{name}, row {line.number}: section '{section}' has no header above it")
        else:
            yield make_row(name, line, section, headers[section], cells, kind)


def _unknown_section(name: str, section: str, where: str, moves: bool) -> str:
    remedy = (
        "its rows may move cash or shares: say under `more_rows` what they book"
        if moves
        else "say under `more_rows` what its rows book, or add its name to `more_ignored_sections` if they book nothing"
    )
    return f"{name}, {where}: the format knows no section '{section}'; {remedy}"


def _without_repeated(name: str, rows: list[StatementRow], reading: Reading) -> list[StatementRow]:
    """Leave out sections that begin again with another header and repeat their rows, as legacy sections of IB do."""
    kept: list[StatementRow] = []
    blocks: dict[tuple[str | None, Header], list[StatementRow]] = {}
    for row in rows:
        blocks.setdefault((row.section, row.header), []).append(row)
    earlier: dict[str | None, list[list[StatementRow]]] = {}
    for (section, header), block in blocks.items():
        for other in earlier.get(section, []):
            common = [key for key in header.keys if key in other[0].header.keys]
            known = Counter(_cells(row, common) for row in other)
            found = Counter(_cells(row, common) for row in block)
            repeated = (found & known).total()
            data = [
                _cells(row, common)
                for row in block
                if not any(cell.startswith("Total") for cell in row.values.values())
            ]
            if repeated == len(block) and data:
                reading.warnings.append(
                    f"{name}, row {block[0].number}: section '{section}' stands there twice; it counts once"
                )
                break
            if any(cells in known for cells in data):
                reading.problems.append(
                    f"{name}, row {block[0].number}: section '{section}' begins a second time and repeats some of its "
                    "rows, not all; export the statement without legacy sections"
                )
        else:
            kept += block
        earlier.setdefault(section, []).append(block)
    return sorted(kept, key=lambda row: row.number)


def _cells(row: StatementRow, columns: Sequence[str]) -> tuple[str, ...]:
    return tuple(row.values[column] for column in columns)
