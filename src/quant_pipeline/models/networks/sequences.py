"""Windows of consecutive sessions, gathered from one array when a batch needs them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from quant_pipeline.models.fitted import Samples


class Windows:
    """The windows that end at the rows of some samples.

    The panel is kept once, sorted by instrument and session; a window is a slice of it, so memory does not grow with
    the length of the windows.

    Parameters
    ----------
    samples
        Rows to look back from.
    length
        Sessions of a window.

    Attributes
    ----------
    complete
        Whether each row has a whole window of its own instrument behind it.
    """

    def __init__(self, samples: Samples, length: int) -> None:
        codes = np.asarray(samples.features.index.codes)
        order = np.lexsort((codes[0], codes[1]))
        instrument = codes[1][order]
        place = np.empty(len(order), dtype=np.int64)
        place[order] = np.arange(len(order))
        first = np.append(True, instrument[1:] != instrument[:-1])
        start = np.maximum.accumulate(np.where(first, np.arange(len(order)), 0))
        self._values = samples.features.to_numpy(dtype=np.float32)[order]
        self._ends = place[samples.rows]
        self._steps = np.arange(1 - length, 1)
        self.complete = self._ends - start[self._ends] >= length - 1

    def gather(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Return the windows of some rows, ``(rows, steps, factors)``."""
        return self._values[self._ends[rows, None] + self._steps]
