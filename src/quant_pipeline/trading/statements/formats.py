"""Column maps of statements: which file has which columns, and which row means what."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any, Literal, Protocol

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt, model_validator

from quant_pipeline.common.parameters import Parameters

FieldName = Literal[
    "id", "date", "instrument", "side", "quantity", "price", "fee", "cash", "balance", "currency", "fee_currency",
    "note", "new_instrument", "cost", "cost_fraction", "opened", "lots", "fill", "previous", "multiplier",
    "ratio",
]  # fmt: skip
NUMBERS: tuple[FieldName, ...] = ("quantity", "price", "fee", "cash", "balance", "cost", "cost_fraction")
DATES: tuple[FieldName, ...] = ("date", "opened")
RowMeaning = Literal[
    "fill", "deposit", "withdrawal", "dividend", "fee", "tax", "interest", "transfer", "split", "spin_off", "merger",
    "symbol_change", "delisting", "return_of_capital", "cash_in_lieu", "other_cash", "foreign", "bust", "correction",
    "unit_split", "exchange", "ignore",
]  # fmt: skip
OnUnknown = Literal["quarantine", "refuse"]
EMPTY = ("-", "--", "---", "n/a", "N/A", "#N/A", "null", "NULL", "None")

Condition = dict[str, str | list[str]]
"""Column and the text, or texts, it must have; ``*`` stands for anything. All columns must agree."""


class RowRule(Parameters):
    """What a kind of row means.

    Attributes
    ----------
    when
        Column and the text, or texts, it must have; ``*`` stands for anything. All columns must agree.
    section
        Section of the statement the rule is for, when its layout has sections.
    book
        What is booked. ``ignore`` is for rows that repeat others, such as totals; ``other_cash`` books the cash alone;
        ``foreign`` books the cash of an instrument of which these books keep no lots, such as an option, and carries
        it; ``exchange`` is one side of an exchange of currencies: with a rule for it, rows in other currencies that
        move no shares are left out, as long as all of what they moved was exchanged.
    columns
        Columns of this kind of row, where they differ from those of the format.
    set
        Fields that no column states, for instance ``side: sell``.
    repeats
        For rows that are ignored because they repeat others: what those others look like. In a file, or section,
        without such a row the rule does not hold.
    pair
        For corporate actions that take several rows, old shares out, new shares in, cash: the rows of one session whose
        values in these columns are equal are one action. An empty list joins all rows of the session.
    needs_both
        Whether a split always has a row of the old and one of the new shares; else a single row with new shares is the
        difference, unless its ``ratio`` (such as ``1 for 6``) makes them fewer.
    """

    when: Condition = Field(default_factory=dict)
    section: str | None = None
    book: RowMeaning
    columns: dict[FieldName, str | list[str]] = Field(default_factory=dict)
    set: dict[FieldName, str] = Field(default_factory=dict)
    repeats: Condition = Field(default_factory=dict)
    pair: list[str] | None = None
    needs_both: bool = False

    def covers(self, row: Row) -> bool:
        """Whether a row is of this kind."""
        return (self.section is None or self.section == row.section) and agrees(row, self.when)


class Row(Protocol):
    """A row, as far as conditions look at it."""

    @property
    def section(self) -> str | None:
        """Section of the statement."""

    def get(self, column: str) -> str:
        """Return the text of a column; empty when the row has no such column."""


def agrees(row: Row, condition: Condition) -> bool:
    """Whether all columns of a condition have one of the texts that it wants."""
    return all(_fits(row.get(column), wanted) for column, wanted in condition.items())


def bare(column: str) -> str:
    """Return the name of a column without the sign before it and the ``~`` behind it."""
    return column.removeprefix("-").removesuffix("~")


def _fits(text: str, wanted: str | list[str]) -> bool:
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

    def of(self, row: Row) -> str:
        """Return the value in one row."""
        found = re.search(self.pattern, row.get(self.column))
        return found.group(1) if found else ""


class AmendmentRule(Parameters):
    """Rows that take back, or correct, a row before them.

    Attributes
    ----------
    when
        What such a row looks like.
    kind
        ``cancel``: the earlier row never happened. ``correct``: this row stands in its place. The field ``previous``
        names the earlier row by its id; without it, the row is the one that says the same, or the opposite.
    """

    when: Condition
    kind: Literal["cancel", "correct"]


class StatedAmounts(Parameters):
    """Where a statement says what the account had at the end of its period; it is compared with the books.

    Attributes
    ----------
    section, when
        The rows.
    instrument
        Column of the instrument; None for the cash of the account.
    currency
        Column of the currency, where a statement has one row for each: that of the account counts before their sum.
    value
        Column of the amount.
    """

    section: str
    when: Condition = Field(default_factory=dict)
    instrument: str | None = None
    currency: str | None = None
    value: str


class StatementFormat(Parameters):
    r"""The column map of one broker's export.

    Attributes
    ----------
    files, more_files
        Names of the files it reads, relative to the folder of the statements; ``*`` stands for anything. Lists called
        ``more_…`` add to the list of their name, so that an environment extends a shipped format without copying it.
    layout
        ``table``: one header, then rows. ``sections``: every line begins with the name of its section and with
        ``Header`` or the kind of the line, as Interactive Brokers' activity statements do. ``flex_xml``: the XML of its
        Flex queries, whose sections are elements and whose columns are attributes.
    encoding, delimiter
        Of a CSV file. UTF-8 and files with a byte order mark are recognised; without `delimiter`, comma, semicolon and
        tab are.
    sheet
        Name of the sheet of an xlsx file; by default the first one with the header.
    skip_rows, skip_last_rows
        Lines above the header, which is otherwise the first line with the columns of the format, and below the last
        row.
    ignore_rows_wider
        Whether rows with more cells than the header, such as disclaimers, are left out; they are an error otherwise.
    decimal
        Decimal mark, ``.`` or ``,``; the other one may separate thousands. Without it a number that could be read in
        two ways is an error.
    empty
        Texts that stand for an empty cell.
    date_formats, more_date_formats
        In the notation of ``strptime``, the preferred one first; ``%Z`` reads names such as ``EST``. A whole column is
        read by one of them where they could contradict.
    timezone
        Where the dates are counted when the times carry an offset.
    written_in
        Time zone of times that carry none, when it is not `timezone`.
    day_ends
        Time of day, such as ``20:00``, from which a trade belongs to the next session: overnight trading.
    outside_sessions
        What a trade on a day without session is: an error (``refuse``), or a trade of the ``next`` session.
    currency
        Currency of the amounts when no column states it.
    base_currency
        For ``sections``: the field that states the currency of the account.
    columns
        Column of every field; several columns are added up, a leading ``-`` turns the sign, a ``~`` behind the name
        marks a column that some exports lack. The columns of a date and a time are joined. ``column 11`` is a column by
        its position, ``Name#2`` the second one of a name.
    derived
        Columns made from others before anything else is read.
    zero_filled
        For a column of codes that spreadsheets turn into numbers: how many digits they have.
    activity_type
        Columns of the type and sub type of Alpaca's activities; the column ``Meaning`` says what they are by the table
        that the live account uses.
    values
        For a column: what its texts mean. A text that is not listed is an error.
    words
        For a column: the only texts it may have besides none, such as the status of a record. What a row with another
        one means is not known, see `StatementImportParameters`.
    instrument
        Template of the instrument's name, for instance ``{market}{code}``; by default the column of ``instrument``.
    symbols
        Names of instruments at the broker, as regular expressions of the whole name, and here:
        ``'(\w+) (\w)': '\1.\2'`` makes ``BRK B`` ``BRK.B``.
    rows, more_rows
        The first rule that covers a row decides, ``more_rows`` first; ``on_unknown`` is for rows without rule.
    amendments
        Rows that take back or correct others.
    ignored_sections, more_ignored_sections
        Sections that book nothing, such as the name of the account; ``*`` stands for anything.
    period
        For ``sections``: the field that states the period.
    stated
        What the statement itself says is held at the end of its period.
    newest_first
        Whether the newest row comes first; by default the dates tell.
    tolerance
        By how much the cash of a fill may differ from quantity × price ± fees because the broker rounds.
    rounded_prices
        Whether the price is rounded to the decimals that are shown, so that its cash may differ by half of the last one
        for every share.
    account
        Column, or field of a header, with the number of the account. These books are of one account, so files of
        several are refused; null books them as one.
    advice
        What to do with a file of this name that has none of the known sections.
    completes
        Whether rows of this format, written by hand, state what rows of others leave out: the cost of shares
        transferred in, the part of the cost that a spin-off takes over.
    """

    files: str | list[str]
    more_files: list[str] = Field(default_factory=list)
    layout: Literal["table", "sections", "flex_xml"] = "table"
    encoding: str = "utf-8-sig"
    delimiter: str | None = None
    sheet: str | None = None
    skip_rows: NonNegativeInt = 0
    skip_last_rows: NonNegativeInt = 0
    ignore_rows_wider: bool = False
    decimal: Literal[".", ","] | None = None
    empty: list[str] = Field(default_factory=lambda: list(EMPTY))
    date_formats: list[str] = Field(default_factory=lambda: ["%Y-%m-%d"])
    more_date_formats: list[str] = Field(default_factory=list)
    timezone: str = "America/New_York"
    written_in: str | None = None
    day_ends: str | None = Field(default=None, pattern=r"^\d\d:\d\d$")
    outside_sessions: Literal["refuse", "next"] = "refuse"
    currency: str = "USD"
    base_currency: str | None = None
    columns: dict[FieldName, str | list[str]] = Field(default_factory=dict)
    derived: dict[str, DerivedColumn] = Field(default_factory=dict)
    zero_filled: dict[str, PositiveInt] = Field(default_factory=dict)
    activity_type: list[str] = Field(default_factory=list)
    values: dict[str, dict[str, str]] = Field(default_factory=dict)
    words: dict[str, list[str]] = Field(default_factory=dict)
    instrument: str | None = None
    symbols: dict[str, str] = Field(default_factory=dict)
    rows: list[RowRule] = Field(min_length=1)
    more_rows: list[RowRule] = Field(default_factory=list)
    amendments: list[AmendmentRule] = Field(default_factory=list)
    ignored_sections: list[str] = Field(default_factory=list)
    more_ignored_sections: list[str] = Field(default_factory=list)
    period: str | None = None
    stated: list[StatedAmounts] = Field(default_factory=list)
    newest_first: bool | None = None
    tolerance: NonNegativeFloat = 0.01
    rounded_prices: bool = False
    account: str | None = None
    advice: str = ""
    completes: bool = False

    @property
    def rules(self) -> list[RowRule]:
        """All rules, in the order in which they are asked."""
        return [*self.more_rows, *self.rows]

    @property
    def patterns(self) -> list[str]:
        """All formats of dates."""
        return [*self.date_formats, *self.more_date_formats]

    def reads(self, name: str) -> bool:
        """Whether a file is of this format, by its name."""
        files = [self.files] if isinstance(self.files, str) else self.files
        base = name.rpartition("/")[2]
        return any(fnmatchcase(part.lower(), p.lower()) for p in [*files, *self.more_files] for part in (name, base))

    def ignores(self, section: str) -> bool:
        """Whether a section books nothing."""
        return any(fnmatchcase(section, name) for name in [*self.ignored_sections, *self.more_ignored_sections])

    def columns_of(self, rule: RowRule, field: FieldName) -> list[str]:
        """Return the columns that state a field in rows of a kind, with their signs."""
        columns = rule.columns.get(field, self.columns.get(field, []))
        return [columns] if isinstance(columns, str) else columns

    @property
    def known_columns(self) -> set[str]:
        """Every column that the map looks at, by which a header is found."""
        fields = {field for rule in self.rules for field in {*self.columns, *rule.columns}}
        named = {name for rule in self.rules for field in fields for name in self.columns_of(rule, field)}
        named.add(self.account or "")
        conditions = [rule.when for rule in self.rules] + [amendment.when for amendment in self.amendments]
        named |= {name for condition in conditions for name in condition}
        named |= {column.column for column in self.derived.values()} | {*self.activity_type, *self.values}
        plain = {bare(name) for name in named} - set(self.derived) - {"line", "Meaning", ""}
        return {name for name in plain if not re.fullmatch(r"column \d+|.+#\d+", name)}

    @model_validator(mode="after")
    def _every_row_has_a_date(self) -> StatementFormat:
        for rule in self.rules:
            if rule.book != "ignore" and "date" not in {**self.columns, **rule.columns}:
                raise ValueError(f"no column states the date of rows that are booked as {rule.book}")
        return self


class StatementImportParameters(Parameters):
    """The ``statement_import`` block of the parameters.

    Attributes
    ----------
    currency
        Currency of the account; a row in another one is an error, unless the format knows exchanges.
    formats
        Column maps by name.
    shipped
        Formats that stand back where another one reads the same file: one of your own comes first.
    on_unknown
        What is done with a row that no rule explains. ``quarantine``: cash that it states is booked as other cash; a
        row that moves shares, or whose effect cannot be read, is kept until the operator answers it; everything else
        is booked. ``refuse``: it is an error, and nothing is booked.
    """

    currency: str = "USD"
    formats: dict[str, StatementFormat] = Field(default_factory=dict)
    shipped: list[str] = Field(default_factory=list)
    on_unknown: OnUnknown = "quarantine"

    def with_changes(self, changes: Mapping[str, Any]) -> StatementImportParameters:
        """Return these parameters with others laid over them, key by key; lists are replaced.

        Raises
        ------
        pydantic.ValidationError
            When the result has a key that nothing reads, or a value that does not fit.
        """
        return StatementImportParameters.model_validate(_merged(self.model_dump(exclude_unset=True), changes))


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        known = merged.get(key)
        merged[key] = _merged(known, value) if isinstance(value, Mapping) and isinstance(known, Mapping) else value
    return merged
