"""The fields of a row by the column map: text, numbers, dates, names of instruments."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from quant_pipeline.common.exceptions import AccountError
from quant_pipeline.common.listing import first_of
from quant_pipeline.trading.activities.numbers import is_countable
from quant_pipeline.trading.statements.dates import DateReader, Moment
from quant_pipeline.trading.statements.formats import FieldName, RowRule, StatementFormat, bare
from quant_pipeline.trading.statements.numbers import DecimalMark, read_number
from quant_pipeline.trading.statements.records import StatementRow
from quant_pipeline.trading.statements.tables import date_of_serial

ZERO = Decimal(0)


@dataclass(frozen=True)
class Readers:
    """How the numbers and dates of one file are read.

    Attributes
    ----------
    mark
        Decimal mark.
    dates
        By section and column.
    """

    mark: DecimalMark = "."
    dates: Mapping[tuple[str | None, str], DateReader] = field(default_factory=dict)


@dataclass(frozen=True)
class Cells:
    """The fields of one row, read by the column map; every problem names the file, the row and the column."""

    row: StatementRow
    form: StatementFormat
    rule: RowRule
    readers: Readers = field(default_factory=Readers)

    def fail(self, field: FieldName, problem: str) -> AccountError:
        """Make the error that names the place of the problem."""
        column = " + ".join(map(bare, self.columns(field))) or f"({field})"
        named = column if column.startswith("column ") else f"column {column}"
        return AccountError(f"{self.row.place}, {named}: {problem}")

    def has(self, field: FieldName) -> bool:
        """Whether the row says something about a field."""
        return bool(self.text(field, required=False))

    def text(self, field: FieldName, required: bool = True) -> str:
        """Return a field as text."""
        if field in self.rule.set:
            return self.rule.set[field]
        found = " ".join(filter(None, (self._value(field, column) for column in self.columns(field))))
        if required and not found:
            raise self.fail(field, f"a row that is booked as {self.rule.book} needs a {field}")
        return found

    def number(self, field: FieldName, required: bool = True) -> Decimal:
        """Return a field as a number; several columns are added up, empty ones count zero."""
        if not self.has(field):
            if required:
                raise self.fail(field, f"a row that is booked as {self.rule.book} needs a {field}")
            return ZERO
        if field in self.rule.set:
            return self._decimal(field, self.rule.set[field], ".")
        total = ZERO
        for column in self.columns(field):
            value = self._number_of(field, column)
            if not is_countable(value):
                raise self.fail(field, f"{value} is larger or longer than an amount can be")
            total += -value if column.startswith("-") else value
        return total

    def moment(self, field: FieldName = "date") -> Moment:
        """Return a field as the day and time by the clock of the exchange."""
        column = self.columns(field)[:1]
        key = self.row.key_of(bare(column[0])) if column else None
        exact = self.row.exact.get(key or "")
        if isinstance(exact, Decimal):
            exact = date_of_serial(exact) or exact
        if isinstance(exact, datetime):
            return Moment(exact, exact.time() != datetime.min.time())
        text = self.text(field)
        reader = self.readers.dates.get((self.row.section, key or ""))
        if reader is None:
            reader = DateReader(tuple(self.form.patterns), self.form.timezone, self.form.written_in)
        try:
            return reader.read(text, is_day=self.rule.book != "fill")
        except ValueError as error:
            raise self.fail(field, str(error)) from None

    def instrument(self, field: FieldName = "instrument") -> str:
        """Return the name of the instrument as it is called here."""
        if self.form.instrument is None or field != "instrument":
            return self._named_here(self.text(field))
        names = re.findall(r"{(.+?)}", self.form.instrument)
        parts = {name: self._value("instrument", name) for name in names}
        empty = [name for name, value in parts.items() if not value]
        if empty:
            raise AccountError(f"{self.row.place}, column {empty[0]}: the name of the instrument needs it")
        return self._named_here(re.sub(r"{(.+?)}", lambda found: parts[found.group(1)], self.form.instrument))

    def names_instrument(self) -> bool:
        """Whether the row says which instrument it is about."""
        if self.form.instrument is None:
            return self.has("instrument")
        return all(self.row.get(name) for name in re.findall(r"{(.+?)}", self.form.instrument))

    def currency(self) -> str:
        """Return the currency of the amounts."""
        return self.text("currency", required=False) or self.form.currency

    def columns(self, field: FieldName) -> list[str]:
        """Return the columns that state a field, with their signs."""
        return self.form.columns_of(self.rule, field)

    def renamed(self, name: str) -> str:
        """Return a name in capitals, as the map of the format calls it here."""
        name = " ".join(name.upper().split())
        for pattern, replacement in self.form.symbols.items():
            if re.fullmatch(pattern, name):
                name = re.sub(f"^(?:{pattern})$", replacement, name)
        return name

    def _named_here(self, name: str) -> str:
        name = self.renamed(name)
        if any(ord(character) < 32 or character in "/\\" for character in name) or name in (".", ".."):
            raise self.fail("instrument", f"'{name}' is no name of an instrument; map it under `symbols`")
        return name

    def _value(self, field: FieldName, column: str) -> str:
        is_optional, column = column.endswith("~"), bare(column)
        key = self.row.key_of(column)
        if key is None and is_optional:
            return ""
        if key is None:
            raise AccountError(
                f"{self.row.file}: there is no column '{column}', which the format reads as {field}; the file has "
                f"{first_of(self.row.header.keys, limit=40)}"
            )
        value = self.row.values[key]
        meanings = self.form.values.get(column)
        if meanings is None or not value:
            return value
        if value not in meanings:
            raise AccountError(
                f"{self.row.place}, column {column}: '{value}' is not among the values that the format knows: "
                f"{', '.join(meanings)}"
            )
        return meanings[value]

    def _number_of(self, field: FieldName, column: str) -> Decimal:
        exact = self.row.exact.get(self.row.key_of(bare(column)) or "")
        if isinstance(exact, Decimal):
            return exact
        return self._decimal(field, self._value(field, column) or "0", self.readers.mark)

    def _decimal(self, field: FieldName, text: str, mark: DecimalMark) -> Decimal:
        try:
            return read_number(text, mark, self.currency())
        except ValueError as error:
            raise self.fail(field, str(error)) from None


def plain(value: Decimal) -> str:
    """Write a number without exponent and without needless zeros, so that 1.50 and 1.5 are the same fact."""
    text = f"{value + 0:f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"
