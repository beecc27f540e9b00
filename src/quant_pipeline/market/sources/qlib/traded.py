"""Prices as traded, splits and dividends out of adjusted prices and their factor.

A provider holds ``price × factor`` and ``volume / factor`` as float32, and the factor itself. What a share did between
two bars stands in the step of the factor: a split multiplies it by new shares per share, a dividend by
``1 + dividend / close``, as in `market.price_adjustment`. Returns of adjusted bars are therefore those of ``$close``.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.market.sources.derived import PRICES
from quant_pipeline.market.sources.files.draft import Draft

Numbers = npt.NDArray[np.float64]

STORED: Final = 2.0**-22
"""Relative error of a quotient or product of two numbers that are stored as float32."""
_LEAST_STEP: Final = 4e-6
_NOISES: Final = 8.0
_PAST: Final = 120
"""Steps before a bar that say how noisy its factor is: vendors round adjusted closes, so some change every day."""
_FALL: Final = 0.995
_SMALLEST_SPLIT: Final = 0.05
_LARGEST_DIVIDEND: Final = 1.3


def as_traded(values: Numbers) -> Numbers:
    """Return prices as they were quoted, where storage has moved them by no more than its own rounding.

    Parameters
    ----------
    values
        Adjusted price over factor.

    Returns
    -------
    numpy.ndarray
        The price of two, three or four decimals within the rounding of float32, else the value itself.
    """
    quoted = values.copy()
    unsettled = np.isfinite(values)
    for decimals in (2, 3, 4):
        near = np.round(values, decimals)
        fits = unsettled & (np.abs(near - values) <= STORED * values) & (STORED * values < 0.25 * 10.0**-decimals)
        quoted[fits] = near[fits]
        unsettled &= ~fits
    return quoted


def whole_shares(values: Numbers) -> Numbers:
    """Return volumes as whole shares where storage has moved them by no more than its own rounding."""
    near = np.round(values)
    return np.where(np.abs(near - values) <= STORED * np.abs(values), near, values)


def derive_actions(draft: Draft) -> None:
    """Derive splits and dividends from the steps of the factor.

    The rows are as traded, sorted by instrument and date, with ``factor``. A step that is a ratio of small numbers is a
    split; a larger one is the split of whole tenths below it and a dividend; other steps upward are dividends. A fall
    that is no such ratio is a split of its own size from half a percent on, and noted and left out below.
    """
    rows = draft.rows
    again = (rows["instrument"] == rows["instrument"].shift()).to_numpy()
    factor, close = rows["factor"].to_numpy(), rows["close"].to_numpy()
    step = np.ones(len(rows))
    step[1:] = np.where(again[1:], factor[1:] / factor[:-1], 1.0)
    noise = _noise(rows["instrument"], step)
    places = np.flatnonzero(np.abs(step - 1) > noise)
    split, dividend = np.ones(len(rows)), np.zeros(len(rows))
    ignored = []
    for place in places:
        split[place] = ratio = _split_in(float(step[place]), float(noise[place]))
        if abs(step[place] / ratio - 1) > noise[place]:
            if step[place] < 1:
                ignored.append(place)
                continue
            dividend[place] = _cash(close[place] * (step[place] / ratio - 1), close[place])
    draft.rows = rows.assign(split=split, dividend=dividend)
    for name, which in (("split", split != 1), ("dividend", dividend > 0)):
        draft.note(rows[which], f"derived_{name}", "derived from the factor of the provider", value=step[which])
    detail = "the factor falls, which neither a split nor a dividend does"
    draft.note(rows.iloc[ignored], "vendor_step", detail, "error", step[ignored])


def _noise(instruments: pd.Series, step: Numbers) -> Numbers:
    """Return the largest step of each bar that is none, by the steps before it."""
    size = np.abs(step - 1)
    noise = np.full(len(step), _LEAST_STEP)
    moving = pd.Series(size > _LEAST_STEP).groupby(instruments.to_numpy(), sort=False).transform("mean") > 0.05
    if moving.any():
        chosen = pd.Series(size)[moving]
        names = instruments.to_numpy()[moving.to_numpy()]
        before = chosen.groupby(names, sort=False).shift()
        usual = before.groupby(names, sort=False).rolling(_PAST, min_periods=5).median().droplevel(0)
        noise[moving.to_numpy()] += _NOISES * usual.reindex(chosen.index).fillna(0.0).to_numpy()
    return noise


def _split_in(step: float, noise: float) -> float:
    """Return the new shares per share in a step of the factor; 1 where it holds no split."""
    if abs(step - 1) < _SMALLEST_SPLIT:
        return step if step < _FALL else 1.0
    near = Fraction(step).limit_denominator(10)
    if near > 0 and abs(float(near) / step - 1) <= max(noise, 2e-5):
        return float(near)
    if step < 1 or (abs(round(2 * step) / (2 * step) - 1) < 1 - _FALL and round(2 * step) > 2 * step):
        return step
    return np.floor(step * 10) / 10 if step > _LARGEST_DIVIDEND else 1.0


def _cash(value: float, close: float) -> float:
    near = round(value, 4)
    return near if near > 0 and abs(near - value) <= 2 * STORED * close else value


def benchmark_of(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the bars of an index or fund as a benchmark of `MarketData`.

    Its total return is the adjusted close as it is stored, and not made of derived dividends: an index of total returns
    pays on nearly every day, which is less than what vendors round.

    Parameters
    ----------
    rows
        As traded, with ``factor`` and ``split``, sorted by date.
    """
    total = rows["close"] * (rows["factor"] / rows["factor"].iloc[:1].sum())
    gain = rows["close"] * rows["split"] / rows["close"].shift()
    paid = (total.pct_change() - (gain - 1)).fillna(0.0)
    paid = paid.where(paid.abs() > 4 * STORED, 0.0)
    return rows[["date", *PRICES, "volume"]].assign(total_return_close=total, dividend_return=paid)


def traded_bars(stored: pd.DataFrame, volume_unit: float) -> pd.DataFrame:
    """Return bars as traded.

    Parameters
    ----------
    stored
        Prices and volume as the provider has them, and ``factor``.
    volume_unit
        What one unit of volume is.
    """
    factor = stored["factor"].to_numpy()
    prices = {name: as_traded(stored[name].to_numpy() / factor) for name in PRICES}
    return stored.assign(**prices, volume=whole_shares(stored["volume"].to_numpy() * factor) * volume_unit)
