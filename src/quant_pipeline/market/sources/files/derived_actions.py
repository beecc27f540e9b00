"""Splits and dividends that no column states, out of the vendor's adjusted or previous close."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pandas as pd

from quant_pipeline.market.sources.files.draft import Draft
from quant_pipeline.market.sources.files.layouts import NONE

_ODD = 0.005
_FEW = 5
"""Bars at the beginning or end of an instrument that may lack an adjusted close."""


def refuse_unknown_ratios(draft: Draft) -> None:
    """Note bars without the vendor's adjusted close; refuse instruments of which it tells no action of many bars.

    The rows are sorted by instrument and date.
    """
    rows = draft.rows
    if not rows["derived"].any():
        return
    stated = rows["vendor_adjusted_close"].notna() | rows["previous_close"].notna()
    first = rows["instrument"] != rows["instrument"].shift()
    by_previous = rows["previous_close"].notna().shift(-1, fill_value=False)
    unknown = rows["derived"].astype(bool) & ~stated & ~(first & by_previous)
    if not unknown.any():
        return
    names = rows["instrument"]
    known = pd.Series(np.where(stated, 1.0, np.nan), index=rows.index).groupby(names, sort=False)
    outside = unknown & (known.ffill().isna() | known.bfill().isna())
    many = outside & (outside.groupby(names).transform("sum") > _FEW)
    draft.note(
        rows[unknown & ~many], "no_adjusted_close",
        "a bar without the vendor's adjusted close: a split or dividend that it hides counts on the next one",
    )  # fmt: skip
    what = "has no adjusted close, so that its splits and dividends are unknown; export it again, or exclude it"
    draft.refuse_rows(many, what, whole_instrument=True)


def derive_actions(rows: pd.DataFrame, draft: Draft) -> None:
    """Derive splits and dividends from the vendor's adjusted close, or its previous close, where none are stated.

    A step of ``adjusted close / close`` from one bar to the next, less what the columns state, is an action: a split
    where its size is one, else a dividend of ``close before × (1 − 1 / step)``. Steps within the rounding of the two
    columns are none. Of splits and dividends only those are derived that have no column.
    """
    if not rows["derived"].any():
        return
    again = (rows["instrument"] == rows["instrument"].shift()).to_numpy()
    before, step, noise = _steps(rows)
    acting = again & rows["derived"].to_numpy(dtype=bool) & (np.abs(step - 1) > noise)
    places = np.flatnonzero(acting)
    no_split, no_dividend = (rows[name].to_numpy(dtype=bool)[places] for name in ("no_split", "no_dividend"))
    is_split = np.array([_is_split(step[place]) for place in places], dtype=bool)
    splits, paid = places[is_split & no_split], places[~is_split & no_dividend & (step[places] > 1)]
    wrong = places[~is_split & no_dividend & (step[places] <= 1)]
    rows.loc[splits, "split"] = [float(Fraction(step[place]).limit_denominator(20)) for place in splits]
    # A return reinvests at the close, an adjusted close by the close before.
    by_return = rows["total_return"].notna().to_numpy()
    close = rows["close"].to_numpy()
    value = np.where(by_return, close * (step - 1), before * (1 - 1 / step))
    rows.loc[paid, "dividend"] = value[paid]
    draft.note(rows.iloc[splits], "derived_split", "derived from the vendor's adjusted close", value=step[splits])
    draft.note(rows.iloc[paid], "derived_dividend", "derived from the vendor's adjusted close", value=step[paid])
    detail = "the adjusted close falls against the close, which neither a split nor a dividend does"
    draft.note(rows.iloc[wrong], "vendor_step", detail, "error", step[wrong])


def chain_returns(rows: pd.DataFrame) -> None:
    """Make an adjusted close of the total returns of a vendor; the rows are sorted by instrument and date.

    A return that is missing is none of splits and dividends, and its bar has no adjusted close.
    """
    if rows["total_return"].isna().all():
        return
    stated = rows["total_return"].where(rows["total_return"] > -1)
    by_return = stated.notna().groupby(rows["instrument"], sort=False).transform("any")
    first = rows["instrument"] != rows["instrument"].shift()
    price_only = rows["close"] / rows["close"].shift() - 1
    growth = 1 + stated.fillna(price_only).mask(first, 0.0)
    start = rows["close"].groupby(rows["instrument"], sort=False).transform("first")
    chained = start * growth.groupby(rows["instrument"], sort=False).cumprod()
    known = by_return & (stated.notna() | first)
    rows["vendor_adjusted_close"] = chained.where(known, rows["vendor_adjusted_close"].mask(by_return))


def split_by_traded_close(rows: pd.DataFrame, draft: Draft) -> None:
    """Derive splits from closes adjusted for them beside closes as traded; the rows are sorted as above."""
    if rows["traded_close"].isna().all():
        return
    known = rows["traded_close"] > 0
    ratio = (rows["close"] / rows["traded_close"]).where(known)
    before = ratio.groupby(rows["instrument"], sort=False).ffill().groupby(rows["instrument"], sort=False).shift()
    unit = 10.0 ** -_decimals(rows["close"].to_numpy()) / rows["close"]
    noise = _ODD + 2 * np.maximum(unit, unit.shift(fill_value=0.0))
    step = ratio / before
    places = np.flatnonzero((known & rows["no_split"].astype(bool) & (np.abs(step - 1) > noise)).to_numpy())
    values = step.to_numpy()[places]
    found = [float(Fraction(value).limit_denominator(20)) if _is_split(value) else float(value) for value in values]
    rows.loc[places, "split"] = found
    draft.note(rows.iloc[places], "derived_split", "derived from the close as traded beside it", value=values)


def adjusted_ratio(rows: pd.DataFrame) -> pd.Series:
    """Return ``adjusted close / close``; a bar without an adjusted close has that of the bar before."""
    ratio = rows["vendor_adjusted_close"] / rows["close"]
    return ratio.groupby(rows["instrument"], sort=False).ffill()


def _steps(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the close before in the shares of each bar, the step that no column states, and its rounding."""
    close = rows["close"].to_numpy()
    by_previous = rows["derived"].to_numpy(dtype=bool) & rows["previous_close"].notna().to_numpy()
    stated = rows["split"].where((rows["adjusted"] == NONE) & ~rows["no_split"].astype(bool), 1.0).to_numpy()
    before = np.append(np.nan, close[:-1]) / stated
    known = adjusted_ratio(rows).to_numpy()
    # What a bar without an adjusted close hides, the next known ratio tells.
    step = (rows["vendor_adjusted_close"] / rows["close"]).to_numpy() / np.append(np.nan, known[:-1]) / stated
    step[by_previous] = (before / rows["previous_close"].to_numpy())[by_previous]
    step = step * (1 - rows["dividend"].to_numpy() / before)
    return before, step, rounding_of_steps(rows)


def _is_split(step: float) -> bool:
    if 0.77 < step < 1.3:
        return False
    near = Fraction(step).limit_denominator(20)
    return near > 0 and abs(float(near) / step - 1) < _ODD


def rounding_of_steps(rows: pd.DataFrame) -> np.ndarray:
    """Return the largest step that rounding explains: both columns, in this row and the one before."""
    close = rows["close"].to_numpy()
    by_previous = (rows["derived"].astype(bool) & rows["previous_close"].notna()).to_numpy()
    other = np.where(by_previous, rows["previous_close"].to_numpy(), rows["vendor_adjusted_close"].to_numpy())
    unit_close, unit_other = 10.0 ** -_decimals(close), 10.0 ** -_decimals(other[~np.isnan(other)])
    noise = pd.Series(unit_close / close + unit_other / other).ffill().to_numpy()
    return 1.2 * np.maximum(noise, np.append(0.0, noise[:-1])) + 1e-6


def _decimals(values: np.ndarray) -> int:
    sample = values[:: max(1, len(values) // 2000)]
    return next((n for n in range(10) if np.allclose(np.round(sample, n), sample, rtol=0, atol=1e-11)), 10)
