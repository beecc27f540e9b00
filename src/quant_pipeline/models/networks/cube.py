"""A panel as one array by session and instrument; what a network reads is a slice of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.common.exceptions import ModelError
from quant_pipeline.models.fitted import Samples

FEW_ENOUGH_TO_SELECT = 0.9
"""Share of instruments below which those that are needed are copied out instead of computing all."""


@dataclass(frozen=True)
class Block:
    """Consecutive sessions, and what is to be learned from the last of them.

    Attributes
    ----------
    inputs
        Factors, ``(window - 1 + sessions, instruments, factors)``.
    labels
        ``(sessions, instruments)``; NaN where nothing is to be learned.
    present
        Whether an instrument is among the rows with a whole window behind it, ``(sessions, instruments)``.
    first
        Session of the first label, as a place in the cube.
    columns
        Places of the instruments in the cube.
    """

    inputs: npt.NDArray[np.float32]
    labels: npt.NDArray[np.float32]
    present: npt.NDArray[np.bool_]
    first: int
    columns: slice | npt.NDArray[np.int64]


class SessionCube:
    """Features of consecutive sessions as one array ``(sessions, instruments, factors)``.

    A row of the panel is kept once, however long the windows are: windows and blocks of sessions are views.

    Parameters
    ----------
    features
        Panel ``(datetime, instrument) × factor``, sorted, without missing values.
    rows
        Places of the rows to learn from or to score; only their instruments and sessions, and the sessions that their
        windows need, are kept.
    window
        Sessions of a window.

    Attributes
    ----------
    values
        The array; zero where an instrument has no row.
    complete
        Whether an instrument has a whole window behind it, ``(sessions, instruments)``.
    scored
        Whether it has one and is among the rows: the cross-section that a network sees which looks across instruments,
        in training as when it scores.

    Raises
    ------
    ModelError
        When a feature is missing or infinite: a network cannot compute with it.
    """

    def __init__(self, features: pd.DataFrame, rows: npt.NDArray[np.int64], window: int) -> None:
        self.window = window
        session, instrument = (np.asarray(codes, dtype=np.int64) for codes in features.index.codes)
        known = np.unique(session)
        session = np.searchsorted(known, session)
        first = max(int(session[rows].min(initial=len(known))) - window + 1, 0)
        last = int(session[rows].max(initial=-1))
        column = np.full(len(features.index.levels[1]), -1)
        wanted = np.unique(instrument[rows])
        column[wanted] = np.arange(len(wanted))
        inside = (session >= first) & (session <= last) & (column[instrument] >= 0)
        self._session, self._column = session - first, column[instrument]
        shape = (max(last - first + 1, 0), len(wanted))
        index = (self._session[inside], self._column[inside])
        self.values = np.zeros((*shape, features.shape[1]), dtype=np.float32)
        self.values[index] = features.to_numpy(dtype=np.float32)[inside]
        if not np.isfinite(self.values).all():
            raise ModelError(
                "a network cannot read missing or infinite features; add the processor `fill` to the model"
            )
        present = np.zeros(shape, dtype=bool)
        present[index] = True
        self.complete = _run_lengths(present) >= window
        asked = np.zeros(shape, dtype=bool)
        asked[self.locate(rows)] = True
        self.scored = self.complete & asked

    def locate(self, rows: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return session and instrument of rows as places in the cube."""
        return self._session[rows], self._column[rows]

    def labels(self, samples: Samples) -> npt.NDArray[np.float32]:
        """Lay the labels of samples out as ``(sessions, instruments)``; NaN where nothing can be learned."""
        table = np.full(self.complete.shape, np.nan, dtype=np.float32)
        table[self.locate(samples.rows)] = samples.labels
        table[~self.complete] = np.nan
        return table

    def windows(self, sessions: npt.NDArray[np.int64], columns: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Return the windows that end at some places, ``(window, places, factors)``."""
        steps = np.arange(1 - self.window, 1)[:, None]
        return self.values[sessions + steps, columns]

    def blocks(
        self, labels: npt.NDArray[np.float32], size: int, shuffle: np.random.Generator | None = None
    ) -> Iterator[Block]:
        """Cut the sessions that have labels into blocks.

        Parameters
        ----------
        labels
            As `labels` returns them.
        size
            Sessions with labels in a block.
        shuffle
            Where the cuts lie and the order of the blocks; without it they come in the order of time.

        Yields
        ------
        Block
            Every label is in one block; its inputs are a view unless few of the instruments are needed.
        """
        with_label = np.flatnonzero(np.isfinite(labels).any(axis=1))
        if len(with_label) == 0:
            return
        first, end = int(with_label[0]), int(with_label[-1]) + 1
        starts = np.arange(first, end, size)
        if shuffle is not None:
            # Other cuts in every epoch: a session is not always the one with the shortest past.
            starts = shuffle.permutation(np.arange(first - int(shuffle.integers(size)), end, size))
        for start in starts:
            block = self._block(labels, max(int(start), first), min(int(start) + size, end))
            if block is not None:
                yield block

    def _block(self, labels: npt.NDArray[np.float32], start: int, end: int) -> Block | None:
        wanted = np.flatnonzero(np.isfinite(labels[start:end]).any(axis=0))
        if len(wanted) == 0:
            return None
        inputs = self.values[start - self.window + 1 : end]
        columns = slice(None) if len(wanted) > FEW_ENOUGH_TO_SELECT * inputs.shape[1] else wanted
        return Block(inputs[:, columns], labels[start:end, columns], self.scored[start:end, columns], start, columns)


def _run_lengths(present: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Count, for every session, the sessions without a gap up to it."""
    index = np.arange(1, len(present) + 1)[:, None]
    last_gap = np.maximum.accumulate(np.where(present, 0, index), axis=0)
    return index - last_gap
