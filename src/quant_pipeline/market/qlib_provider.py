"""A Qlib data provider written from adjusted bars, so that Qlib's own tools read the same market.

Format of Qlib's file storage: ``calendars/day.txt``, ``instruments/<universe>.txt`` and, per instrument and field,
``features/<instrument in lower case>/<field>.day.bin``: little-endian float32, the first number is the place of the
first value in the calendar.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.common.atomic import replacing_folder, write_text
from quant_pipeline.common.exceptions import MarketDataError
from quant_pipeline.common.listing import first_of
from quant_pipeline.common.locks import one_at_a_time
from quant_pipeline.market.dates import places_in, require_calendar
from quant_pipeline.market.instrument_rows import (
    begins,
    change_from_row_before,
    number_instruments,
    sorted_by_instrument,
)

logger = logging.getLogger(__name__)

FIELDS = ("open", "high", "low", "close", "vwap", "volume", "factor")
BENCHMARK: Final = "BENCHMARK"
"""Name of the benchmark in a provider that is written here; it is no instrument of any universe."""

_Range = tuple[str, int, int]
"""An instrument, and the places in the calendar of the first and the last of some sessions."""
_ENDING: Final = ".day.bin"
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
    """Write a provider folder: what is there and has not changed is extended in place, everything else replaced.

    A provider of other instruments, or whose calendar is no beginning of this one, is written beside its place and
    renamed. In one that goes on, values are put behind those that are there, then the calendar grows: until then, and
    wherever a kill stops it, readers see the sessions of before, and the next run puts the rest behind them.

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
        When a bar lies on a date that is no session, or the sessions are no calendar.
    """
    require_calendar(sessions)
    bars = sorted_by_instrument(adjusted_bars)
    place = places_in(sessions, bars["date"].to_numpy())
    if (place < 0).any():
        row = bars[place < 0].iloc[0]
        raise MarketDataError(
            f"{row['instrument']} has a bar on {row['date']:%Y-%m-%d}, which is no session of the calendar."
        )
    series = _series_of(bars, place)
    lists = {"all": [(name, own.first, own.last) for name, own in series.items()]}
    if universe_members is not None:
        lists["universe"] = _ranges(universe_members, sessions)
    if benchmark is not None and (own := _benchmark_series(benchmark, sessions)) is not None:
        lists["benchmark"] = [(BENCHMARK, own.first, own.last)]
        series[BENCHMARK] = own

    days = np.datetime_as_string(sessions.to_numpy(), unit="D").tolist()
    calendar = "".join(f"{day}\n" for day in days)
    # Of two processes the later one finds the provider of the first.
    with one_at_a_time(folder.parent):
        if _goes_on(folder, calendar, {folder_name(name) for name in series}):
            for name, own in series.items():
                _extend(f"{folder}/features/{folder_name(name)}", own.contents())
            write_text(folder / "calendars" / "day.txt", calendar)
            _write_lists(folder, lists, days)
            return
        with replacing_folder(folder) as beside:
            for part in ("calendars", "instruments"):
                (beside / part).mkdir(parents=True)
            for name, own in series.items():
                _write_features(beside / "features" / folder_name(name), own.contents())
            (beside / "calendars" / "day.txt").write_text(calendar)
            _write_lists(beside, lists, days)


class _Series(NamedTuple):
    """The values of an instrument.

    Attributes
    ----------
    place
        Place in the calendar of each bar.
    values
        One number per bar, by field.
    """

    place: npt.NDArray[np.intp]
    values: dict[str, npt.NDArray[np.float64]]

    @property
    def first(self) -> int:
        """Place in the calendar of the first bar."""
        return int(self.place[0])

    @property
    def last(self) -> int:
        """Place in the calendar of the last bar."""
        return int(self.place[-1])

    def contents(self) -> dict[str, bytes]:
        """Return what the file of each field holds: a value for every session from the first bar to the last."""
        first, at = np.array([self.first], dtype="<f4"), self.place - self.first
        has_all = bool((np.diff(at) == 1).all())
        # Converted here, where they are few: those of all instruments would take as much memory as the bars.
        series = (values.astype("<f4") if has_all else _on_calendar(values, at) for values in self.values.values())
        return {name: b"".join((first.data, values.data)) for name, values in zip(self.values, series, strict=True)}


def _series_of(bars: pd.DataFrame, place: npt.NDArray[np.intp]) -> dict[str, _Series]:
    """Return the bars of every instrument, which are sorted by it and by date, with the change from close to close."""
    codes, names = number_instruments(bars)
    begin = begins(codes)
    change = change_from_row_before(bars["close"].to_numpy(dtype=np.float64), begin)
    # After a session without a bar there is none.
    change[1:][np.diff(place) != 1] = np.nan
    values = {name: bars[name].to_numpy() for name in FIELDS} | {"change": change}
    starts = np.flatnonzero(begin)
    spans = map(slice, starts, np.append(starts, len(bars))[1:])
    return {
        str(name): _Series(place[own], {field: numbers[own] for field, numbers in values.items()})
        for name, own in zip(names, spans, strict=True)
    }


def _goes_on(folder: Path, calendar: str, folders: set[str]) -> bool:
    """Whether a provider is there whose calendar is the beginning of another one, of none but the same instruments."""
    try:
        stored = (folder / "calendars" / "day.txt").read_text()
        there = {path.name for path in (folder / "features").iterdir()}
    except FileNotFoundError:
        return False
    return bool(stored) and calendar.startswith(stored) and there <= folders


def _extend(folder: str, contents: dict[str, bytes]) -> None:
    """Put what is new behind what is there; where that has changed, or is longer, all of the instrument is written."""
    stored = {name: _stored(f"{folder}/{name}{_ENDING}", len(content)) for name, content in contents.items()}
    if not all(content.startswith(stored[name]) for name, content in contents.items()):
        with replacing_folder(Path(folder)) as beside:
            _write_features(beside, contents)
        return
    for name, content in contents.items():
        there = len(stored[name])
        if there < len(content):
            Path(folder).mkdir(exist_ok=True)
            # At its place, not at the end: another process may do the same.
            with _file_of(Path(folder), name).open("r+b" if there else "wb") as file:
                file.seek(there)
                file.write(content[there:])


def _file_of(folder: Path, name: str) -> Path:
    return folder / f"{name}{_ENDING}"


def _stored(file: str, size: int) -> bytes:
    """Return what is stored, and of what is longer than `size` so much that it shows."""
    try:
        # There are thousands of them, and a path or a file object takes longer to make than such a file to read.
        number = os.open(file, os.O_RDONLY)
    except FileNotFoundError:
        return b""
    try:
        return os.read(number, size + 1)
    finally:
        os.close(number)


def _write_features(folder: Path, contents: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        # numpy's own `tofile` hides why the disk refused.
        _file_of(folder, name).write_bytes(content)


def _write_lists(folder: Path, lists: Mapping[str, Sequence[_Range]], days: Sequence[str]) -> None:
    for name, ranges in lists.items():
        _write_universe(folder, name, ranges, days)
    for file in (folder / "instruments").glob("*.txt"):
        if file.stem not in lists:
            file.unlink()


def _write_universe(folder: Path, name: str, ranges: Sequence[_Range], days: Sequence[str]) -> None:
    unreadable = sorted({instrument for instrument, _, _ in ranges if instrument in _MISSING})
    if unreadable:
        logger.warning(
            "%s not in %s.txt of the Qlib provider: Qlib takes the name for a missing value; ask for its features by "
            "name, or rename it",
            first_of(unreadable), name,
        )  # fmt: skip
    lines = [f"{instrument}\t{days[first]}\t{days[last]}\n" for instrument, first, last in ranges
             if instrument not in _MISSING]  # fmt: skip
    write_text(folder / "instruments" / f"{name}.txt", "".join(lines))


def _ranges(members: pd.DataFrame, sessions: pd.DatetimeIndex) -> list[_Range]:
    """Return the ranges of sessions in which every instrument is a member without a break; other dates are left out."""
    codes, names = number_instruments(members)
    place = places_in(sessions, members["date"].to_numpy())
    place += 1
    # With a session before the first, which takes what lies on none, and after the last, in which none is a member.
    is_member = np.zeros((len(names), len(sessions) + 2), dtype=np.int8)
    is_member[codes, place] = 1
    is_member[:, 0] = 0
    order = np.argsort(names)
    step = np.diff(is_member[order], axis=1)
    (who, starts), (_, ends) = np.nonzero(step == 1), np.nonzero(step == -1)
    return list(zip(map(str, names[order][who]), starts.tolist(), (ends - 1).tolist(), strict=True))


def _benchmark_series(benchmark: pd.DataFrame, sessions: pd.DatetimeIndex) -> _Series | None:
    """Return the benchmark as an instrument whose close is its total return, and whose factor is that over its price.

    Without a session of the calendar there is none.
    """
    place = places_in(sessions, benchmark["date"].to_numpy())
    rows = benchmark[(place >= 0) & benchmark["total_return_close"].notna().to_numpy()]
    if rows.empty:
        return None
    place = places_in(sessions, rows["date"].to_numpy())
    factor = (rows["total_return_close"] / rows["close"]).to_numpy()
    prices = {name: rows[name].to_numpy() * factor for name in ("open", "high", "low", "close")}
    mean = (prices["high"] + prices["low"] + prices["close"]) / 3.0
    values = prices | {"vwap": mean, "volume": rows["volume"].to_numpy() / factor, "factor": factor}
    table = pd.DataFrame({"date": rows["date"], "instrument": pd.Series(BENCHMARK, rows.index, dtype="str"), **values})
    return _series_of(table, place)[BENCHMARK]


def _on_calendar(values: npt.NDArray[np.float64], at: npt.NDArray[np.intp]) -> npt.NDArray[np.float32]:
    series = np.full(int(at[-1]) + 1, np.nan, dtype="<f4")
    series[at] = values
    return series
