"""Wrong units, found by content: closes that jump, columns that contradict each other, volume against the amount."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.market.data import SourceProblem
from quant_pipeline.market.sources.files.draft import PRICES, Draft, rows_where
from quant_pipeline.market.sources.files.layouts import NONE

IMPOSSIBLE = np.log(20.0)
"""A close that is twenty times, or a twentieth, of the one before without an action is another unit or an error."""
SPIKE = np.log(3.0)
BACK = np.log(1.3)
_LARGE = 2.9
"""No move below it is wrong, whatever the last digit of a logarithm."""
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
    again = draft.goes_on()
    dividend = rows["dividend"].to_numpy()

    def is_large(block: slice) -> npt.NDArray[np.bool_]:
        before, after = close[block], slice(block.start + 1, block.stop + 1)
        ratio = (close[1:][block] + dividend[1:][block]) * split[1:][block] / before
        return ((ratio > _LARGE) | (ratio < 1 / _LARGE)) & again[after]

    if not rows_where(len(rows) - 1, is_large).any():
        return
    gross = (close + dividend) * split
    ratio = gross[1:] / close[:-1]
    move = np.zeros(len(rows))
    move[1:] = np.where(again[1:], np.log(ratio), 0.0)
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
    rows = draft.rows
    stated = (rows["amount"] > 0).to_numpy()
    if not stated.any():
        return
    rows = rows[stated & (rows["adjusted"] == NONE).to_numpy() & (rows["volume"] > 0).to_numpy()]
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
    apart = _where(rows, _are_apart)
    if apart.any():
        texts = [
            f"open {row.open:g}, high {row.high:g}, low {row.low:g} and close {row.close:g} are not prices of one "
            "session; correct them, or exclude the row"
            for row in rows[apart].itertuples()
        ]
        draft.refuse_rows(apart, texts)
        rows = draft.rows
    outside = pd.Series(_where(rows, _are_outside), index=rows.index)
    if not outside.any():
        return
    share = outside.groupby(rows["instrument"]).transform("mean")
    mixed = outside & (share > 0.5) & (rows.groupby("instrument")["close"].transform("size") > 5)
    what = "open or close lies outside of low and high in most rows: the columns are mixed up; set `columns`"
    draft.refuse_rows(mixed, what, whole_instrument=True)


_Values = npt.NDArray[np.float64]


def _where(
    rows: pd.DataFrame, test: Callable[[_Values, _Values, _Values, _Values], npt.NDArray[np.bool_]]
) -> npt.NDArray[np.bool_]:
    """Return of which rows a test of open, high, low and close holds."""
    prices = [rows[name].to_numpy() for name in PRICES]

    def holds(block: slice) -> npt.NDArray[np.bool_]:
        opens, high, low, close = (price[block] for price in prices)
        return test(opens, high, low, close)

    return rows_where(len(rows), holds)


def _are_apart(opens: _Values, high: _Values, low: _Values, close: _Values) -> npt.NDArray[np.bool_]:
    """Whether the open, high or low is of another magnitude than the close."""
    apart = np.zeros(len(close), dtype=bool)
    for price in (opens, high, low):
        with np.errstate(all="ignore"):
            ratio = price / close
        apart |= (ratio > WIDEST) | (ratio < 1 / WIDEST)
    return apart


def _are_outside(opens: _Values, high: _Values, low: _Values, close: _Values) -> npt.NDArray[np.bool_]:
    """Whether the open or the close lies above the high or below the low."""
    return (np.fmax(opens, close) > high * (1 + MIXED)) | (np.fmin(opens, close) < low * (1 - MIXED))
