"""Records of what is read: files, headers, rows."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property

from quant_pipeline.common.exceptions import AccountError
from quant_pipeline.trading.statements.tables import Cell, Line, plain_text


@dataclass(frozen=True)
class StatementFile:
    """A statement as it came.

    Attributes
    ----------
    name
        Path relative to the folder of the statements.
    content
        Its bytes.
    read_on
        Day (UTC) on which it was read, after which nothing in it can have happened; None where no clock was asked.
    """

    name: str
    content: bytes
    read_on: date | None = None

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the content."""
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True)
class Header:
    """Names of columns; a repeated or missing name is no name.

    Attributes
    ----------
    names
        As they are written.
    first
        Position of the first one in the line.
    """

    names: tuple[str, ...]
    first: int = 1

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """Names that address one column each: ``Name``, ``Name#2``, ``column 11``."""
        counts, seen, keys = Counter(self.names), Counter[str](), []
        for index, name in enumerate(self.names, start=self.first):
            seen[name] += 1
            keys.append(f"column {index}" if not name else name if counts[name] == 1 else f"{name}#{seen[name]}")
        return tuple(keys)

    def key_of(self, column: str) -> str | None:
        """Return the key of a column as a format names it; None when there is none.

        Raises
        ------
        ValueError
            When the name stands for several columns.
        """
        places = [index for index, name in enumerate(self.names, start=self.first) if name == column]
        if len(places) > 1 or (places and not column):
            listed = " and ".join(map(str, places))
            if not column:
                raise ValueError(
                    f"columns {listed} have no name; address one by its position, for instance `column {places[0]}`"
                )
            raise ValueError(
                f"columns {listed} are called '{column}'; address the one that is meant as `{column}#1` or `{column}#2`"
            )
        if column in self.keys:
            return column
        by_place = re.fullmatch(r"column (\d+)", column)
        if by_place and self.first <= int(by_place.group(1)) < self.first + len(self.names):
            return self.keys[int(by_place.group(1)) - self.first]
        return None


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
    header
        How its columns are addressed.
    exact
        Numbers and dates that a workbook knows exactly, by column.
    excess
        How many cells it has when there are more than columns in the header; 0 otherwise.
    """

    file: str
    number: int
    section: str | None
    values: dict[str, str]
    header: Header
    exact: dict[str, Cell] = field(default_factory=dict)
    excess: int = 0

    @property
    def place(self) -> str:
        """Where to find the row."""
        return f"{self.file}, row {self.number}" + (f" ({self.section})" if self.section else "")

    def get(self, column: str) -> str:
        """Return the text of a column; empty when there is none of this name."""
        return self.values.get(self.key_of(column) or "", "")

    def key_of(self, column: str) -> str | None:
        """Return the key of a column among `values`; None when there is none.

        Raises
        ------
        AccountError
            When the name stands for several columns.
        """
        if column in self.values:
            return column
        try:
            return self.header.key_of(column)
        except ValueError as error:
            raise AccountError(f"{self.file}: {error}") from error


@dataclass
class Reading:
    """What was read of a file.

    Attributes
    ----------
    rows
        Rows that are not empty.
    fields
        For ``sections``: texts of the fields that the statement states about itself.
    accounts
        Numbers of accounts that it names, and where each stands first.
    problems, warnings
        What could not be read, and what was left out.
    """

    rows: list[StatementRow] = field(default_factory=list)
    fields: dict[str, str] = field(default_factory=dict)
    accounts: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def make_row(
    name: str, line: Line, section: str | None, header: Header, cells: Sequence[Cell], kind: str | None = None
) -> StatementRow:
    """Put the cells of a line under their columns; ``kind`` is the kind of a line of a section."""
    size = len(header.keys)
    shown = [*cells[:size], *[""] * (size - len(cells))]
    values = {key: plain_text(cell) for key, cell in zip(header.keys, shown, strict=True)}
    exact: dict[str, Cell] = {
        key: cell for key, cell in zip(header.keys, shown, strict=True) if not isinstance(cell, str)
    }
    excess = sum(1 for cell in cells[size:] if cell != "")
    if kind is not None:
        values["line"] = kind
    return StatementRow(name, line.number, section, values, header, exact, len(cells) if excess else 0)
