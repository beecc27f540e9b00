"""Rows of files in columns that many files share; a table of them is made where one is asked for.

A table for each of thousands of files costs more than reading them, and holds the lock of the interpreter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.common.cores import map_on_cores
from quant_pipeline.market.instrument_rows import repeated_names

MARKS = ("bad", "bad_price", "bad_action", "timed", "footer")
"""Columns that say what is wrong with a row, or that it is no bar."""


@dataclass(frozen=True, eq=False, slots=True)
class SharedRows:
    """Rows of a file of which nothing is wrong.

    Attributes
    ----------
    columns
        ``date`` and numbers of the rows of several files.
    start, stop
        Which of them are of this one.
    line
        Line of the first row in the file; the others follow one by one.
    instrument
        Of all rows.
    """

    columns: Mapping[str, npt.NDArray[Any]]
    start: int
    stop: int
    line: int
    instrument: str

    def __len__(self) -> int:
        """Return how many rows there are."""
        return self.stop - self.start


def table_of(parts: Sequence[SharedRows]) -> pd.DataFrame:
    """Return the rows of files with columns of the same names in one table, see `Reading.rows`."""
    counts = np.array([len(part) for part in parts])
    n_rows = int(counts.sum())
    spans = _joined(parts)
    names = list(parts[0].columns)

    def column(name: str) -> Any:
        if name == "line":
            return np.concatenate([np.arange(part.line, part.line + len(part), dtype=np.int64) for part in parts])
        if name == "instrument":
            return repeated_names([part.instrument for part in parts], counts)
        if name in names:
            return np.concatenate([own[name][first:end] for own, first, end in spans])
        return np.zeros(n_rows, dtype=bool)

    ordered = ["line", "date", *MARKS, *(name for name in names if name != "date"), "adjusted_row", "instrument"]
    # Threads are worth while for the rows of many files.
    made = map(column, ordered) if len(parts) == 1 else map_on_cores(column, ordered)
    return pd.DataFrame(dict(zip(ordered, made, strict=True)), copy=False)


def _joined(parts: Sequence[SharedRows]) -> list[tuple[Mapping[str, npt.NDArray[Any]], int, int]]:
    """Return columns with the first and the end of rows that follow one another in them."""
    follows = [one.columns is other.columns and one.stop == other.start for one, other in pairwise(parts)]
    firsts = [0, *(place for place, goes_on in enumerate(follows, start=1) if not goes_on)]
    ends = [*firsts[1:], len(parts)]
    return [
        (parts[first].columns, parts[first].start, parts[end - 1].stop)
        for first, end in zip(firsts, ends, strict=True)
    ]  # fmt: skip
