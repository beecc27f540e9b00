"""Information coefficients: how well scores order the returns that follow, session by session."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.common.cores import map_on_cores
from quant_pipeline.common.exceptions import ModelError
from quant_pipeline.evaluation.performance import sample_deviation
from quant_pipeline.factors.label_lookup import is_unique, labels_of_rows
from quant_pipeline.factors.session_rows import SessionRows

Values = npt.NDArray[np.float64]

SMALLEST_CROSS_SECTION = 3
"""Instruments below which a session has no coefficient."""
PAIRS_AT_ONCE: Final = 2**16
"""Pairs that are correlated together, unless one session has more: what lies between stays in the cache of a core."""


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
        for rows, what in ((index, "scores"), (labels.index, "labels")):
            if rows.names[0] == "instrument":
                raise ModelError(f"{what} are indexed (instrument, datetime); index them (datetime, instrument)")
        found = labels if labels.index is index else labels_of_rows(index, labels)
        if not is_unique(index):
            twice = index[index.duplicated()][0]
            raise ModelError(f"{twice[1]} has two scores on {twice[0]:%Y-%m-%d}; give each instrument one in a session")
        label, days = found.to_numpy(dtype=np.float64, na_value=np.nan), index.codes[0]
        places = np.flatnonzero((days >= 0) & ~np.isnan(label))
        if (np.diff(days[places]) < 0).any():
            places = places[np.argsort(days[places], kind="stable")]
        self._index = index
        self._parts = [
            _LabelledSessions(places[rows], index[places[rows]], label[places[rows]])
            for rows in _whole_sessions(days[places])
        ]

    def prepare(self) -> None:
        """Compute what depends on labels alone, on all cores, before threads ask for it and wait for each other."""
        map_on_cores(_LabelledSessions.prepare, self._parts)

    def coefficients(self, scores: pd.Series) -> pd.DataFrame:
        """Return the `information_coefficients` of scores of these rows."""
        return self._measure(scores, {"ic": _LabelledSessions.correlate, "rank_ic": _LabelledSessions.correlate_ranks})

    def rank_coefficients(self, scores: pd.Series) -> pd.Series:
        """Return the ``rank_ic`` of the `information_coefficients` of scores of these rows."""
        return self._measure(scores, {"rank_ic": _LabelledSessions.correlate_ranks})["rank_ic"]

    def _measure(
        self, scores: pd.Series, measures: Mapping[str, Callable[[_LabelledSessions, Values], Values]]
    ) -> pd.DataFrame:
        values, sessions = scores.to_numpy(dtype=np.float64, na_value=np.nan), []
        columns: dict[str, list[Values]] = {name: [] for name in measures}
        for part in self._parts:
            score, scored = values[part.places], part
            if np.isnan(score).any():
                known = np.flatnonzero(~np.isnan(score))
                score, scored = score[known], part.of_rows(known)
            sessions.append(scored.sessions)
            for name, measure in measures.items():
                columns[name].append(measure(scored, score))
        days = self._index.levels[0][np.concatenate(sessions)].rename("datetime")
        return pd.DataFrame({name: np.concatenate(found) for name, found in columns.items()}, index=days).sort_index()


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
    known = coefficients.dropna()
    mean, deviation = known.mean(), known.apply(sample_deviation)
    ratio = mean / deviation.where(deviation > 0)
    return {
        "ic": float(mean["ic"]),
        "icir": float(ratio["ic"]),
        "rank_ic": float(mean["rank_ic"]),
        "rank_icir": float(ratio["rank_ic"]),
        "positive_share": float((known["rank_ic"] > 0).mean()),
        "sessions": len(known),
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


class _LabelledSessions:
    """Labels of some whole sessions, in the order of these, and the places of their rows among the scores."""

    def __init__(self, places: npt.NDArray[np.intp], index: pd.MultiIndex, label: Values) -> None:
        self.places, self._index, self._label = places, index, label
        self._rows = SessionRows(index)
        self._starts, self._counts = self._rows.starts[:-1], np.diff(self._rows.starts)

    @property
    def sessions(self) -> npt.NDArray[np.int64]:
        """Their numbers in the index."""
        return self._rows.codes[self._starts]

    def prepare(self) -> None:
        """Compute what depends on labels alone."""
        _ = self._centred, self._centred_ranks

    def of_rows(self, rows: npt.NDArray[np.intp]) -> _LabelledSessions:
        """Return some of the rows."""
        return _LabelledSessions(self.places[rows], self._index[rows], self._label[rows])

    def correlate(self, score: Values) -> Values:
        """Return Pearson's coefficient of each session."""
        return self._correlate(self._centre(score), self._centred)

    def correlate_ranks(self, score: Values) -> Values:
        """Return Spearman's coefficient of each session."""
        return self._correlate(self._centre(self._rows.rank(score)), self._centred_ranks)

    @cached_property
    def _centred(self) -> _Centred:
        return self._centre(self._label)

    @cached_property
    def _centred_ranks(self) -> _Centred:
        return self._centre(self._rows.rank(self._label))

    def _centre(self, values: Values) -> _Centred:
        with np.errstate(invalid="ignore", over="ignore"):  # A session with an infinite value has no coefficient.
            centred = values - np.repeat(np.add.reduceat(values, self._starts) / self._counts, self._counts)
            return _Centred(centred, np.add.reduceat(centred**2, self._starts))

    def _correlate(self, score: _Centred, label: _Centred) -> Values:
        with np.errstate(invalid="ignore", over="ignore"):
            cross = np.add.reduceat(score.values * label.values, self._starts)
            spread = np.sqrt(score.squares * label.squares)
        is_known = (self._counts >= SMALLEST_CROSS_SECTION) & (spread > 0)
        return np.divide(cross, spread, out=np.full(len(cross), np.nan), where=is_known)


class _Centred(NamedTuple):
    """Values without the mean of their session, and the sum of their squares in each session."""

    values: Values
    squares: Values


def _whole_sessions(days: npt.NDArray[np.integer[Any]]) -> Iterator[slice]:
    """Yield the rows of some sessions after the others, given the session of each row; one part where there is none."""
    begins = np.flatnonzero(np.diff(days, prepend=-1))
    firsts = begins[np.flatnonzero(np.diff(begins // PAIRS_AT_ONCE)) + 1]
    for first, end in pairwise([0, *firsts.tolist(), len(days)]):
        yield slice(first, end)
