"""Real bars and corporate actions, as traded."""

from pathlib import Path

import numpy as np
import pandas as pd


def real_bars(folder: Path, start: str, end: str, n_instruments: int):
    """Return bars, corporate actions and sessions of the first instruments in the alphabet."""
    daily = pd.read_parquet(folder / "us_daily.parquet").rename(columns={"symbol": "instrument"})
    daily = daily[daily["date"].between(start, end)]
    daily = daily[daily["instrument"].isin(sorted(daily["instrument"].unique())[:n_instruments])]
    splits = daily[daily["split_coefficient"] != 1].assign(kind="split", value=daily["split_coefficient"])
    dividends = daily[daily["dividend_amount"] != 0].assign(kind="cash_dividend", value=daily["dividend_amount"])
    actions = pd.concat([splits, dividends])[["date", "instrument", "kind", "value"]]
    bars = daily[["date", "instrument", "open", "high", "low", "close", "volume"]].reset_index(drop=True)
    return bars, actions, pd.DatetimeIndex(np.sort(bars["date"].unique()))
