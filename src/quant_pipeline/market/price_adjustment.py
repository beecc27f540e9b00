"""Adjustment of as-traded bars for splits and cash dividends.

The factor starts at 1 on the first bar of an instrument and grows with every split and reinvested dividend:

``factor[t] = factor[t-1] × split[t] × (1 + dividend[t] / close[t])``

so that ``close × factor`` is the total return index of a holder who reinvests at the close of the ex-date, and a row
depends on its own past only. Vendors publish the same ratios backward from today; `adjusted_close_as_of` gives their
view for any date. (The other convention in use, ``1 / (1 − dividend / close[t-1])``, differs by the square of the
dividend yield; `docs/concepts/adjustment.md` compares both with a vendor's series.)
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.common.exceptions import MarketDataError
from quant_pipeline.market.instrument_rows import (
    are_in_order,
    begins,
    change_from_row_before,
    first_rows_since,
    number_instruments,
)

SPLIT = "split"
CASH_DIVIDEND = "cash_dividend"
DELISTING = "delisting"
KINDS = (SPLIT, CASH_DIVIDEND, DELISTING)

PRICES = ("open", "high", "low", "close")


def adjustment_factors(bars: pd.DataFrame, corporate_actions: pd.DataFrame) -> pd.Series:
    """Compute the forward adjustment factor of every bar.

    Parameters
    ----------
    bars
        As traded, sorted by ``instrument`` and ``date``.
    corporate_actions
        ``date`` (ex-date), ``instrument``, ``kind``, ``value``. An action on a date without a bar counts on the next
        bar of the instrument, a dividend before a split in the shares after it; one before the first bar is history
        that no bar shows.

    Returns
    -------
    pandas.Series
        Aligned with the rows of ``bars``; 1.0 on the first bar of each instrument.

    Raises
    ------
    MarketDataError
        When a split ratio is not positive or a dividend is negative.
    """
    return pd.Series(_factors(bars, corporate_actions, PlacedBars(bars)), bars.index, name="factor", copy=False)


def _factors(bars: pd.DataFrame, corporate_actions: pd.DataFrame, placed: PlacedBars) -> npt.NDArray[np.float64]:
    # A product by one is exact, so that only the few bars with an action, or without a close, are computed with.
    acted = placed.acted_on(corporate_actions)
    _refuse_impossible(bars, acted)
    close = bars["close"].to_numpy(dtype=np.float64)
    rows = np.union1d(acted.row, np.flatnonzero(np.isnan(close) | (close == 0)))
    split, dividend = np.ones(len(rows)), np.zeros(len(rows))
    places = rows.searchsorted(acted.row)
    split[places], dividend[places] = acted.split, acted.dividend
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = split * (1.0 + dividend / close[rows])
    is_later = ~placed.first[rows]
    return _cumulative_product(rows[is_later], ratio[is_later], placed.first)


def actions_per_bar(bars: pd.DataFrame, corporate_actions: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Collect what happened since the bar before: a close of it goes ex by ``close / split - dividend``.

    Parameters
    ----------
    bars, corporate_actions
        See `adjustment_factors`.

    Returns
    -------
    split
        New shares per share, one value per row of ``bars``.
    dividend
        Cash per new share.
    """
    split, dividend, acted = np.ones(len(bars)), np.zeros(len(bars)), PlacedBars(bars).acted_on(corporate_actions)
    split[acted.row], dividend[acted.row] = acted.split, acted.dividend
    return split, dividend


def adjust_bars(bars: pd.DataFrame, corporate_actions: pd.DataFrame) -> pd.DataFrame:
    """Adjust bars forward for splits and dividends.

    Parameters
    ----------
    bars, corporate_actions
        See `adjustment_factors`.

    Returns
    -------
    pandas.DataFrame
        ``date``, ``instrument``, ``open``, ``high``, ``low``, ``close``, ``vwap``, ``volume``, ``factor``. Prices are
        multiplied by the factor, volume is divided by it; ``vwap`` is the mean of high, low and close, because daily
        sources rarely deliver the traded amount.
    """
    return multiply(bars, adjustment_factors(bars, corporate_actions).to_numpy())


def multiply(bars: pd.DataFrame, factor: np.ndarray) -> pd.DataFrame:
    """Adjust bars by known factors, one per row; see `adjust_bars`."""
    adjusted = {name: bars[name].to_numpy(dtype=np.float64) * factor for name in PRICES}
    # Columns are kept as they are made: copies into one block would double what the table takes.
    return pd.DataFrame(
        {
            **{name: bars[name].reset_index(drop=True) for name in ("date", "instrument")},
            **adjusted,
            "vwap": (adjusted["high"] + adjusted["low"] + adjusted["close"]) / 3.0,
            "volume": bars["volume"].to_numpy(dtype=np.float64) / factor,
            "factor": factor,
        },
        copy=False,
    )


def dividend_returns(bars: pd.DataFrame, corporate_actions: pd.DataFrame) -> pd.Series:
    """Compute the part of each session's return that is paid as dividends, which a tax may be withheld from.

    It is the return of the adjusted close less that of the close adjusted for splits alone.

    Parameters
    ----------
    bars, corporate_actions
        See `adjustment_factors`.

    Returns
    -------
    pandas.Series
        Aligned with `bars`; 0 at the first bar of an instrument and wherever nothing is paid.
    """
    return pd.Series(returns_of(bars, corporate_actions).dividend, index=bars.index, name="dividend_return")


class Returns(NamedTuple):
    """What holders of the bars have earned since the bar before, one value per bar.

    ``factor`` is that of `adjustment_factors`, ``total`` the return of the adjusted close, NaN at the first bar of an
    instrument, ``dividend`` that of `dividend_returns`.
    """

    factor: npt.NDArray[np.float64]
    total: npt.NDArray[np.float64]
    dividend: npt.NDArray[np.float64]


def returns_of(bars: pd.DataFrame, corporate_actions: pd.DataFrame, placed: PlacedBars | None = None) -> Returns:
    """Compute factors, total returns and dividend returns together.

    Parameters
    ----------
    bars, corporate_actions
        See `adjustment_factors`.
    placed
        The bars, where they have been placed before.
    """
    placed, close = placed or PlacedBars(bars), bars["close"].to_numpy(dtype=np.float64)
    factor = _factors(bars, corporate_actions, placed)
    total, paid = change_from_row_before(close * factor, placed.first), np.zeros(len(bars))
    paying = corporate_actions["kind"] == CASH_DIVIDEND
    if paying.any():
        of_splits = _factors(bars, corporate_actions[~paying], placed)
        rows = placed.of_kind(corporate_actions, CASH_DIVIDEND)["row"].to_numpy()
        before = rows - 1
        change = total[rows] - (close[rows] * of_splits[rows] / (close[before] * of_splits[before]) - 1)
        paid[rows] = np.where(np.isnan(change) | placed.first[rows], 0.0, change)
    return Returns(factor, total, paid)


def adjusted_close_as_of(bars: pd.DataFrame, corporate_actions: pd.DataFrame, as_of: pd.Timestamp) -> pd.DataFrame:
    """Compute the adjusted close as a vendor would have published it on a date.

    Parameters
    ----------
    bars, corporate_actions
        See `adjustment_factors`.
    as_of
        Date of publication; later bars and actions do not enter.

    Returns
    -------
    pandas.DataFrame
        ``date``, ``instrument``, ``adjusted_close``; the newest row of an instrument equals its close as traded.
    """
    known = bars[bars["date"] <= as_of].reset_index(drop=True)
    factor = adjustment_factors(known, corporate_actions[corporate_actions["date"] <= as_of])
    newest = factor.groupby(known["instrument"], sort=False).transform("last")
    return known[["date", "instrument"]].assign(adjusted_close=known["close"] * factor / newest)


def dated_like(bars: pd.DataFrame, corporate_actions: pd.DataFrame) -> pd.DataFrame:
    """Return the actions with dates in the unit of the bars, because pandas joins no others."""
    return corporate_actions.astype({"date": bars["date"].dtype})


class ActedOn(NamedTuple):
    """Rows of bars before which a corporate action came, ascending, with the new shares and the cash of each.

    See `actions_per_bar`.
    """

    row: npt.NDArray[np.int64]
    split: npt.NDArray[np.float64]
    dividend: npt.NDArray[np.float64]


class PlacedBars:
    """Where the bars of every instrument and date lie, so that actions find theirs.

    Parameters
    ----------
    bars
        As traded, sorted by ``instrument`` and ``date``.

    Attributes
    ----------
    first
        Which rows are the first of their instrument.
    dates
        Of all rows.
    """

    def __init__(self, bars: pd.DataFrame) -> None:
        codes, self._names = number_instruments(bars)
        self.first = begins(codes)
        self.dates = bars["date"].to_numpy()
        self._dates, self._order = self.dates, None
        if not are_in_order(codes, self._dates):
            self._order = np.lexsort((self._dates, codes))
            self._dates, codes = self._dates[self._order], codes[self._order]
        self._limits = np.searchsorted(codes, np.arange(len(self._names) + 1))

    def acted_on(self, corporate_actions: pd.DataFrame) -> ActedOn:
        """Collect what happened since the bar before, of the bars before which anything did."""
        splits = self.of_kind(corporate_actions, SPLIT)
        dividends = self.of_kind(corporate_actions, CASH_DIVIDEND)
        rows = np.unique(np.append(splits["row"].to_numpy(), dividends["row"].to_numpy()))
        split, dividend = np.ones(len(rows)), np.zeros(len(rows))
        np.multiply.at(split, rows.searchsorted(splits["row"].to_numpy()), splits["value"].to_numpy())
        paid = dividends["value"].to_numpy() / _later_splits(dividends, splits)
        np.add.at(dividend, rows.searchsorted(dividends["row"].to_numpy()), paid)
        return ActedOn(rows, split, dividend)

    def of_kind(self, corporate_actions: pd.DataFrame, kind: str) -> pd.DataFrame:
        """Place actions of one kind on the first bar at or after their ex-date: ``date``, ``row`` and ``value``."""
        wanted = corporate_actions.loc[corporate_actions["kind"] == kind, ["date", "instrument", "value"]]
        wanted = wanted.astype({"date": self._dates.dtype}).sort_values("date", kind="stable")
        rows, is_there = self.next_bars(wanted)
        return wanted[is_there].assign(row=rows[is_there]).reset_index(drop=True)

    def next_bars(self, dated: pd.DataFrame) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """Find the first bar at or after each of some dates of instruments that have bars.

        Parameters
        ----------
        dated
            ``date`` and ``instrument``.

        Returns
        -------
        rows
            Of sorted bars; where the instrument has no later one, that after its last.
        is_there
            Which of them are of the instrument.
        """
        found = self._first_since(dated)
        is_there = found.row < found.end
        return self._as_given(found.row, is_there), is_there

    def last_bars(self, dated: pd.DataFrame, *, at_date: bool) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """Find the last bar before each of some dates, or one at the date itself, as `next_bars` does."""
        found = self._first_since(dated, moments_later=int(at_date))
        is_there = found.row > found.begin
        return self._as_given(found.row - 1, is_there), is_there

    def _first_since(self, dated: pd.DataFrame, moments_later: int = 0) -> _Found:
        """Look for the first bars since some dates; an instrument without bars has those of an empty span."""
        of_date = self._names.get_indexer(dated["instrument"])
        begin, end = np.append(self._limits[:-1], 0)[of_date], np.append(self._limits[1:], 0)[of_date]
        since = dated["date"].to_numpy().astype(self._dates.dtype) + moments_later
        return _Found(first_rows_since(self._dates, begin, end, since), begin, end)

    def _as_given(self, rows: npt.NDArray[np.int64], is_there: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        if self._order is not None:
            rows[is_there] = self._order[rows[is_there]]
        return rows


class _Found(NamedTuple):
    """Rows that were looked for, each among those of an instrument, which `begin` and `end` bound."""

    row: npt.NDArray[np.int64]
    begin: npt.NDArray[np.int64]
    end: npt.NDArray[np.int64]


def _later_splits(dividends: pd.DataFrame, splits: pd.DataFrame) -> np.ndarray:
    """Count the new shares that later splits, before the next bar, made of each share that was paid a dividend."""
    pairs = dividends[["date", "row"]].reset_index(drop=True).reset_index().merge(splits, on="row")
    later = pairs[pairs["date_y"] > pairs["date_x"]].groupby("index")["value"].prod()
    return later.reindex(range(len(dividends)), fill_value=1.0).to_numpy(dtype=np.float64)


def _refuse_impossible(bars: pd.DataFrame, acted: ActedOn) -> None:
    wrong = (acted.split <= 0) | (acted.dividend < 0)
    if wrong.any():
        index = int(np.flatnonzero(wrong)[0])
        row = bars.iloc[acted.row[index]]
        what = "split ratio is not positive" if acted.split[index] <= 0 else "dividend is negative"
        raise MarketDataError(
            f"{row['instrument']} on {row['date']:%Y-%m-%d}: the {what}; correct the corporate action."
        )


def _cumulative_product(
    rows: npt.NDArray[np.int64], ratio: npt.NDArray[np.float64], first: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    """Return the running product of the ratios of some rows, which begins with 1 at the first of each instrument."""
    # Instrument by instrument: one running product over all would carry the rounding of one into the next.
    starts = np.flatnonzero(first)
    changes = np.union1d(starts, rows)
    product = np.ones(len(changes))
    product[changes.searchsorted(rows)] = ratio
    begin = changes.searchsorted(starts)
    for start, stop in zip(begin, np.append(begin, len(changes))[1:], strict=True):
        product[start:stop] = np.cumprod(product[start:stop])
    return np.repeat(product, np.diff(np.append(changes, len(first))))
