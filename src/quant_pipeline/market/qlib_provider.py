"""A Qlib data provider written from adjusted bars, so that Qlib's own tools read the same market.

Format of Qlib's file storage: ``calendars/day.txt``, ``instruments/<universe>.txt`` and, per instrument and field,
``features/<instrument in lower case>/<field>.day.bin``: little-endian float32, the first number is the place of the
first value in the calendar.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.common.atomic import replacing_folder
from quant_pipeline.common.exceptions import MarketDataError

logger = logging.getLogger(__name__)

FIELDS = ("open", "high", "low", "close", "vwap", "volume", "factor")
BENCHMARK: Final = "BENCHMARK"
"""Name of the benchmark in a provider that is written here; it is no instrument of any universe."""

_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(10))}
_MISSING = {
    "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA", "NULL",
    "NaN", "None", "n/a", "nan", "null",
}  # fmt: skip
"""Names that Qlib, which reads its lists by `pandas.read_csv`, takes for missing."""


def folder_name(instrument: str) -> str:
    """Return the folder of an instrument below ``features``, as Qlib's ``code_to_fname`` calls it."""
    name = instrument.lower()
    return f"_qlib_{name}" if name in _DEVICES else name


def write_provider(
    adjusted_bars: pd.DataFrame,
    sessions: pd.DatetimeIndex,
    folder: Path,
    universe_members: pd.DataFrame | None = None,
    benchmark: pd.DataFrame | None = None,
) -> None:
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
    universe_members
        ``date`` and ``instrument``: the ranges of ``instruments/universe.txt``; None writes none.
    benchmark
        As `MarketData` has it, written as the instrument `BENCHMARK`; None writes none.

    Raises
    ------
    MarketDataError
        When a bar lies on a date that is no session.
    """
    bars = adjusted_bars
    index = sessions.get_indexer(pd.DatetimeIndex(bars["date"]))
    if (index < 0).any():
        row = bars[index < 0].iloc[0]
        raise MarketDataError(
            f"{row['instrument']} has a bar on {row['date']:%Y-%m-%d}, which is no session of the calendar."
        )
    with replacing_folder(folder) as beside:
        (beside / "calendars").mkdir(parents=True)
        (beside / "instruments").mkdir()
        (beside / "calendars" / "day.txt").write_text("".join(f"{day:%Y-%m-%d}\n" for day in sessions))
        listings = []
        for instrument, rows in bars.groupby("instrument", sort=True).indices.items():
            values = {name: _on_calendar(bars[name].to_numpy()[rows], index[rows]) for name in FIELDS}
            _write_features(beside, str(instrument), int(index[rows[0]]), values)
            listings.append((str(instrument), sessions[index[rows[0]]], sessions[index[rows[-1]]]))
        _write_universe(beside, "all", listings)
        if universe_members is not None:
            _write_universe(beside, "universe", _ranges(universe_members, sessions))
        if benchmark is not None:
            _write_benchmark(beside, benchmark, sessions)


def _write_features(folder: Path, instrument: str, first: int, values: dict[str, npt.NDArray[np.float64]]) -> None:
    features = folder / "features" / folder_name(instrument)
    features.mkdir(parents=True)
    close = values["close"]
    values = values | {"change": np.append(np.nan, close[1:] / close[:-1] - 1.0)}
    for name, series in values.items():
        # numpy's own `tofile` hides why the disk refused.
        (features / f"{name}.day.bin").write_bytes(np.append(first, series).astype("<f4").tobytes())


def _write_universe(folder: Path, name: str, ranges: list[tuple[str, pd.Timestamp, pd.Timestamp]]) -> None:
    unreadable = sorted({instrument for instrument, _, _ in ranges if instrument in _MISSING})
    if unreadable:
        logger.warning(
            "%s not in %s.txt of the Qlib provider: Qlib takes the name for a missing value; ask for its features by "
            "name, or rename it",
            ", ".join(unreadable), name,
        )  # fmt: skip
    lines = [f"{instrument}\t{start:%Y-%m-%d}\t{end:%Y-%m-%d}\n" for instrument, start, end in ranges
             if instrument not in _MISSING]  # fmt: skip
    (folder / "instruments" / f"{name}.txt").write_text("".join(lines), encoding="utf-8")


def _ranges(members: pd.DataFrame, sessions: pd.DatetimeIndex) -> list[tuple[str, pd.Timestamp, pd.Timestamp]]:
    """Return the ranges of sessions in which every instrument is a member without a break."""
    ordered = members.sort_values(["instrument", "date"], kind="stable", ignore_index=True)
    place = sessions.get_indexer(pd.DatetimeIndex(ordered["date"]))
    begins = np.append(True, (place[1:] != place[:-1] + 1)) | (ordered["instrument"] != ordered["instrument"].shift())
    starts = np.flatnonzero(begins)
    ends = np.append(starts[1:], len(ordered)) - 1
    names = ordered["instrument"].to_numpy()[starts]
    return list(zip(names, sessions[place[starts]], sessions[place[ends]], strict=True))


def _write_benchmark(folder: Path, benchmark: pd.DataFrame, sessions: pd.DatetimeIndex) -> None:
    """Write the benchmark as an instrument whose close is its total return, and whose factor is that over its price."""
    place = sessions.get_indexer(pd.DatetimeIndex(benchmark["date"]))
    rows = benchmark[(place >= 0) & benchmark["total_return_close"].notna().to_numpy()]
    if rows.empty:
        return
    place = sessions.get_indexer(pd.DatetimeIndex(rows["date"]))
    factor = (rows["total_return_close"] / rows["close"]).to_numpy()
    prices = {name: rows[name].to_numpy() * factor for name in ("open", "high", "low", "close")}
    mean = (prices["high"] + prices["low"] + prices["close"]) / 3.0
    values = prices | {"vwap": mean, "volume": rows["volume"].to_numpy() / factor, "factor": factor}
    _write_features(
        folder, BENCHMARK, int(place[0]), {name: _on_calendar(each, place) for name, each in values.items()}
    )
    _write_universe(folder, "benchmark", [(BENCHMARK, sessions[place[0]], sessions[place[-1]])])


def _on_calendar(values: npt.NDArray[np.float64], index: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
    series = np.full(index[-1] - index[0] + 1, np.nan)
    series[index - index[0]] = values
    return series
