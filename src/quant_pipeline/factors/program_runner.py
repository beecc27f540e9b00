"""Run a program over the bars of many instruments: blocks of instruments, one thread per core, bounded memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from quant_pipeline.common.cores import usable_cores
from quant_pipeline.factors.column_operations import Block, Memory, apply_operation
from quant_pipeline.factors.expression.program import Program, Stage
from quant_pipeline.factors.grid import Grid
from quant_pipeline.factors.kernels import entries
from quant_pipeline.factors.kernels.opcodes import SEGMENT

TILE_ROWS = 1600
"""Rows of a tile, when windows are short against it: the blocks of a chain then stay in the second-level cache."""
BLOCK_ROWS = 200_000
"""Rows that are computed at once; the columns between stages are this long."""
LINE_BYTES = 64


def allocate_space(program: Program, rows: int) -> tuple[Any, ...]:
    """Allocate the working memory of one thread for tiles of some rows."""
    sizes = program.sizes
    slots = sizes["slots"]
    return (
        _allocate((sizes["single"], rows), np.float32),
        _allocate((sizes["double"], rows), np.float64),
        _allocate((9, slots, rows)),
        _allocate((9, rows + 1)),
        _allocate((6, rows)),
        _allocate((2, slots, rows), np.float32),
        _allocate((2, slots, rows)),
        _allocate(rows, np.int64),
        _allocate((sizes["wires"], rows), np.float32),
        _allocate((2, rows)),
        _allocate((2, rows), np.int32),
        _allocate((3, rows + 2), np.int64),
    )


def _allocate(shape: int | tuple[int, ...], kind: type = np.float64) -> np.ndarray:
    """Allocate zeros that begin with a line of memory: what crosses lines is read and written at half the speed."""
    size = int(np.prod(shape)) * np.dtype(kind).itemsize
    room = np.zeros(size + LINE_BYTES, np.uint8)
    first = -room.ctypes.data % LINE_BYTES
    return room[first : first + size].view(kind).reshape(shape)


def tile_rows(program: Program) -> int:
    """Rows of a tile of a program: long against what its windows reach over, and whole lines of memory."""
    reach = max((stage.back + stage.ahead for stage in program.stages), default=0)
    rows = max(TILE_ROWS, 4 * reach)
    return rows + -rows % (LINE_BYTES // 4)


class Executor:
    """Runs a program; keeps the working memory of its threads.

    Parameters
    ----------
    program
        What to compute.
    threads
        Number of threads; None takes one per core.
    """

    def __init__(self, program: Program, threads: int | None = None):
        self.program = program
        self.threads = threads or usable_cores()
        self._rows = tile_rows(program)
        self._local = threading.local()

    def run(
        self,
        grid: Grid,
        spans: np.ndarray,
        output: np.ndarray,
        memory: Mapping[tuple[str, int], Memory] | None = None,
    ) -> None:
        """Compute the wanted rows of all instruments.

        Parameters
        ----------
        grid
            The bars; its fields are those of the program, in order.
        spans
            What `Grid.spans` gives.
        output
            float32 ``(factor, row)``; written in place.
        memory
            What a stream remembers; see `Block`.
        """
        blocks = [spans] if self.program.joins_instruments else list(cut_blocks(spans, self.threads))
        if self.threads == 1 or len(blocks) == 1:
            for block in blocks:
                self._run_block(grid, block, output, memory)
            return
        with ThreadPoolExecutor(self.threads) as pool:
            for _ in pool.map(lambda block: self._run_block(grid, block, output, memory), blocks):
                pass

    def _space(self) -> tuple[Any, ...]:
        if not hasattr(self._local, "space"):
            self._local.space = allocate_space(self.program, self._rows)
        return self._local.space

    def _run_block(self, grid: Grid, spans: np.ndarray, output: np.ndarray, memory: Mapping[Any, Any] | None) -> None:
        program = self.program
        first_row, last_row = int(spans[:, 0].min()), int(spans[:, 1].max())
        single = np.empty((program.singles, last_row - first_row), np.float32)
        double = np.empty((program.doubles, last_row - first_row))
        # The one layout that the machine is compiled for.
        fields = grid.fields[:, first_row:last_row].copy()
        rows = np.ascontiguousarray(spans - np.array([first_row] * 4 + [0] * 3))
        names = grid.instruments[spans[:, 5]]
        traded = grid.traded[first_row:last_row]
        wanted = spans[:, 3] > spans[:, 2]
        block = Block(rows[:, :2], spans[:, 6], names, grid.sessions, traded, memory, spans[:, 5], wanted)
        for number, stage in enumerate(program.stages):
            if len(stage.code):
                whole = number < len(program.stages) - 1
                tiles, segments = _cut_tiles(rows, stage, self._rows, whole)
                entries.run_stage(
                    stage.code, program.tables, tiles, segments, fields, (single, double), output, self._space()
                )
            for operation in stage.operations:
                apply_operation(operation, fields, (single, double), block)


def _cut_tiles(spans: np.ndarray, stage: Stage, size: int, whole: bool) -> tuple[np.ndarray, np.ndarray]:
    """Cut the rows of a block into tiles of some size; see `quant_pipeline.factors.kernels.tiles`."""
    lengths = spans[:, 1] - spans[:, 0] if whole else spans[:, 3] - spans[:, 2]
    most = int((lengths // (size - stage.back - stage.ahead) + 3).sum())
    tiles, segments, counts = np.empty((most, 3), np.int64), np.empty((most, SEGMENT), np.int64), np.empty(2, np.int64)
    entries.cut_tiles(spans, stage.back, stage.ahead, size, whole, tiles, segments, counts)
    return tiles[: counts[0]], segments[: counts[1]]


def cut_blocks(spans: np.ndarray, places: int) -> Iterator[np.ndarray]:
    """Cut the instruments into blocks of about the same size, as many for each of the places to run them in.

    They have about `BLOCK_ROWS` rows at most.
    """
    rows = np.cumsum(spans[:, 1] - spans[:, 0])
    rounds = -(-int(rows[-1]) // (BLOCK_ROWS * places))
    cuts = np.searchsorted(rows, np.linspace(0, rows[-1], rounds * places + 1)[1:], side="left") + 1
    left = 0
    for right in np.unique(np.append(np.minimum(cuts, len(spans)), len(spans))):
        if right > left:
            yield spans[left:right]
        left = right
