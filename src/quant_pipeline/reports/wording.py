"""How values are written for people; a value that is not there is a dash."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import pandas as pd

MISSING = "\N{EN DASH}"
Write = Callable[[Any], str]
"""Turns one value into text."""


def text(value: Any) -> str:
    """Write a value as it is."""
    return MISSING if pd.isna(value) else str(value)


def percent(value: Any) -> str:
    """Write a fraction as percent with one decimal."""
    return _number(value, ",.1%")


def percent_exact(value: Any) -> str:
    """Write a fraction as percent with two decimals."""
    return _number(value, ",.2%")


def percent_signed(value: Any) -> str:
    """Write a fraction as percent with one decimal and its sign."""
    return _number(value, "+.1%")


def coefficient(value: Any) -> str:
    """Write an information coefficient: sign and four decimals."""
    return _number(value, "+.4f")


def ratio(value: Any) -> str:
    """Write a ratio with two decimals."""
    return _number(value, ",.2f")


def ratio_signed(value: Any) -> str:
    """Write a ratio or a correlation with two decimals and its sign."""
    return _number(value, "+,.2f")


def tenths(value: Any) -> str:
    """Write a number with one decimal."""
    return _number(value, ",.1f")


def times(value: Any) -> str:
    """Write how many times something happens, with one decimal: a turnover of 9,561.6 % is 95.6 times."""
    return _number(value, ",.1f") + ("" if _absent(value) else " \N{MULTIPLICATION SIGN}")


def p_value(value: Any) -> str:
    """Write a p-value with its relation: below a thousandth it says so, as it is never zero."""
    if not _absent(value) and value < 0.001:
        return "p < 0.001"
    return f"p = {_number(value, '.3f' if value < 0.01 else '.2f')}"


def probability(value: Any) -> str:
    """Write a probability with three decimals; what would be 0 or 1 by rounding is a bound."""
    if _absent(value) or 0.0005 <= value <= 0.9995:
        return _number(value, ".3f")
    return "< 0.001" if value < 0.5 else "> 0.999"


def score(value: Any) -> str:
    """Write a score with four decimals; scores have no unit."""
    return _number(value, ".4f")


def amount(value: Any) -> str:
    """Write an amount in whole units of its currency, which the text around it names."""
    return _number(value, ",.0f")


def amount_signed(value: Any) -> str:
    """Write a gain or a loss in whole units of its currency with its sign."""
    return _number(value, "+,.0f")


def price(value: Any) -> str:
    """Write a price with two decimals."""
    return _number(value, ",.2f")


def count(value: Any) -> str:
    """Write a whole number."""
    return _number(value, ",.0f")


def place(value: Any) -> str:
    """Write a rank; rank 0 means that there was no score."""
    return MISSING if _absent(value) or value == 0 else count(value)


def day(value: Any) -> str:
    """Write a date so that it sorts."""
    return MISSING if pd.isna(value) else f"{pd.Timestamp(value):%Y-%m-%d}"


def long_day(value: Any) -> str:
    """Write a date with its weekday, for headings."""
    if pd.isna(value):
        return MISSING
    date = pd.Timestamp(value)
    return f"{date:%A} {date.day} {date:%B %Y}"


def days(values: Iterable[Any], limit: int = 10) -> str:
    """Write dates in a row; of more than `limit` the last ones, and how many come before."""
    written = [day(value) for value in values]
    earlier = len(written) - limit
    shown = ", ".join(written[-limit:])
    return f"{earlier:,} earlier ones, {shown}" if earlier > 0 else shown


def plural(number: int, one: str, many: str | None = None) -> str:
    """Write a number with its noun."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _absent(value: Any) -> bool:
    return value is None or pd.isna(value) or (isinstance(value, float) and math.isinf(value))


def _number(value: Any, style: str) -> str:
    """Write a number with a true minus sign; zero has none."""
    if _absent(value):
        return MISSING
    written = format(value, style)
    if written[0] in "+-" and not any(digit in "123456789" for digit in written):
        written = written[1:]
    return written.replace("-", "\N{MINUS SIGN}")
