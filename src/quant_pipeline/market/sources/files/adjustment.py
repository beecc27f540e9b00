"""Prices as traded out of prices that a vendor has adjusted; splits and dividends that the prices contradict."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pandas as pd

from quant_pipeline.market.instrument_rows import number_instruments
from quant_pipeline.market.sources.files.draft import PRICES, Draft
from quant_pipeline.market.sources.files.layouts import ALL, NONE

_ODD = 0.005
_PAYMENTS = 10
"""Dividends from which their number is judged; funds that pay each week pay on a fifth of the sessions."""
_SMALLEST_SPLIT = 0.2
"""Logarithm of the smallest split ratio whose traces in prices can be seen beside a session's move."""


def check_splits(draft: Draft) -> None:
    """Refuse splits that the prices contradict: noted but not applied, or applied where prices should be as traded.

    The rows are sorted by instrument and date; prices are as in the files.
    """
    rows = draft.rows
    splits = np.flatnonzero(rows["split"].to_numpy() != 1.0)
    splits = splits[draft.goes_on()[splits]]
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
    if not odd.any():
        return
    draft.note(
        rows.iloc[splits[odd]], "odd_split", "a split that is no ratio of small numbers: a spin-off, or an error",
        "error", ratio[odd],
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


def refuse_mixed_adjustment(draft: Draft) -> None:
    """Refuse instruments some of whose bars are adjusted and others are not: the return between them is of neither."""
    adjusted = draft.rows["adjusted"].cat.codes.to_numpy()
    if (adjusted[1:] == adjusted[:-1]).all():
        return
    kinds = draft.rows["adjusted"].groupby(draft.rows["instrument"])
    mixed = kinds.transform("nunique") > 1
    what = "some of its bars are adjusted and some are not, so that a return between them is wrong; export all alike"
    draft.refuse_rows(mixed, what, whole_instrument=True)


def check_dividends(draft: Draft) -> None:
    """Refuse dividends that are not below the close before them; the rows are as traded, by instrument and date."""
    rows = draft.rows
    close, dividend, split = (rows[name].to_numpy() for name in ("close", "dividend", "split"))
    paying = np.flatnonzero(dividend > 0)
    paying = paying[draft.goes_on()[paying]]
    with np.errstate(all="ignore"):
        before = close[paying - 1] / split[paying]
    places = paying[dividend[paying] >= before]
    if len(places):
        texts = [
            f"dividend {value:g} is not below the close before, {price:g}: of another unit, or no dividend; correct it"
            for value, price in zip(dividend[places], before[dividend[paying] >= before], strict=True)
        ]
        wrong = np.zeros(len(rows), dtype=bool)
        wrong[places] = True
        draft.refuse_rows(wrong, texts, whole_instrument=True)
    rows = draft.rows
    paid = np.flatnonzero((rows["dividend"] > 0).to_numpy() & ~rows["no_dividend"].to_numpy(dtype=bool))
    codes, names = number_instruments(draft.rows)
    payments = np.bincount(codes[paid], minlength=len(names))
    if payments.max(initial=0) < _PAYMENTS:
        return
    bars = np.bincount(codes, minlength=len(names))
    what = (
        "has a dividend on most bars: a rate or a sum that is carried on, not what was paid on that day; leave it on "
        "the ex-dates alone, or name the column in `ignored_columns`"
    )
    always = (payments >= _PAYMENTS) & (payments > bars / 3)
    if always.any():
        wrong = np.zeros(len(rows), dtype=bool)
        wrong[paid] = always[codes[paid]]
        draft.refuse_rows(wrong, what, whole_instrument=True)


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
