"""Lengths of training windows that move with the calendar: ``8 years``, ``18 months``."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

import pandas as pd
from pydantic import AfterValidator

Refit = Literal["weekly", "monthly", "quarterly", "yearly"]
PERIODS: Final[dict[str, str]] = {"weekly": "W", "monthly": "M", "quarterly": "Q", "yearly": "Y"}
_LENGTH = re.compile(r"([1-9]\d*) (week|month|year)s?")


def offset_of(length: str) -> pd.DateOffset:
    """Return a length as an offset of dates.

    Examples
    --------
    >>> pd.Timestamp("2024-03-31") - offset_of("1 month")
    Timestamp('2024-02-29 00:00:00')
    """
    found = _LENGTH.fullmatch(length.strip())
    if found is None:
        raise ValueError(f"a length is a number of weeks, months or years, such as `8 years`; this is '{length}'")
    unit: Any = f"{found[2]}s"
    return pd.DateOffset(**{unit: int(found[1])})


def _checked(length: str) -> str:
    offset_of(length)
    return length.strip()


Length = Annotated[str, AfterValidator(_checked)]
"""A number of weeks, months or years."""


def refit_date(day: pd.Timestamp, refit: Refit) -> pd.Timestamp:
    """Return the first date of the period that a day lies in: windows stay where they are within a period."""
    return day.to_period(PERIODS[refit]).start_time.normalize()


def next_refit_date(day: pd.Timestamp, refit: Refit) -> pd.Timestamp:
    """Return the first date of the period after the one that a day lies in."""
    return (day.to_period(PERIODS[refit]) + 1).start_time.normalize()
