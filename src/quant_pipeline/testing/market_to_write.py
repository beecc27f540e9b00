"""A random market to be written as files of vendors, and the adjustments that vendors make to it.

The conventions are those of the vendors' own descriptions: Yahoo restates prices for later splits, and its adjusted
close for dividends by ``1 − dividend / close before the ex-date``; Alpha Vantage, Tiingo and WIKI list what was traded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from quant_pipeline.market.calendar import TradingCalendar

PRICES = ["open", "high", "low", "close"]
NUMBERS = [*PRICES, "volume"]
START = "2024-01-02"


@dataclass(frozen=True)
class Written:
    """Files of one layout, and their right reading.

    Attributes
    ----------
    layout
        Name in the table of layouts.
    bars
        ``date``, ``instrument``, prices, ``volume``, ``dividend`` and ``split`` that have to be read.
    """

    layout: str
    bars: pd.DataFrame


def random_market(seed: int, calendar: str = "XNYS", sessions: int = 40, instruments: int = 3) -> pd.DataFrame:
    """Return bars as traded with splits and dividends on some of them, sorted by instrument and date.

    Parameters
    ----------
    seed
        Of everything that is random.
    calendar
        Of the dates.
    sessions, instruments
        How many.
    """
    random = np.random.default_rng(seed)
    dates = TradingCalendar.of(calendar, START, "2024-12-30").sessions[:sessions].as_unit("ns")
    parts = []
    for number in range(instruments):
        level = 20.0 + 60.0 * random.random()
        split, dividend = np.ones(sessions), np.zeros(sessions)
        acting = random.choice(np.arange(2, sessions - 2), size=4, replace=False)
        split[acting[0]] = random.choice([2.0, 3.0, 4.0, 0.5, 0.1, 1.5])
        dividend[acting[1:3]] = np.round(level * random.uniform(0.004, 0.02, 2), 2)
        close = np.empty(sessions)
        for index, move in enumerate(random.normal(0, 0.012, sessions)):
            level = level * np.exp(move) / split[index] - dividend[index]
            close[index] = level = round(max(level, 0.5), 4)
        open_ = np.round(close * np.exp(random.normal(0, 0.006, sessions)), 4)
        high = np.round(np.maximum(open_, close) * (1 + random.uniform(0, 0.01, sessions)), 4)
        low = np.round(np.minimum(open_, close) * (1 - random.uniform(0, 0.01, sessions)), 4)
        volume = 10_000.0 * random.integers(20, 400, sessions)
        parts.append(
            pd.DataFrame(
                {
                    "date": dates, "instrument": f"{chr(65 + number) * 3}", "open": open_,
                    "high": np.maximum.reduce([high, open_, close]), "low": np.minimum.reduce([low, open_, close]),
                    "close": close, "volume": volume, "dividend": dividend, "split": split,
                }
            )
        )  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def without_actions(bars: pd.DataFrame) -> pd.DataFrame:
    """Return a market of the same dates and instruments in which nothing splits or pays."""
    flat = bars.copy()
    later = bars.groupby("instrument")["split"].transform(lambda ratio: ratio[::-1].cumprod()[::-1] / ratio)
    for name in PRICES:
        flat[name] = (flat[name] / later).round(2)
    flat["high"] = flat[PRICES].max(axis=1)
    flat["low"] = flat[PRICES].min(axis=1)
    return flat.assign(dividend=0.0, split=1.0)


def split_adjusted(bars: pd.DataFrame) -> pd.DataFrame:
    """Return prices, volumes and dividends in the shares of the last bar."""
    later = bars.groupby("instrument")["split"].transform(lambda ratio: ratio[::-1].cumprod()[::-1] / ratio)
    table = bars.copy()
    for name in (*PRICES, "dividend"):
        table[name] = bars[name] / later
    table["volume"] = bars["volume"] * later
    return table


def dividend_factor(bars: pd.DataFrame) -> pd.Series:
    """Return the factor of Yahoo's adjusted close: the product of ``1 − dividend / close before`` of later ex-dates."""
    adjusted = split_adjusted(bars)
    before = adjusted.groupby("instrument")["close"].shift()
    step = (1 - adjusted["dividend"] / before).fillna(1.0)
    return step.groupby(bars["instrument"]).transform(lambda ratio: ratio[::-1].cumprod()[::-1] / ratio)


def total_return(bars: pd.DataFrame) -> pd.DataFrame:
    """Return prices adjusted for splits and dividends, which list neither."""
    table, factor = split_adjusted(bars), dividend_factor(bars)
    for name in PRICES:
        table[name] = table[name] * factor
    return table.assign(dividend=0.0, split=1.0)


def save_per_instrument(
    folder: Path, bars: pd.DataFrame, write: Callable[[pd.DataFrame], pd.DataFrame], name: str = "{}.csv"
) -> None:
    """Save one CSV per instrument."""
    for instrument, rows in bars.groupby("instrument"):
        write(rows.reset_index(drop=True)).to_csv(folder / name.format(instrument), index=False)


def plain_columns(rows: pd.DataFrame) -> pd.DataFrame:
    """Return date, prices and volume with capital names."""
    return rows[["date", *NUMBERS]].rename(columns=str.title)
