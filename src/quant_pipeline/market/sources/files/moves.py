"""Wrong units, found by content: closes that jump, columns that contradict each other, volume against the amount."""

from __future__ import annotations

import numpy as np
import pandas as pd

from quant_pipeline.market.data import SourceProblem
from quant_pipeline.market.sources.files.draft import Draft
from quant_pipeline.market.sources.files.layouts import NONE

IMPOSSIBLE = np.log(20.0)
"""A close that is twenty times, or a twentieth, of the one before without an action is another unit or an error."""
SPIKE = np.log(3.0)
BACK = np.log(1.3)
WIDEST = 20.0
"""An open, high or low that is so many times the close of its session, or so small a part of it, is an error."""
MIXED = 0.001
"""Part of the price by which an open or close may lie outside of low and high before the columns are doubted."""


def refuse_wrong_units(draft: Draft) -> None:
    """Refuse closes of another unit, and closes that triple for a session and come back.

    The rows are as traded, sorted by instrument and date, with ``split`` and ``dividend``.
    """
    rows = draft.rows
    if len(rows) < 2:
        return
    close, split = rows["close"].to_numpy(), rows["split"].to_numpy()
    again = (rows["instrument"] == rows["instrument"].shift()).to_numpy()
    gross = (close + rows["dividend"].to_numpy()) * split
    move = np.zeros(len(rows))
    move[1:] = np.where(again[1:], np.log(gross[1:] / close[:-1]), 0.0)
    back = np.append(move[1:], 0.0)
    spike = (np.abs(move) > SPIKE) & (np.abs(move + back) < BACK) & (np.abs(back) > SPIKE)
    after_spike = np.append(False, spike[:-1])
    texts = np.array(
        [
            f"close {value:g} is {np.exp(size):.3g} times the one before, and back in the next session; correct "
            "it, or exclude the row"
            for value, size in zip(close[spike], move[spike], strict=True)
        ],
        dtype=object,
    )
    shift = (np.abs(move) > IMPOSSIBLE) & ~spike & ~after_spike
    levels = [
        f"close {value:g} is {np.exp(size):.3g} times the one before, and no split explains it: another unit of "
        "prices, or a split that is not noted; correct it, or exclude the rows"
        for value, size in zip(close[shift], move[shift], strict=True)
    ]
    both = spike | shift
    order = np.empty(len(rows), dtype=object)
    order[spike], order[shift] = texts, levels
    if draft.leave_out and shift.any():
        draft.refuse_rows(shift, levels, whole_instrument=True)
        refuse_wrong_units(draft)
        return
    draft.refuse_rows(both, order[both])


def refuse_wrong_amounts(draft: Draft) -> None:
    """Refuse files in which volume times close is a fixed multiple of the traded amount beside it.

    Amounts are volume times the mean price of a session, so that only a unit can make them differ by a factor.
    """
    rows = draft.rows[(draft.rows["adjusted"] == NONE) & (draft.rows["amount"] > 0) & (draft.rows["volume"] > 0)]
    if rows.empty:
        return
    ratio = np.log(rows["volume"] * rows["close"] / rows["amount"])
    spread = ratio.groupby(rows["file"]).agg(lambda part: part.quantile(0.9) - part.quantile(0.1))
    middle = ratio.groupby(rows["file"]).median()
    for file in middle.index[(np.abs(middle) > np.log(5.0)) & (spread < np.log(1.3))]:
        factor = float(np.exp(middle[file]))
        what = (
            f"volume times close is {factor:.3g} times the traded amount beside it: one of them is of another unit, or "
            "the prices are adjusted; set `volume_unit` to the shares of one unit of volume, 1 where they are shares"
        )
        count = int((rows["file"] == file).sum())
        draft.problems.append(SourceProblem(draft.files[int(file)], None, None, what, count))
        if draft.leave_out:
            draft.leave_out_instruments(draft.rows["file"] == file)


def refuse_mixed_columns(draft: Draft) -> None:
    """Refuse bars whose prices of one session are of different units, and instruments whose columns are mixed up."""
    rows = draft.rows
    close = rows["close"]
    ratios = [rows[name] / close for name in ("open", "high", "low")]
    apart = pd.Series(False, index=rows.index)
    for ratio in ratios:
        apart |= (ratio > WIDEST) | (ratio < 1 / WIDEST)
    texts = [
        f"open {row.open:g}, high {row.high:g}, low {row.low:g} and close {row.close:g} are not prices of one session; "
        "correct them, or exclude the row"
        for row in rows[apart].itertuples()
    ]
    draft.refuse_rows(apart, texts)
    rows = draft.rows
    top, bottom = rows[["open", "close"]].max(axis=1), rows[["open", "close"]].min(axis=1)
    outside = (top > rows["high"] * (1 + MIXED)) | (bottom < rows["low"] * (1 - MIXED))
    if not outside.any():
        return
    share = outside.groupby(rows["instrument"]).transform("mean")
    mixed = outside & (share > 0.5) & (rows.groupby("instrument")["close"].transform("size") > 5)
    what = "open or close lies outside of low and high in most rows: the columns are mixed up; set `columns`"
    draft.refuse_rows(mixed, what, whole_instrument=True)
