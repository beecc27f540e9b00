"""A panel behind the processors of a model, processed when it is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from quant_pipeline.common.cores import map_on_cores
from quant_pipeline.common.memory import usable_memory
from quant_pipeline.factors.feature_sets import TRADED
from quant_pipeline.factors.processors import ProcessorChain
from quant_pipeline.factors.processors.chain import PIECE, ChainPart
from quant_pipeline.models.panels import Digests, FeaturePanel, MakeDigests, Places, blocks_of, columns_of

KEPT_SHARE: Final = 0.25
"""Part of the usable memory up to which features are kept in one array; larger ones are read block by block."""


def fits_in_memory(rows: int, columns: int) -> bool:
    """Return whether features in single precision may be kept in one array."""
    return rows * columns * np.dtype(np.float32).itemsize <= KEPT_SHARE * usable_memory()


class ProcessedPanel:
    """Features behind fitted processors, see `FeaturePanel`.

    Parameters
    ----------
    panel
        Unprocessed features; their columns are those that the processors need.
    chain
        Fitted processors.
    several_passes
        Whether the rows are read more than once: what is processed is then kept, if the memory allows.
    """

    def __init__(self, panel: FeaturePanel, chain: ProcessorChain, *, several_passes: bool = False) -> None:
        self._panel, self._chain = panel, chain
        self.index, self.seams = panel.index, panel.seams
        self.columns = panel.columns.drop(TRADED, errors="ignore")
        self._kept: pd.DataFrame | None = None
        fits = fits_in_memory(len(self.index), len(self.columns))
        self._is_to_be_kept = several_passes and chain.changes and fits

    @property
    def attrs(self) -> Mapping[Any, Any]:
        """Of the unprocessed panel."""
        return self._panel.attrs

    @property
    def starts(self) -> Places | None:
        """Of the unprocessed panel."""
        return self._panel.starts

    def digests(self, rows: slice, names: Sequence[str | None], make: MakeDigests) -> Digests:
        """Return digests; none are kept, as they depend on what the processors have learned."""
        return make(names)

    def read(self, rows: slice | None = None, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return processed rows, which are whole sessions; see `FeaturePanel.read`."""
        if self._kept is None and self._is_to_be_kept:
            self._kept = self._process()
        if self._kept is not None:
            table = self._kept if rows is None else self._kept.iloc[rows]
        else:
            table = self._process() if rows is None else self._process_rows(rows)
        return table if columns is None else columns_of(table, list(columns))

    def _process(self) -> pd.DataFrame:
        return self._process_rows(slice(0, len(self.index)))

    def _process_rows(self, rows: slice) -> pd.DataFrame:
        """Process rows into one array, some whole sessions and factors after the others."""
        if not self._chain.changes:
            return self._chain.transform(self._panel.read(rows))
        values = np.empty((len(self.columns), rows.stop - rows.start), dtype=np.float32)

        def process(piece: tuple[slice, ChainPart]) -> None:
            block, part = piece
            into = values[part.places, block.start - rows.start : block.stop - rows.start]
            part.chain.transform(self._panel.read(block, part.columns), into)

        # Each core reads what it processes: it waits for no other one, and what it has read is still in its cache.
        map_on_cores(process, ((block, part) for block in blocks_of(self._panel, rows) for part in self._parts(block)))
        return pd.DataFrame(values.T, index=self.index[rows], columns=self.columns, copy=False)

    def _parts(self, block: slice) -> list[ChainPart]:
        """Divide the factors of a block; rows that have to be sorted first are sorted once."""
        columns = list(self._panel.columns)
        width = len(columns) if self.starts is None else max(PIECE // max(block.stop - block.start, 1), 1)
        return self._chain.parts(columns, width)
