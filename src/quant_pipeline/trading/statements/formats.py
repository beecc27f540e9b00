"""Column maps of statements: which file has which columns, and which row means what."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, model_validator

from quant_pipeline.common.parameters import Parameters

FieldName = Literal[
    "id", "date", "instrument", "side", "quantity", "price", "fee", "cash", "balance", "currency", "note",
    "new_instrument", "cost", "cost_fraction", "opened", "lots", "fill",
]  # fmt: skip
Meaning = Literal[
    "fill", "deposit", "withdrawal", "dividend", "fee", "tax", "interest", "transfer", "split", "spin_off", "merger",
    "symbol_change", "cash_in_lieu", "bust", "correction", "ignore",
]  # fmt: skip


class RowRule(Parameters):
    """What a kind of row means.

    Attributes
    ----------
    when
        Column and the text, or texts, it must have; ``*`` stands for anything. All columns must agree.
    section
        Section of the statement the rule is for, when its layout has sections.
    book
        What is booked. ``ignore`` is for rows that repeat others, such as totals.
    columns
        Columns of this kind of row, where they differ from those of the format.
    set
        Fields that no column states, for instance ``side: sell``.
    """

    when: dict[str, str | list[str]] = Field(default_factory=dict)
    section: str | None = None
    book: Meaning
    columns: dict[FieldName, str | list[str]] = Field(default_factory=dict)
    set: dict[FieldName, str] = Field(default_factory=dict)

    def covers(self, section: str | None, values: dict[str, str]) -> bool:
        """Whether a row is of this kind."""
        if self.section is not None and self.section != section:
            return False
        return all(_agrees(values.get(column, ""), wanted) for column, wanted in self.when.items())


def _agrees(text: str, wanted: str | list[str]) -> bool:
    return any(fnmatchcase(text, pattern) for pattern in ([wanted] if isinstance(wanted, str) else wanted))


class DerivedColumn(Parameters):
    """A column that is part of another one.

    Attributes
    ----------
    column
        Where to look.
    pattern
        Regular expression; its first group is the value. Where it does not match the value is empty.
    """

    column: str
    pattern: str

    def of(self, values: dict[str, str]) -> str:
        """Return the value in one row."""
        found = re.search(self.pattern, values.get(self.column, ""))
        return found.group(1) if found else ""


class StatementFormat(Parameters):
    """The column map of one broker's export.

    Attributes
    ----------
    files
        Names of the files it reads, relative to the folder of the statements; ``*`` stands for anything.
    layout
        ``table``: one header, then rows. ``sections``: every line begins with the name of its section and with
        ``Header`` or the kind of the line, as Interactive Brokers' activity statements do.
    encoding, delimiter
        Of a CSV file.
    sheet
        Name of the sheet of an xlsx file; the first by default.
    skip_rows
        Lines above the header.
    date_formats
        In the notation of ``strptime``; the first that fits is taken.
    timezone
        Where the dates are counted when the times carry an offset.
    currency
        Currency of the amounts when no column states it.
    columns
        Column of every field; several columns are added up, a leading ``-`` turns the sign.
    derived
        Columns made from others before anything else is read.
    values
        For a column: what its texts mean. A text that is not listed is an error.
    instrument
        Template of the instrument's name, for instance ``{market}{code}``; by default the column of ``instrument``.
    rows
        The first rule that covers a row decides; a row without rule is an error.
    ignored_sections
        Sections that book nothing, such as the name of the account.
    newest_first
        Whether the newest row comes first.
    tolerance
        By how much the cash of a fill may differ from quantity × price ± fees because the broker rounds.
    """

    files: str | list[str]
    layout: Literal["table", "sections"] = "table"
    encoding: str = "utf-8-sig"
    delimiter: str = ","
    sheet: str | None = None
    skip_rows: NonNegativeInt = 0
    date_formats: list[str] = Field(default_factory=lambda: ["%Y-%m-%d"])
    timezone: str = "America/New_York"
    currency: str = "USD"
    columns: dict[FieldName, str | list[str]] = Field(default_factory=dict)
    derived: dict[str, DerivedColumn] = Field(default_factory=dict)
    values: dict[str, dict[str, str]] = Field(default_factory=dict)
    instrument: str | None = None
    rows: list[RowRule] = Field(min_length=1)
    ignored_sections: list[str] = Field(default_factory=list)
    newest_first: bool = False
    tolerance: NonNegativeFloat = 0.01

    def reads(self, name: str) -> bool:
        """Whether a file is of this format."""
        return _agrees(name, self.files)

    @model_validator(mode="after")
    def _every_row_has_a_date(self) -> StatementFormat:
        for rule in self.rows:
            if rule.book != "ignore" and "date" not in {**self.columns, **rule.columns}:
                raise ValueError(f"no column states the date of rows that are booked as {rule.book}")
        return self


class StatementImportParameters(Parameters):
    """The ``statement_import`` block of the parameters.

    Attributes
    ----------
    currency
        Currency of the account; a row in another one is an error.
    formats
        Column maps by name.
    """

    currency: str = "USD"
    formats: dict[str, StatementFormat] = Field(default_factory=dict)
