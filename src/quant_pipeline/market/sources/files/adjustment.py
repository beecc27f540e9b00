"""Prices as traded out of prices that a vendor has adjusted, and the actions that the adjustment implies."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pandas as pd

from quant_pipeline.market.sources.files.draft import PRICES, Draft
from quant_pipeline.market.sources.files.layouts import ALL, NONE

_ODD = 0.005
_FEW = 5
"""Bars at the beginning or end of an instrument that may lack an adjusted close."""
_SMALLEST_SPLIT = 0.2
"""Logarithm of the smallest split ratio whose traces in prices can be seen beside a session's move."""


def check_splits(draft: Draft) -> None:
    """Refuse splits that the prices contradict: noted but not applied, or applied where prices should be as traded.

    The rows are sorted by instrument and date; prices are as in the files.
    """
    rows = draft.rows
    splits = np.flatnonzero(rows["split"].to_numpy() != 1.0)
    splits = splits[splits > 0]
    same = rows["instrument"].to_numpy()[splits] == rows["instrument"].to_numpy()[splits - 1]
    splits = splits[same]
    if not len(splits):
        return
    close = rows["close"].to_numpy()
    ratio = rows["split"].to_numpy()[splits]
    size = np.log(ratio)
    move = np.log(close[splits] / close[splits - 1])
    large = np.abs(size) > _SMALLEST_SPLIT
    applied = np.abs(move) < 0.5 * np.abs(size)
    unapplied = np.abs(move + size) < 0.5 * np.abs(size)
    as_traded = (rows["adjusted"] == NONE).to_numpy()[splits]
    inverted = large & as_traded & (np.abs(size) > 0.6) & (np.abs(move - size) < 0.5 * np.abs(size))
    wrong = inverted | (large & np.where(as_traded, applied & (np.abs(size) > 0.6), unapplied & ~applied))
    texts = [
        f"the split {value:g} of {rows['date'].iloc[place]:%Y-%m-%d} is noted, but the prices before it are "
        + _contradiction(traded, opposite)
        for place, value, traded, opposite in zip(
            splits[wrong], ratio[wrong], as_traded[wrong], inverted[wrong], strict=True
        )
    ]
    mask = np.zeros(len(rows), dtype=bool)
    mask[splits[wrong]] = True
    draft.refuse_rows(mask, texts, whole_instrument=True)
    odd = np.array([_is_odd(value) for value in ratio]) & large
    draft.note(
        rows.iloc[splits[odd]], "odd_split", "a split that is no ratio of small numbers: a spin-off, or an error",
        "error", ratio[odd],
    )  # fmt: skip


def check_joined_files(draft: Draft) -> None:
    """Refuse files of one instrument that were not exported together: the earlier one knows no later split.

    The rows are sorted by instrument and date; prices are as in the files.
    """
    rows = draft.rows
    adjusted = (rows["adjusted"] != NONE).to_numpy()
    same = (rows["instrument"] == rows["instrument"].shift()).to_numpy()
    joints = np.flatnonzero(adjusted & same & (rows["file"] != rows["file"].shift()).to_numpy())
    if not len(joints):
        return
    later = rows[::-1].groupby("instrument", sort=False)["split"].cumprod()[::-1].to_numpy()
    close = rows["close"].to_numpy()
    size, move = np.log(later[joints]), np.log(close[joints] / close[joints - 1])
    wrong = (np.abs(size) > _SMALLEST_SPLIT) & (np.abs(move + size) < 0.5 * np.abs(size))
    mask = np.zeros(len(rows), dtype=bool)
    mask[joints[wrong]] = True
    what = (
        "the bars before, of another file, are not restated for the later splits, as these are: the files were not "
        "exported together; export the whole span at once"
    )
    draft.refuse_rows(mask, what, whole_instrument=True)
    rows = draft.rows
    paid = rows[::-1].groupby("instrument", sort=False)["dividend"].cumsum()[::-1] > 0
    joint = (rows["file"] != rows["file"].shift()) & (rows["instrument"] == rows["instrument"].shift())
    draft.note(
        rows[joint & paid & (rows["adjusted"] == ALL)], "joined_files",
        "its bars before are of another file; if the two were not exported together, the earlier one is not adjusted "
        "for the later dividends",
    )  # fmt: skip


def _contradiction(as_traded: bool, is_inverted: bool) -> str:
    if is_inverted:
        return "those of the inverse ratio; ratios are new shares per share, such as 2 for two for one: correct it"
    if as_traded:
        return "restated for it already, where closes as traded are expected; set `adjusted: splits`"
    return "not restated for it, as this layout does; set `adjusted: none`, or exclude the instrument"


def _is_odd(ratio: float) -> bool:
    near = Fraction(ratio if ratio >= 1 else 1 / ratio).limit_denominator(20)
    return abs(float(near) / (ratio if ratio >= 1 else 1 / ratio) - 1) > _ODD


def check_dividends(draft: Draft) -> None:
    """Refuse dividends that are not below the close before them; the rows are as traded, by instrument and date."""
    rows = draft.rows
    again = rows["instrument"] == rows["instrument"].shift()
    before = rows["close"].shift() / rows["split"]
    wrong = again & (rows["dividend"] >= before)
    texts = [
        f"dividend {value:g} is not below the close before, {close:g}: of another unit, or no dividend; correct it"
        for value, close in zip(rows.loc[wrong, "dividend"], before[wrong], strict=True)
    ]
    draft.refuse_rows(wrong, texts, whole_instrument=True)


def restore_traded(rows: pd.DataFrame) -> pd.DataFrame:
    """Return prices, volumes and dividends as traded.

    Parameters
    ----------
    rows
        Sorted by instrument and date, with ``adjusted``, ``split`` and ``dividend``.
    """
    adjusted = rows["adjusted"] != NONE
    if not adjusted.any():
        return rows
    restored = rows.copy()
    _undo_dividends(restored)
    table = restored[adjusted.to_numpy()]
    later = table[::-1].groupby("instrument", sort=False)["split"].cumprod()[::-1] / table["split"]
    for name in (*PRICES, "dividend"):
        restored.loc[table.index, name] = table[name] * later
    restored.loc[table.index, "volume"] = table["volume"] / later
    return restored


def _undo_dividends(rows: pd.DataFrame) -> None:
    """Undo the adjustment of closes for the dividends beside them.

    A vendor multiplies everything before an ex-date by ``1 − dividend / close before``; walking back from the last bar,
    where the factor is 1, the close before is ``adjusted close / factor + dividend``.
    """
    paying = np.flatnonzero(((rows["adjusted"] == ALL) & (rows["dividend"] > 0)).to_numpy())
    if not len(paying):
        return
    instrument = rows["instrument"].to_numpy()
    close, dividend = rows["close"].to_numpy(), rows["dividend"].to_numpy()
    factor = np.ones(len(rows))
    starts = pd.Series(np.arange(len(rows))).groupby(instrument, sort=False).transform("min").to_numpy()
    for place in paying[::-1]:
        start = starts[place]
        if place == start:
            continue
        after = factor[place]
        before = close[place - 1] / after + dividend[place]
        factor[start:place] = close[place - 1] / before
    for name in PRICES:
        rows[name] = rows[name].to_numpy() / factor


def refuse_unknown_ratios(draft: Draft) -> None:
    """Note bars without the vendor's adjusted close; refuse instruments of which it tells no action of many bars.

    The rows are sorted by instrument and date.
    """
    rows = draft.rows
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

    A step of ``adjusted close / close`` from one bar to the next is an action: a split where its size is one, else a
    dividend of ``close before × (1 − 1 / step)``. Steps within the rounding of the two columns are none.
    """
    if not rows["derived"].any():
        return
    again = (rows["instrument"] == rows["instrument"].shift()).to_numpy()
    close = rows["close"].to_numpy()
    before = np.append(np.nan, close[:-1])
    by_previous = rows["derived"].to_numpy() & rows["previous_close"].notna().to_numpy()
    ratio = (rows["vendor_adjusted_close"] / rows["close"]).to_numpy()
    # What a bar without an adjusted close hides, the next known ratio tells.
    last_known = pd.Series(ratio, index=rows.index).groupby(rows["instrument"], sort=False).ffill().to_numpy()
    step = ratio / np.append(np.nan, last_known[:-1])
    step[by_previous] = (before / rows["previous_close"].to_numpy())[by_previous]
    noise = _noise(rows, by_previous)
    acting = again & rows["derived"].to_numpy() & (np.abs(step - 1) > noise)
    places = np.flatnonzero(acting)
    splits = [place for place in places if _is_split(step[place])]
    paid = [place for place in places if not _is_split(step[place]) and step[place] > 1]
    wrong = [place for place in places if not _is_split(step[place]) and step[place] <= 1]
    rows.loc[splits, "split"] = [float(Fraction(step[place]).limit_denominator(20)) for place in splits]
    rows.loc[paid, "dividend"] = before[paid] * (1 - 1 / step[paid])
    draft.note(rows.iloc[splits], "derived_split", "derived from the vendor's adjusted close", value=step[splits])
    draft.note(rows.iloc[paid], "derived_dividend", "derived from the vendor's adjusted close", value=step[paid])
    detail = "the adjusted close falls against the close, which neither a split nor a dividend does"
    draft.note(rows.iloc[wrong], "vendor_step", detail, "error", step[wrong])


def _is_split(step: float) -> bool:
    if 0.77 < step < 1.3:
        return False
    near = Fraction(step).limit_denominator(20)
    return near > 0 and abs(float(near) / step - 1) < _ODD


def _noise(rows: pd.DataFrame, by_previous: np.ndarray) -> np.ndarray:
    """Return the largest step that rounding explains: both columns, in this row and the one before."""
    close = rows["close"].to_numpy()
    other = np.where(by_previous, rows["previous_close"].to_numpy(), rows["vendor_adjusted_close"].to_numpy())
    unit_close, unit_other = 10.0 ** -_decimals(close), 10.0 ** -_decimals(other[~np.isnan(other)])
    noise = pd.Series(unit_close / close + unit_other / other).ffill().to_numpy()
    return 1.2 * np.maximum(noise, np.append(0.0, noise[:-1])) + 1e-6


def _decimals(values: np.ndarray) -> int:
    sample = values[:: max(1, len(values) // 2000)]
    return next((n for n in range(10) if np.allclose(np.round(sample, n), sample, rtol=0, atol=1e-11)), 10)
