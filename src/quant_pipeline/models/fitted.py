"""What every algorithm shares: the data it learns from and the shape of a fitted model."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.models.panels import FeaturePanel, Features, as_panel, blocks_of, rows_of_windows

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Samples:
    """Rows to learn from or to score.

    Attributes
    ----------
    panel
        Processed features of all sessions that are needed, ``(datetime, instrument) × factor``, float32, sorted: a
        table, or a panel of which blocks are read. A sequence model looks back within it.
    rows
        Positions in the panel of the rows to use.
    labels
        Label of each of these rows, cross-sectionally ranked; empty when scoring.
    shared
        What an algorithm has made of these samples and may use again, when several trainings share them; None when
        they do not.
    """

    panel: Features
    rows: npt.NDArray[np.int64]
    labels: npt.NDArray[np.float32]
    shared: MutableMapping[str, Any] | None = field(default=None, compare=False)

    @property
    def features(self) -> pd.DataFrame:
        """The whole panel as one table."""
        return self._source.read()

    @property
    def factors(self) -> list[str]:
        """Names of the columns."""
        return list(self.panel.columns)

    @property
    def index(self) -> pd.MultiIndex:
        """Session and instrument of each row."""
        return self.panel.index[self.rows]

    @property
    def sessions(self) -> npt.NDArray[np.int64]:
        """Session code of each row."""
        return self.panel.index.codes[0][self.rows].astype(np.int64)

    @property
    def values(self) -> Floats:
        """Features of the rows in one array."""
        values = np.empty((len(self.rows), len(self.factors)), dtype=np.float32)
        for part, block in self.blocks():
            values[part] = block
        return values

    @property
    def values_by_factor(self) -> Floats:
        """Features of the rows in one array ``(factor, row)``, which is how panels lie in files."""
        values = np.empty((len(self.factors), len(self.rows)), dtype=np.float32)
        for part, piece in self._pieces():
            piece.take_into(values[:, part])
        return values

    def kept(self) -> Samples:
        """Return the same samples for several trainings, which share what is made of them."""
        return replace(self, shared={})

    def parts(self) -> Iterator[slice]:
        """Yield the places of rows that are read together: those of some whole sessions after the others."""
        if len(self.rows) == 0:
            return
        if (np.diff(self.rows) <= 0).any():
            yield slice(0, len(self.rows))
            return
        for block in blocks_of(self._source, rows_of_windows(self._source, self.rows, 1)):
            first, end = np.searchsorted(self.rows, [block.start, block.stop])
            if end > first:
                yield slice(int(first), int(end))

    def blocks(self) -> Iterator[tuple[slice, Floats]]:
        """Yield the places of some rows after the others, and their features.

        However large a panel is, no more than a block of it is in memory, unless it lies there anyway.
        """
        for part in self.parts():
            yield part, self.values_of(part)

    def values_of(self, part: slice) -> Floats:
        """Return the features of rows, by their places among the rows."""
        rows = self.rows[part]
        needed = rows_of_windows(self._source, rows, 1)
        return self._source.read(needed).to_numpy(dtype=np.float32)[rows - needed.start]

    @cached_property
    def _source(self) -> FeaturePanel:
        """Which remembers where its sessions begin: a block looks that up, and does not compare all rows for it."""
        return as_panel(self.panel)

    def batches(self, size: int) -> Iterator[Batch]:
        """Yield all rows, always as many at once, and the rest at the end: sums of batches are the same everywhere.

        A block of the panel is read here, and what a batch takes of it by who asks for its values.
        """
        done, filled, pieces = 0, 0, list[_Piece]()
        for _, (factors, rows) in self._pieces():
            used = 0
            while used < len(rows):
                count = min(len(rows) - used, size - filled)
                pieces.append(_Piece(factors, rows[used : used + count]))
                used, filled = used + count, filled + count
                if filled == size:
                    yield Batch(slice(done, done + size), pieces)
                    done, filled, pieces = done + size, 0, []
        if filled:
            yield Batch(slice(done, done + filled), pieces)

    def _pieces(self) -> Iterator[tuple[slice, _Piece]]:
        """Yield the places of some rows after the others, and where their features are."""
        for part in self.parts():
            needed = rows_of_windows(self._source, self.rows[part], 1)
            factors = self._source.read(needed).to_numpy(dtype=np.float32).T
            yield part, _Piece(factors, self.rows[part] - needed.start)


class _Piece(NamedTuple):
    """Rows of a block of features ``(factor, row)``."""

    factors: Floats
    rows: npt.NDArray[np.int64]

    def take_into(self, values: Floats) -> None:
        """Copy the features of the rows, ``(factor, row)``."""
        for column, into in zip(self.factors, values, strict=True):
            np.take(column, self.rows, out=into, mode="clip")  # Without a buffer between, as there is for "raise".


class Batch(NamedTuple):
    """Some rows after the others: their places among all, and where their features are."""

    places: slice
    pieces: list[_Piece]

    def values(self) -> Floats:
        """Return features ``(factor, row)``; rows that follow one another in a block are not copied."""
        factors, rows = self.pieces[0]
        if len(self.pieces) == 1 and (np.diff(rows) == 1).all():
            return factors[:, rows[0] : rows[-1] + 1]
        values = np.empty((len(factors), self.places.stop - self.places.start), dtype=np.float32)
        first = 0
        for piece in self.pieces:
            end = first + len(piece.rows)
            piece.take_into(values[:, first:end])
            first = end
        return values


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
