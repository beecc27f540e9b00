"""Price limits, stamp duty and transfer fee of mainland China's shares, each from the day it was in force.

Sources: trading rules of the exchanges of Shanghai, Shenzhen and Beijing; announcements of the Ministry of Finance and
the State Taxation Administration on stamp duty; of China Securities Depository and Clearing on the transfer fee.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

import pandas as pd

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.exchange.dated_rules import PriceLimit, TaxChange
from quant_pipeline.market.chinese_codes import chinese_code

MAIN_BOARDS = ("SH60", "SZ00")
CHINEXT = ("SZ30",)
STAR = ("SH68",)
BEIJING = ("BJ",)

SPECIAL_TREATMENT_LIMIT = 0.05

_LIMITS: tuple[tuple[tuple[str, ...], str, float | None], ...] = (
    (MAIN_BOARDS, "1992-05-21", None),
    (MAIN_BOARDS, "1996-12-16", 0.1),
    (CHINEXT, "2009-10-30", 0.1),
    (CHINEXT, "2020-08-24", 0.2),
    (STAR, "2019-07-22", 0.2),
    # Beijing's exchange opened on 2021-11-15 with the shares and the limit of the select tier of NEEQ.
    (BEIJING, "2020-07-27", 0.3),
)

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
        PriceLimit(prefix=prefix, limit=limit, since=dt.date.fromisoformat(since))
        for prefixes, since, limit in _LIMITS
        for prefix in prefixes
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
    """Return the limits of shares under special treatment (ST, ``*ST``): 5 % on the main boards, nothing on others.

    Parameters
    ----------
    periods
        One row per period: ``instrument`` (any spelling), ``since``, and ``until`` (first day without, missing while
        it lasts).
    limit
        Their limit. The exchanges proposed on 2025-06-27 to raise it to 10 %.

    Raises
    ------
    ConfigurationError
        When a column or a first day is missing.
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
            end = None if pd.isna(until) else pd.Timestamp(until).date()
            yield PriceLimit(prefix=code, limit=limit, since=pd.Timestamp(since).date(), until=end)
