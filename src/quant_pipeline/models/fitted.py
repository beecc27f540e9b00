"""What every algorithm shares: the data it learns from and the shape of a fitted model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd


@dataclass(frozen=True)
class Samples:
    """Rows to learn from or to score.

    Attributes
    ----------
    features
        Processed features of all sessions that are needed, panel ``(datetime, instrument) × factor``, float32, sorted;
        a sequence model looks back within it.
    rows
        Positions in ``features`` of the rows to use.
    labels
        Label of each of these rows, cross-sectionally ranked; empty when scoring.
    """

    features: pd.DataFrame
    rows: npt.NDArray[np.int64]
    labels: npt.NDArray[np.float32]

    @property
    def values(self) -> npt.NDArray[np.float32]:
        """Features of the rows."""
        return self.features.to_numpy(dtype=np.float32)[self.rows]

    @property
    def sessions(self) -> npt.NDArray[np.int64]:
        """Session code of each row."""
        return self.features.index.codes[0][self.rows].astype(np.int64)


def rows_of_windows(index: pd.MultiIndex, rows: npt.NDArray[np.int64], sessions: int) -> slice:
    """Return the stretch of a panel that some of its rows depend on: their sessions and those just before, whole.

    Parameters
    ----------
    index
        Index of the panel, ``(datetime, instrument)``; of one that is not sorted everything is needed.
    rows
        Positions of the rows.
    sessions
        Sessions that a row reads, its own included.
    """
    days, levels = index.codes[0], index.levels[0]
    if len(rows) == 0 or not levels.is_monotonic_increasing or (np.diff(days) < 0).any():
        return slice(0, len(days))
    present = np.flatnonzero(np.diff(days, prepend=days[0] - 1))
    first = np.searchsorted(present, rows.min(), side="right") - sessions
    last = np.searchsorted(present, rows.max(), side="right")
    return slice(int(present[max(first, 0)]), int(present[last]) if last < len(present) else len(days))


def columns_of(features: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Return columns of a panel; those that lie beside each other in it are not copied."""
    places = features.columns.get_indexer(names)
    if len(places) and places[0] >= 0 and (np.diff(places) == 1).all():
        return features.iloc[:, places[0] : places[-1] + 1]
    return features[names]


class FittedModel(Protocol):
    """A fitted model without its processors.

    It may have two more attributes, which a bundle keeps: ``curve`` (``step``, ``metric``, ``value``: what was measured
    while learning, see `learning_curve`) and ``importance`` (``factor``, ``importance``, most important first, see
    `importance_table`).
    """

    def predict(self, samples: Samples) -> npt.NDArray[np.float64]:
        """Score rows; a row that cannot be scored is NaN."""
        ...

    def weights(self) -> dict[str, bytes]:
        """Return the files, by name, from which the model can be made again."""
        ...


def learning_curve(rows: list[tuple[int, str, float]]) -> pd.DataFrame:
    """Make the table of a learning curve."""
    table = pd.DataFrame(rows, columns=["step", "metric", "value"])
    return table.astype({"step": "int64", "metric": "str", "value": "float64"})


def metrics_curve(seen: dict[str, dict[str, list[float]]]) -> pd.DataFrame:
    """Make the table of a learning curve from the metrics of each step: segment to metric to values."""
    return learning_curve(
        [
            (step, f"{segment}_{metric.lower()}", value)
            for segment, metrics in seen.items()
            for metric, values in metrics.items()
            for step, value in enumerate(values, start=1)
        ]
    )


def importance_table(factors: list[str], importance: npt.ArrayLike) -> pd.DataFrame:
    """Make the table of feature importance, most important first."""
    table = pd.DataFrame(
        {"factor": pd.array(factors, dtype="str"), "importance": np.asarray(importance, dtype=np.float64)}
    )
    return table.sort_values("importance", key=np.abs, ascending=False, kind="stable", ignore_index=True)
