"""From a row of a statement to what it means for the account."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from zoneinfo import ZoneInfo

import pandas as pd

from quant_pipeline.common.exceptions import AccountError
from quant_pipeline.trading.ledger.events import EventKind
from quant_pipeline.trading.statements.formats import FieldName, RowRule, StatementFormat
from quant_pipeline.trading.statements.reader import StatementRow

ZERO = Decimal(0)
SIDES = {"buy": "buy", "b": "buy", "bought": "buy", "sell": "sell", "s": "sell", "sld": "sell", "sold": "sell"}


@dataclass(frozen=True)
class Cells:
    """The fields of one row, read by the column map; every problem names the file, the row and the column."""

    row: StatementRow
    form: StatementFormat
    rule: RowRule

    def fail(self, field: FieldName, problem: str) -> AccountError:
        """Make the error that names the place of the problem."""
        column = self._columns(field)
        return AccountError(f"{self.row.place}, column {' + '.join(column) or f'({field})'}: {problem}")

    def has(self, field: FieldName) -> bool:
        """Whether the row says something about a field."""
        return bool(self.text(field, required=False))

    def text(self, field: FieldName, required: bool = True) -> str:
        """Return a field as text."""
        if field in self.rule.set:
            return self.rule.set[field]
        columns = self._columns(field)
        found = " ".join(filter(None, (self._value(field, column) for column in columns)))
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
            return self._decimal(field, self.rule.set[field])
        total = ZERO
        for column in self._columns(field):
            value = self._decimal(field, self._value(field, column.removeprefix("-")) or "0")
            total += -value if column.startswith("-") else value
        return total

    def date(self, field: FieldName = "date") -> pd.Timestamp:
        """Return a field as the day it is on the exchange."""
        text = self.text(field)
        for pattern in self.form.date_formats:
            try:
                moment = datetime.strptime(text, pattern)
            except ValueError:
                continue
            if moment.tzinfo is not None:
                moment = moment.astimezone(ZoneInfo(self.form.timezone)).replace(tzinfo=None)
            return pd.Timestamp(moment).normalize()
        raise self.fail(field, f"'{text}' is no date of the form {' or '.join(self.form.date_formats)}")

    def instrument(self) -> str:
        """Return the name of the instrument."""
        if self.form.instrument is None:
            return self.text("instrument").upper()
        names = re.findall(r"{(.+?)}", self.form.instrument)
        parts = {name: self._value("instrument", name) for name in names}
        empty = [name for name, value in parts.items() if not value]
        if empty:
            raise AccountError(f"{self.row.place}, column {empty[0]}: the name of the instrument needs it")
        return re.sub(r"{(.+?)}", lambda found: parts[found.group(1)], self.form.instrument).upper()

    def _columns(self, field: FieldName) -> list[str]:
        columns = self.rule.columns.get(field, self.form.columns.get(field, []))
        return [columns] if isinstance(columns, str) else columns

    def _value(self, field: FieldName, column: str) -> str:
        column = column.removeprefix("-")
        if column not in self.row.values:
            raise AccountError(
                f"{self.row.place}: there is no column '{column}', which the format reads as {field}; "
                f"the file has {', '.join(self.row.values)}"
            )
        value = self.row.values[column]
        meanings = self.form.values.get(column)
        if meanings is None or not value:
            return value
        if value not in meanings:
            raise AccountError(
                f"{self.row.place}, column {column}: '{value}' is not among the values that the format knows: "
                f"{', '.join(meanings)}"
            )
        return meanings[value]

    def _decimal(self, field: FieldName, text: str) -> Decimal:
        plain = text.replace(",", "").replace("$", "").replace("¥", "").strip()
        negative = plain.startswith("(") and plain.endswith(")")
        try:
            value = Decimal(plain.strip("()"))
        except InvalidOperation:
            raise self.fail(field, f"'{text}' is no number") from None
        if not value.is_finite():
            raise self.fail(field, f"'{text}' is no number")
        return -value if negative else value


Facts = tuple[EventKind, dict[str, str | list[list[str]]]]


def interpret(cells: Cells) -> Facts:
    """Return the kind of event and the facts that a row stands for.

    Raises
    ------
    AccountError
        When a field is missing, malformed or contradicts another one.
    """
    return _MEANINGS[cells.rule.book](cells)


def _fill(cells: Cells) -> Facts:
    quantity, fee, side = cells.number("quantity"), cells.number("fee", required=False), _side(cells)
    if quantity == 0:
        raise cells.fail("quantity", "a trade needs shares")
    quantity = abs(quantity)
    sign = -1 if side == "buy" else 1
    if cells.has("price"):
        price = cells.number("price")
        cash = _cash_of_deal(cells, sign * quantity * price - fee)
    else:
        cash = cells.number("cash")
        price = (sign * (cash + fee) / quantity).quantize(Decimal("1e-8"))
    if price < 0:
        raise cells.fail("price", f"a price of {price} is negative")
    facts = {"instrument": cells.instrument(), "side": side, "quantity": _plain(quantity), "price": _plain(price)}
    facts |= {"fee": _plain(fee), "cash": _plain(cash)}
    return EventKind.FILL, {**facts, "lots": _lots(cells)} if cells.has("lots") else {**facts}


def _side(cells: Cells) -> str:
    if not cells.has("side"):
        return "buy" if cells.number("quantity") > 0 else "sell"
    side = SIDES.get(cells.text("side").lower())
    if side is None:
        raise cells.fail("side", f"'{cells.text('side')}' is neither buy nor sell")
    return side


def _cash_of_deal(cells: Cells, computed: Decimal) -> Decimal:
    if not cells.has("cash"):
        return computed
    cash = cells.number("cash")
    if abs(cash - computed) > Decimal(str(cells.form.tolerance)):
        raise cells.fail("cash", f"{cash} is not what quantity, price and fees give, {_plain(computed)}")
    return cash


def _lots(cells: Cells) -> list[list[str]]:
    parts = [part.rsplit("=", 1) for part in cells.text("lots").split(";")]
    if any(len(part) != 2 for part in parts):
        raise cells.fail("lots", "write the chosen lots as <lot>=<quantity>, several with ; between them")
    return [[name.strip(), _plain(Decimal(quantity))] for name, quantity in parts]


def _cash_row(kind: EventKind, sign: int = 0) -> Callable[[Cells], Facts]:
    def read(cells: Cells) -> Facts:
        cash = cells.number("cash")
        if cash == 0 or cash * sign < 0:
            wanted = {0: "not be zero", 1: "be positive", -1: "be negative"}[sign]
            raise cells.fail("cash", f"the cash of a {cells.rule.book} must {wanted}, it is {cash}")
        facts = {"amount": _plain(cash), "note": cells.text("note", required=False)}
        if _names_instrument(cells):
            facts["instrument"] = cells.instrument()
        return kind, {**facts}

    return read


def _names_instrument(cells: Cells) -> bool:
    if cells.form.instrument is None:
        return cells.has("instrument")
    return all(cells.row.values.get(name) for name in re.findall(r"{(.+?)}", cells.form.instrument))


def _transfer(cells: Cells) -> Facts:
    quantity = cells.number("quantity")
    facts = {"instrument": cells.instrument(), "quantity": _plain(quantity)}
    if quantity > 0:
        cost = cells.number("cost") if not cells.has("price") else quantity * cells.number("price")
        facts["cost"] = _plain(cost)
        if cells.has("opened"):
            facts["opened"] = f"{cells.date('opened'):%Y-%m-%d}"
    return EventKind.TRANSFER, {**facts}


def _split(cells: Cells) -> Facts:
    facts = {"instrument": cells.instrument(), "quantity_change": _plain(cells.number("quantity"))}
    return EventKind.SPLIT, {**facts, "amount": _plain(cells.number("cash", required=False))}


def _exchange(kind: EventKind) -> Callable[[Cells], Facts]:
    def read(cells: Cells) -> Facts:
        facts = {"instrument": cells.instrument(), "amount": _plain(cells.number("cash", required=False))}
        if cells.has("new_instrument"):
            facts["new_instrument"] = cells.text("new_instrument").upper()
        if kind == EventKind.SPIN_OFF:
            cells.text("new_instrument")
            facts |= {"quantity": _plain(cells.number("quantity"))}
            facts |= {"cost_fraction": _plain(cells.number("cost_fraction", required=False))}
        elif kind == EventKind.MERGER:
            facts |= {"quantity_after": _plain(cells.number("quantity", required=False))}
        elif kind == EventKind.CASH_IN_LIEU:
            facts |= {"quantity": _plain(abs(cells.number("quantity", required=False)))}
        else:
            cells.text("new_instrument")
        return kind, {**facts}

    return read


def _bust(cells: Cells) -> Facts:
    return EventKind.TRADE_BUST, {"fill": cells.text("fill")}


def _correction(cells: Cells) -> Facts:
    _, facts = _fill(cells)
    return EventKind.TRADE_CORRECTION, {"fill": cells.text("fill"), **facts}


def _plain(value: Decimal) -> str:
    """Write a number without exponent and without needless zeros, so that 1.50 and 1.5 are the same fact."""
    text = f"{value:f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"


_MEANINGS: dict[str, Callable[[Cells], Facts]] = {
    "fill": _fill,
    "deposit": _cash_row(EventKind.DEPOSIT, 1),
    "withdrawal": _cash_row(EventKind.WITHDRAWAL, -1),
    "dividend": _cash_row(EventKind.CASH_DIVIDEND),
    "fee": _cash_row(EventKind.FEE),
    "tax": _cash_row(EventKind.TAX),
    "interest": _cash_row(EventKind.INTEREST),
    "transfer": _transfer,
    "split": _split,
    "spin_off": _exchange(EventKind.SPIN_OFF),
    "merger": _exchange(EventKind.MERGER),
    "symbol_change": _exchange(EventKind.SYMBOL_CHANGE),
    "cash_in_lieu": _exchange(EventKind.CASH_IN_LIEU),
    "bust": _bust,
    "correction": _correction,
}
