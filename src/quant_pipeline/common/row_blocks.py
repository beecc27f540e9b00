"""Millions of rows in blocks: what lies between two steps of a calculation stays in the cache of the core."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

ROWS: Final = 1 << 16
"""Rows of a block: of a few arrays of eight bytes a row they fit into the cache of a core."""


def row_blocks(n_rows: int) -> Iterator[slice]:
    """Yield the blocks of some rows, one after the other."""
    for start in range(0, n_rows, ROWS):
        yield slice(start, min(start + ROWS, n_rows))
