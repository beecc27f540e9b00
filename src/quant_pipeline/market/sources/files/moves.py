"""Moves of prices that are no moves of a market: another unit, a typing error, a missing split."""

from __future__ import annotations

import numpy as np

from quant_pipeline.market.sources.files.draft import Draft

IMPOSSIBLE = np.log(20.0)
"""A close that is twenty times, or a twentieth, of the one before without an action is another unit or an error."""
SPIKE = np.log(3.0)
BACK = np.log(1.3)


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
