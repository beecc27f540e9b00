"""Scores as sessions × instruments of a market, in one pass through them, compiled."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.common.compiled import kernel
from quant_pipeline.common.exceptions import StrategyError

_OUTSIDE: Final = -2
"""Row of a date that the sessions of a market do not reach; its scores are not used."""


def arrange_scores(scores: pd.Series, sessions: pd.DatetimeIndex, instruments: pd.Index) -> npt.NDArray[np.float64]:
    """Arrange scores; see `TradingMarket.score_matrix`."""
    # A label occurs in thousands of rows, and is looked up once. The last place is that of a missing label.
    (dates, names), codes = scores.index.levels, scores.index.codes
    rows = np.append(sessions.get_indexer(pd.DatetimeIndex(dates)), _OUTSIDE)
    rows[:-1][np.asarray((dates < sessions[0]) | (dates > sessions[-1]))] = _OUTSIDE
    columns = np.append(instruments.get_indexer(names), -1)
    date_codes, name_codes = (_read_only(each.astype(np.int32, copy=False)) for each in codes)
    matrix = np.full((len(sessions), len(instruments)), np.nan)
    values = _read_only(scores.to_numpy(dtype=np.float64))
    refused = _arrange(values, date_codes, name_codes, rows, columns, matrix, np.zeros(matrix.shape, dtype=np.bool_))
    if refused < 0:
        return matrix
    date, name = date_codes[refused], name_codes[refused]
    if rows[date] < 0:
        raise StrategyError(
            f"Scores are dated {dates[date].date()}, which is no session. Correct the prediction's dates."
        )
    if columns[name] < 0:
        raise StrategyError(
            f"Instrument {names[name] if name >= 0 else None} has scores but no bars. Remove it from the universe "
            "or add its bars."
        )
    raise StrategyError("A session scores an instrument twice. Keep one score per (datetime, instrument).")


@kernel
def _arrange(
    values: npt.NDArray[np.float64],
    date_codes: npt.NDArray[np.int32],
    name_codes: npt.NDArray[np.int32],
    rows: npt.NDArray[np.int64],
    columns: npt.NDArray[np.int64],
    matrix: npt.NDArray[np.float64],
    taken: npt.NDArray[np.bool_],
) -> int:
    """Write finite values to their cells; return the place of the first one that has none of its own, or -1."""
    for i in range(len(values)):
        row = rows[date_codes[i]]
        if row == _OUTSIDE:
            continue
        column = columns[name_codes[i]]
        if row < 0 or column < 0 or taken[row, column]:
            return i
        taken[row, column] = True
        if np.isfinite(values[i]):
            matrix[row, column] = values[i]
    return -1


def _read_only(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return an array in one piece that may not be written: kernels are compiled for either kind."""
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view
