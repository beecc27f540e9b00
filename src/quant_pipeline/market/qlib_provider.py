"""A Qlib data provider written from adjusted bars, so that Qlib's own tools read the same market.

Format of Qlib's file storage: ``calendars/day.txt``, ``instruments/all.txt`` and, per instrument and field,
``features/<instrument in lower case>/<field>.day.bin``: little-endian float32, the first number is the place of the
first value in the calendar.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from quant_pipeline.common.atomic import replacing_folder
from quant_pipeline.common.exceptions import MarketDataError

FIELDS = ("open", "high", "low", "close", "vwap", "volume", "factor")


def write_provider(adjusted_bars: pd.DataFrame, sessions: pd.DatetimeIndex, folder: Path) -> None:
    """Write a provider folder beside its place and rename it.

    Parameters
    ----------
    adjusted_bars
        ``date``, ``instrument`` and `FIELDS`, sorted by instrument and date. A session without a bar is a missing
        value.
    sessions
        The trading calendar.
    folder
        The provider; what it held before is replaced.

    Raises
    ------
    MarketDataError
        When a bar lies on a date that is no session.
    """
    index = sessions.get_indexer(pd.DatetimeIndex(adjusted_bars["date"]))
    if (index < 0).any():
        row = adjusted_bars[index < 0].iloc[0]
        raise MarketDataError(
            f"{row['instrument']} has a bar on {row['date']:%Y-%m-%d}, which is no session of the calendar."
        )
    with replacing_folder(folder) as beside:
        _write(adjusted_bars, index, sessions, beside)


def _write(adjusted_bars: pd.DataFrame, index: np.ndarray, sessions: pd.DatetimeIndex, folder: Path) -> None:
    (folder / "calendars").mkdir(parents=True)
    (folder / "instruments").mkdir()
    lines = [f"{day:%Y-%m-%d}\n" for day in sessions]
    (folder / "calendars" / "day.txt").write_text("".join(lines))
    listings = []
    for instrument, rows in adjusted_bars.groupby("instrument", sort=True).indices.items():
        first, last = index[rows[0]], index[rows[-1]]
        listings.append(f"{instrument}\t{sessions[first]:%Y-%m-%d}\t{sessions[last]:%Y-%m-%d}\n")
        features = folder / "features" / str(instrument).lower()
        features.mkdir(parents=True)
        values = {name: _on_calendar(adjusted_bars[name].to_numpy()[rows], index[rows]) for name in FIELDS}
        close = values["close"]
        values["change"] = np.append(np.nan, close[1:] / close[:-1] - 1.0)
        for name, series in values.items():
            # numpy's own `tofile` hides why the disk refused.
            (features / f"{name}.day.bin").write_bytes(np.append(first, series).astype("<f4").tobytes())
    (folder / "instruments" / "all.txt").write_text("".join(listings))


def _on_calendar(values: np.ndarray, index: np.ndarray) -> np.ndarray:
    series = np.full(index[-1] - index[0] + 1, np.nan)
    series[index - index[0]] = values
    return series
