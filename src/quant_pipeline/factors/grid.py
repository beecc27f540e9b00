"""Bars on the grid of sessions: one row for every session between the first and the last bar of an instrument."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from quant_pipeline.common.cores import both_on_cores, map_on_cores
from quant_pipeline.common.exceptions import FactorError, MarketDataError
from quant_pipeline.common.listing import first_of
from quant_pipeline.factors.expression.traded_fields import columns_of, values_of
from quant_pipeline.market.dates import places_in, require_calendar
from quant_pipeline.market.instrument_rows import begins_of_names


@dataclass(frozen=True)
class Grid:
    """Fields of all instruments, session by session.

    Attributes
    ----------
    instruments
        Names, sorted.
    sessions
        The trading calendar.
    first
        Row of the first session of every instrument, and behind them the number of rows.
    listed
        Place in the calendar of the first session of every instrument.
    fields
        float32 ``(field, row)``; a session without a bar is a missing value.
    traded
        bool ``(row,)``: whether the instrument has a bar in the session. Only then is it compared with others.
    """

    instruments: np.ndarray
    sessions: pd.DatetimeIndex
    first: np.ndarray
    listed: np.ndarray
    fields: np.ndarray
    traded: np.ndarray

    def spans(
        self,
        start: pd.Timestamp | None = None,
        end: pd.Timestamp | None = None,
        back: float = np.inf,
        *,
        ahead: float = np.inf,
        together: bool = False,
    ) -> np.ndarray:
        """Return the rows to read and to compute, per instrument.

        Parameters
        ----------
        start, end
            First and last wanted session; None stands for the first and last of the calendar.
        back, ahead
            Rows that a wanted row reaches back and ahead.
        together
            Whether instruments without a wanted row count, because others are compared with them.

        Returns
        -------
        numpy.ndarray
            int64 ``(instrument, 7)``: first row to read, row after the last, first wanted row, row after the last
            wanted, row of the output for the first wanted, place of the instrument, place in the calendar of the first
            row to read.
        """
        left = 0 if start is None else int(self.sessions.searchsorted(start, "left"))
        right = len(self.sessions) if end is None else int(self.sessions.searchsorted(end, "right"))
        begin, stop = self.first[:-1], self.first[1:]
        first = np.clip(begin + left - self.listed, begin, stop)
        last = np.clip(begin + right - self.listed, first, stop)
        reach = left if np.isinf(back) else min(int(back), left)
        known = np.clip(begin + left - reach - self.listed, begin, stop)
        beyond = len(self.sessions) if np.isinf(ahead) else int(ahead)
        stop = np.clip(begin + right + beyond - self.listed, begin, stop)
        kept = (stop > known) if together else (last > first)
        output = np.cumsum(last - first) - (last - first)
        owner = np.arange(len(begin))
        columns = [known, stop, first, last, output, owner, known - begin + self.listed]
        return np.column_stack(columns)[kept].astype(np.int64)

    def cut(self, start: pd.Timestamp, end: pd.Timestamp, back: float, ahead: float) -> Grid:
        """Cut out what some sessions depend on: the grid that `lay_out` makes of their bars alone.

        Parameters
        ----------
        start, end, back, ahead
            See `spans`.
        """
        spans = self.spans(start, end, back, ahead=ahead, together=True)
        lengths = spans[:, 1] - spans[:, 0]
        first = np.append(0, np.cumsum(lengths))
        rows = np.arange(first[-1]) + np.repeat(spans[:, 0] - first[:-1], lengths)
        names, fields, traded = self.instruments[spans[:, 5]], np.take(self.fields, rows, axis=1), self.traded[rows]
        return Grid(names, self.sessions, first, spans[:, 6], fields, traded)

    def part(self, spans: np.ndarray) -> tuple[Grid, np.ndarray]:
        """Cut out the rows of consecutive instruments.

        Parameters
        ----------
        spans
            Their rows of what `spans` gives.

        Returns
        -------
        tuple
            A grid with these rows alone, for `Executor.run`; and its spans, whose output begins at row 0.
        """
        begin, end = int(spans[:, 0].min()), int(spans[:, 1].max())
        rows = slice(begin, end)
        part = replace(self, fields=self.fields[:, rows].copy(), traded=self.traded[rows].copy())
        return part, spans - np.array([begin] * 4 + [spans[0, 4], 0, 0])


def lay_out(
    adjusted_bars: pd.DataFrame,
    sessions: pd.DatetimeIndex,
    fields: Sequence[str],
    since: pd.Timestamp | None = None,
    until: pd.Timestamp | None = None,
) -> Grid:
    """Put bars on the grid.

    Parameters
    ----------
    adjusted_bars
        ``date``, ``instrument`` and the fields, sorted by instrument and date.
    sessions
        The trading calendar.
    fields
        Columns to take, or fields as traded, as :mod:`~quant_pipeline.factors.expression.traded_fields` names them.
    since
        First session of the grid; None takes all. An instrument with an earlier bar begins in this session even when
        it is suspended then: the rows are those of the grid of the whole history.
    until
        Last session of which the grid has all rows of the whole history; None stands for the last one.

    Raises
    ------
    FactorError
        When the bars lack a field.
    MarketDataError
        When a bar lies on a date that is no session, the sessions are no calendar, or the bars are not sorted.
    """
    require_calendar(sessions)
    columns = columns_of(fields)
    missing = sorted(set(columns) - set(adjusted_bars.columns))
    if missing:
        raise FactorError(f"the bars have no column {missing}; they have {first_of(sorted(adjusted_bars.columns))}")
    bars, has_earlier = _cut(adjusted_bars, columns, since, until)
    days, new = both_on_cores(
        lambda: places_in(sessions, bars["date"].to_numpy()),
        lambda: np.flatnonzero(begins_of_names(bars["instrument"])),
    )
    if (days < 0).any():
        row = bars[days < 0].iloc[0]
        raise MarketDataError(
            f"{row['instrument']} has a bar on {row['date']:%Y-%m-%d}, which is no session of the calendar."
        )
    instruments = pd.Index(bars["instrument"].iloc[new])
    if instruments.hasnans or not (instruments.is_monotonic_increasing and instruments.is_unique):
        raise _unsorted()
    bars_of = np.diff(new, append=len(days))
    listed, last = days[new], days[new + bars_of - 1]
    if since is not None:
        listed = np.where(has_earlier[new], sessions.searchsorted(since), listed)
    first = np.append(0, np.cumsum(last - listed + 1))
    index = days + np.repeat(first[:-1] - listed, bars_of)
    if (index[1:] <= index[:-1]).any() or has_earlier.sum() != has_earlier[new].sum():
        raise _unsorted()
    values, traded = np.empty((len(fields), first[-1]), np.float32), np.zeros(first[-1], bool)
    traded[index] = True

    def place(number: int) -> None:
        row, column = values[number], values_of(bars, fields[number])
        if len(column) == len(row):
            row[:] = column
        else:
            row[:] = np.nan
            # In half of the time that it takes with the places: bars lie in the order of the rows.
            row[traded] = column

    map_on_cores(place, range(len(fields)))
    return Grid(np.asarray(instruments, dtype=object), sessions, first, listed, values, traded)


def _cut(
    adjusted_bars: pd.DataFrame, columns: Sequence[str], since: pd.Timestamp | None, until: pd.Timestamp | None
) -> tuple[pd.DataFrame, np.ndarray]:
    """Take the bars of some sessions; return for each whether the bar before it is of the same instrument and left out.

    The first bar after them is taken too: up to it an instrument is suspended, and has rows.
    """
    if since is None and until is None:
        return adjusted_bars, np.zeros(len(adjusted_bars), bool)
    dates = adjusted_bars["date"].to_numpy()
    wanted = np.ones(len(dates), bool)
    if since is not None:
        np.greater_equal(dates, since.to_datetime64(), out=wanted)
    if until is not None:
        is_later = dates > until.to_datetime64()
        wanted[1:] &= ~(is_later[1:] & is_later[:-1])
    rows = np.flatnonzero(wanted)
    names = dict.fromkeys(("date", "instrument", *columns))
    bars = pd.DataFrame({name: adjusted_bars[name].iloc[rows] for name in names}, copy=False)
    has_earlier = np.diff(rows, prepend=-1) > 1
    instruments = adjusted_bars["instrument"]
    after_gap = rows[has_earlier]
    has_earlier[has_earlier] = instruments.iloc[after_gap].to_numpy() == instruments.iloc[after_gap - 1].to_numpy()
    return bars, has_earlier


def _unsorted() -> MarketDataError:
    return MarketDataError("the bars must be sorted by instrument and date; sort them before computing factors")
