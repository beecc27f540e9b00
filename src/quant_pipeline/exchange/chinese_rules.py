"""Price limits, lots, stamp duty and transfer fee of mainland China's shares, each from the day it was in force.

Sources: for limits and lots those of `~quant_pipeline.market.chinese_boards`. Stamp duty: announcements of the Ministry
of Finance and the State Taxation Administration, the last 2023年第39号 (halved from 2023-08-28). Transfer fee: notices
of China Securities Depository and Clearing of 2015 and 2022.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable
from typing import Any

import pandas as pd

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.exchange.dated_rules import LotSize, PriceLimit, TaxChange
from quant_pipeline.market.chinese_boards import (
    BEIJING,
    MAIN_BOARDS,
    PRICE_LIMITS,
    SPECIAL_TREATMENT_ENDS,
    SPECIAL_TREATMENT_LIMIT,
    STAR,
)
from quant_pipeline.market.chinese_codes import chinese_code

_LOTS = ((STAR, 200, 1), (BEIJING, 100, 1))
"""Fewest shares and step of the boards that do not trade in lots of 100."""

_STAMP_DUTY = (
    ("1997-05-12", 0.005, 0.005),
    ("1998-06-12", 0.004, 0.004),
    ("2001-11-16", 0.002, 0.002),
    ("2005-01-24", 0.001, 0.001),
    ("2007-05-30", 0.003, 0.003),
    ("2008-04-24", 0.001, 0.001),
    ("2008-09-19", 0.0, 0.001),
    ("2023-08-28", 0.0, 0.0005),
)
"""First day, fraction of a buy and of a sale."""

_TRANSFER_FEE = (("1997-05-12", 0.00002), ("2022-04-29", 0.00001))
"""First day and fraction of the value, both sides.

In force at 0.002 % since 2015-08-01. Before, Shanghai charged by the face value and Shenzhen within its handling fee;
the rate of 2015 stands for both.
"""


def price_limits() -> tuple[PriceLimit, ...]:
    """Return the daily price limits of every board, by date."""
    return tuple(
        PriceLimit(prefix=prefix, limit=limit, since=dt.date.fromisoformat(since), free_sessions=free)
        for prefixes, since, limit, free in PRICE_LIMITS
        for prefix in prefixes
    )


def lot_sizes() -> tuple[LotSize, ...]:
    """Return the sizes of orders of the boards that do not trade in lots of 100."""
    return tuple(
        LotSize(prefix=prefix, fewest=fewest, step=step) for prefixes, fewest, step in _LOTS for prefix in prefixes
    )


def tax_changes() -> tuple[TaxChange, ...]:
    """Return stamp duty and transfer fee together, from each day on which one of them changed."""
    days = sorted({*(row[0] for row in _STAMP_DUTY), *(row[0] for row in _TRANSFER_FEE)})
    changes = []
    for day in days:
        _, buy, sell = max(row for row in _STAMP_DUTY if row[0] <= day)
        _, fee = max(row for row in _TRANSFER_FEE if row[0] <= day)
        changes.append(TaxChange(since=dt.date.fromisoformat(day), buy=round(buy + fee, 7), sell=round(sell + fee, 7)))
    return tuple(changes)


def special_treatment_limits(periods: pd.DataFrame, limit: float = SPECIAL_TREATMENT_LIMIT) -> tuple[PriceLimit, ...]:
    """Return the limits of shares under special treatment (ST, ``*ST``): 5 % on the main boards until 2026-07-03.

    From 2026-07-06 on they move by the 10 % of the other shares (announcements of both exchanges of 2026-04-24), so
    that a period from then on narrows nothing. Other boards never had a limit of their own for them.

    Parameters
    ----------
    periods
        One row per period: ``instrument`` (any spelling), ``since``, and ``until`` (first day without, missing while
        it lasts). Days are dates, or written as 2019-05-21 or 20190521, also as numbers.
    limit
        Their limit.

    Raises
    ------
    ConfigurationError
        When a column or a first day is missing, a day cannot be read, or a period ends before it begins.
    MarketDataError
        When an instrument is no Chinese share.
    """
    missing = {"instrument", "since", "until"} - set(periods.columns)
    if missing or periods["since"].isna().any():
        what = f"the column {min(missing)!r}" if missing else "a first day in `since`"
        raise ConfigurationError(f"The table of special treatment lacks {what}. Give instrument, since and until.")
    return tuple(_special_treatments(periods, limit))


def _special_treatments(periods: pd.DataFrame, limit: float) -> Iterable[PriceLimit]:
    for instrument, since, until in periods[["instrument", "since", "until"]].itertuples(index=False, name=None):
        code = chinese_code(str(instrument))
        if code.startswith(MAIN_BOARDS):
            begin = _day(since, instrument)
            last = SPECIAL_TREATMENT_ENDS if pd.isna(until) else _day(until, instrument)
            if not pd.isna(until) and last <= begin:
                raise ConfigurationError(
                    f"The special treatment of {instrument} ends on {last}, before it begins on {begin}. Correct it."
                )
            end = min(last, SPECIAL_TREATMENT_ENDS)
            if begin < SPECIAL_TREATMENT_ENDS:
                yield PriceLimit(prefix=code, limit=limit, since=begin, until=end)


def _day(value: Any, instrument: Any) -> dt.date:
    """Read a day; a number is one by its digits, 20190521, never a count of nanoseconds."""
    if isinstance(value, dt.date):
        return pd.Timestamp(value).date()
    text = value if isinstance(value, str) else f"{value:.0f}"
    read = re.fullmatch(r"(\d{4})-?(\d{2})-?(\d{2})", text.strip(), re.ASCII)
    try:
        return dt.date(*map(int, read.groups())) if read else dt.date.fromisoformat(text.strip())
    except ValueError:
        raise ConfigurationError(
            f"The special treatment of {instrument} has {value!r} for a day. Write it as 2019-05-21 or 20190521."
        ) from None
