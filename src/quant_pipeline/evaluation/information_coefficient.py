"""Information coefficients: how well scores order the returns that follow, session by session."""

from __future__ import annotations

from functools import cached_property
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.common.cores import map_on_cores, usable_cores
from quant_pipeline.evaluation.performance import sample_deviation
from quant_pipeline.factors.kernels import entries
from quant_pipeline.factors.label_lookup import labels_of_rows, require_rows
from quant_pipeline.factors.session_rows import sorting_space

Values = npt.NDArray[np.float64]

PAIRS_AT_ONCE: Final = 2**16
"""Pairs below which no second core takes part."""
_WORK_ROWS: Final = 3
"""Room of `kernels.correlation.correlate_in_sessions`, in longest sessions."""
_MEASURES: Final = 3
"""Numbers that `kernels.correlation.measure_in_sessions` writes of a session."""


def information_coefficients(scores: pd.Series, labels: pd.Series) -> pd.DataFrame:
    """Correlate scores and labels within every session.

    Parameters
    ----------
    scores
        Indexed ``(datetime, instrument)``, known after the close of ``datetime``.
    labels
        Realised returns on the same kind of index. They are known only later: a coefficient is a verdict on the past,
        never an input of the decision of its own session.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``datetime``: ``ic`` (Pearson) and ``rank_ic`` (Spearman, ties averaged). Pairs with a missing value
        are left out; sessions with fewer than three pairs, or a constant side, are missing values or absent.

    Raises
    ------
    ModelError
        As `LabelledRows`.
    """
    return LabelledRows(scores.index, labels).coefficients(scores)


def rank_information_coefficients(scores: pd.Series, labels: pd.Series) -> pd.Series:
    """Return the ``rank_ic`` of `information_coefficients` alone, for those that ask for it again and again."""
    return LabelledRows(scores.index, labels).rank_coefficients(scores)


class LabelledRows:
    """The labels of some rows, with which the scores of several models are correlated.

    What depends on labels alone is computed once, when it is asked for; threads may share it.

    Parameters
    ----------
    index
        Of the scores, ``(datetime, instrument)``.
    labels
        As of `information_coefficients`.

    Raises
    ------
    ModelError
        When a row has two scores or two labels, or an index has its levels in another order.
    """

    def __init__(self, index: pd.MultiIndex, labels: pd.Series) -> None:
        require_rows(index, "score")
        found = labels if labels.index is index else labels_of_rows(index, labels)
        label, (days, instruments) = found.to_numpy(dtype=np.float64, na_value=np.nan), index.codes
        places = np.flatnonzero((days >= 0) & (instruments >= 0) & ~np.isnan(label))
        days = days[places]
        if (days[1:] < days[:-1]).any():
            order = np.argsort(days, kind="stable")
            places, days = places[order], days[order]
        begins = np.flatnonzero(np.append(True, days[1:] != days[:-1])[: len(days)])
        self._index, self._places, self._labels, self._sessions = index, places, label[places], days[begins]
        self._starts = np.append(begins, len(days)).astype(np.int64)
        self._longest = int(np.diff(self._starts).max(initial=0))

    def prepare(self) -> None:
        """Compute what depends on labels alone, on all cores, before threads ask for it and wait for each other."""
        _ = self._measured

    def coefficients(self, scores: pd.Series) -> pd.DataFrame:
        """Return the `information_coefficients` of scores of these rows."""
        values = scores.to_numpy(dtype=np.float64, na_value=np.nan).take(self._places)
        bits, pairs, measured = values.view(np.uint64), np.empty(len(self._sessions), dtype=np.int64), self._measured
        found = {name: np.empty(len(self._sessions)) for name in ("ic", "rank_ic")}

        def correlate(share: slice) -> None:
            work, distances = np.empty((_WORK_ROWS, self._longest)), np.empty(self._longest, dtype=np.int32)
            space = sorting_space(self._longest), work, work.view(np.uint64), distances
            labels = self._labels, measured.distances, measured.measures[share]
            written = pairs[share], found["ic"][share], found["rank_ic"][share]
            entries.correlate_in_sessions(values, bits, labels, self._starts_of(share), space, *written)

        map_on_cores(correlate, _shares_of(self._starts))
        days = self._index.levels[0][self._sessions].rename("datetime")
        return pd.DataFrame(found, index=days)[pairs > 0].sort_index()

    def rank_coefficients(self, scores: pd.Series) -> pd.Series:
        """Return the ``rank_ic`` of the `information_coefficients` of scores of these rows."""
        return self.coefficients(scores)["rank_ic"]

    @cached_property
    def _measured(self) -> _Measured:
        distances = np.empty(len(self._labels), dtype=np.int32)
        found, bits = _Measured(distances, np.empty((len(self._sessions), _MEASURES))), self._labels.view(np.uint64)

        def measure(share: slice) -> None:
            space = sorting_space(self._longest), np.empty(self._longest)
            written = distances, found.measures[share]
            entries.measure_in_sessions(self._labels, bits, self._starts_of(share), space, *written)

        map_on_cores(measure, _shares_of(self._starts))
        return found

    def _starts_of(self, share: slice) -> npt.NDArray[np.int64]:
        return self._starts[share.start : share.stop + 1]


class _Measured(NamedTuple):
    """What `kernels.correlation.measure_in_sessions` writes."""

    distances: npt.NDArray[np.int32]
    measures: Values


def summarise(coefficients: pd.DataFrame) -> dict[str, float]:
    """Summarise the coefficients of many sessions.

    Parameters
    ----------
    coefficients
        As returned by `information_coefficients`.

    Returns
    -------
    dict
        ``ic``, ``rank_ic``: means. ``icir``, ``rank_icir``: mean over standard deviation (one degree of freedom), not
        annualised; NaN where nothing varies. ``positive_share``: part of sessions with a positive rank IC.
        ``sessions``: how many sessions count. How sure the mean is depends on the horizon of the labels, see
        `rank_ic_t`.
    """
    values = {name: coefficients[name].to_numpy(dtype=np.float64) for name in ("ic", "rank_ic")}
    is_known = ~(np.isnan(values["ic"]) | np.isnan(values["rank_ic"]))
    known = {name: each[is_known] for name, each in values.items()}
    is_any, nan = bool(is_known.any()), float("nan")
    mean = {name: float(each.mean()) if is_any else nan for name, each in known.items()}
    deviation = {name: sample_deviation(each) for name, each in known.items()}
    ratio = {name: mean[name] / deviation[name] if deviation[name] > 0 else nan for name in mean}
    return {
        "ic": mean["ic"],
        "icir": ratio["ic"],
        "rank_ic": mean["rank_ic"],
        "rank_icir": ratio["rank_ic"],
        "positive_share": float((known["rank_ic"] > 0).mean()) if is_any else nan,
        "sessions": int(np.count_nonzero(is_known)),
    }


def rank_ic_t(coefficients: pd.DataFrame, horizon: int) -> float:
    """Compute the t statistic of the mean rank IC against zero, with Newey-West errors.

    Labels of a horizon above one overlap, so that neighbouring sessions repeat each other; with errors of independent
    sessions the t would be too large by about the root of the horizon.

    Parameters
    ----------
    coefficients
        As returned by `information_coefficients`.
    horizon
        Horizon of the labels, in sessions.

    Returns
    -------
    float
        NaN with fewer than 20 sessions or ten horizons, or when nothing varies.
    """
    # Imported when it is computed: what describes models reads this module, and needs no scipy.
    from quant_pipeline.evaluation.standard_errors import newey_west_t

    return newey_west_t(coefficients["rank_ic"].to_numpy(dtype="float64"), horizon)


def _shares_of(starts: npt.NDArray[np.int64]) -> list[slice]:
    """Divide sessions among the cores that there are, given the first row of each and the number of rows."""
    pairs = int(starts[-1])
    count = min(usable_cores(), pairs // PAIRS_AT_ONCE + 1)
    ends = np.searchsorted(starts, np.arange(1, count) * pairs // count).tolist()
    return [slice(first, end) for first, end in pairwise([0, *ends, len(starts) - 1])]
