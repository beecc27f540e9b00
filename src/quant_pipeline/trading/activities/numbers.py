"""Numbers, instants and days of a broker's records: what is missing, not finite or not understood has no default."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

import pandas as pd

LARGEST, MOST_DIGITS = 15, 28
"""Digits before the decimal mark, and digits in all, that amounts are computed with exactly."""


def is_countable(number: Decimal) -> bool:
    """Whether a number can be an amount: below a thousand million million, and with no more digits than are kept."""
    return number.is_zero() or (number.adjusted() < LARGEST and len(number.as_tuple().digits) <= MOST_DIGITS)


def read_decimal(value: Any, what: str) -> Decimal:
    """Read a number, which may be text or a JSON number.

    Raises
    ------
    ValueError
        When it is missing, no number, or not finite; ``what`` names it.
    """
    if value is None or value == "" or isinstance(value, bool):
        raise ValueError(f"{what} is missing")
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        raise ValueError(f"{what} is {value!r}, which is no number") from None
    if not number.is_finite():
        raise ValueError(f"{what} is {value!r}, which is not finite")
    if not is_countable(number):
        raise ValueError(f"{what} is {value!r}, which is larger or longer than an amount can be")
    return number


def read_optional(value: Any, what: str) -> Decimal | None:
    """Read a number that a record may lack; one that is there but cannot be read is an error all the same."""
    return None if value is None or value == "" else read_decimal(value, what)


def read_instant(value: Any, what: str) -> pd.Timestamp:
    """Read an instant as UTC; one without zone is UTC, nanoseconds are kept.

    Raises
    ------
    ValueError
        When it is missing or none.
    """
    at = pd.Timestamp(value) if isinstance(value, str | pd.Timestamp) and value else pd.NaT
    if at is pd.NaT:
        raise ValueError(f"{what} is {value!r}, which is no instant")
    return at.tz_localize("UTC") if at.tzinfo is None else at.tz_convert("UTC")
