"""Evaluation of factor expressions on adjusted bars.

The numbers are those of Qlib 0.9.7; `docs/concepts/factor-engine.md` says within which bounds, and where Qlib is not
followed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cached_property

import numpy as np
import pandas as pd

from quant_pipeline.common.exceptions import FactorError
from quant_pipeline.common.progress import track
from quant_pipeline.common.tasks import places_elsewhere, run_tasks
from quant_pipeline.factors.expression.graph import build_graph
from quant_pipeline.factors.expression.program import Program, compile_graph
from quant_pipeline.factors.grid import Grid, lay_out
from quant_pipeline.factors.program_runner import Executor, cut_blocks
from quant_pipeline.factors.sorted_panel import sort_by_session
from quant_pipeline.market.calendar import as_sessions


class FactorPlan:
    """A compiled set of factors; runs without Qlib.

    Parameters
    ----------
    program
        What `compile_factors` makes.
    threads
        Number of threads; None takes one per core.
    """

    def __init__(self, program: Program, threads: int | None = None):
        self.program = program
        self.threads = threads

    @cached_property
    def _executor(self) -> Executor:
        return Executor(self.program, self.threads)

    def evaluate(
        self,
        grid: Grid,
        start: pd.Timestamp | None = None,
        end: pd.Timestamp | None = None,
        out: np.ndarray | None = None,
        *,
        divided: bool = False,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Compute the factors of all instruments.

        Parameters
        ----------
        grid
            The bars; its fields are those of the program, in order.
        start, end
            First and last wanted session.
        out
            float32 ``(factor, row)`` to write into; None allocates it.
        divided
            Whether blocks of instruments are tasks for the workers of the run, if it has any.

        Returns
        -------
        tuple
            Factors, float32 ``(factor, row)``, the rows of an instrument together; and the rows of the instruments, as
            `Grid.spans` gives them.

        Raises
        ------
        FactorError
            When ``out`` has another shape, type or layout than the result, or an expression names an instrument that
            has no bar.
        """
        unknown = sorted(self.program.other_instruments - set(grid.instruments))
        if unknown:
            raise FactorError(f"an expression reads {unknown[0]}, but the bars hold no such instrument")
        spans = grid.spans(start, end, self.program.back, together=self.program.joins_instruments)
        rows = int((spans[:, 3] - spans[:, 2]).sum())
        if out is None:
            out = np.empty((len(self.program.factors), rows), np.float32)
        elif out.shape != (len(self.program.factors), rows):
            raise FactorError(f"out must have the shape {(len(self.program.factors), rows)}, not {out.shape}")
        if rows and divided and self.program.is_divisible and (places := places_elsewhere()):
            self._run_elsewhere(grid, list(cut_blocks(spans, places)), out)
        elif rows:
            self._executor.run(grid, spans, out)
        return out, spans

    def _run_elsewhere(self, grid: Grid, blocks: list[np.ndarray], out: np.ndarray) -> None:
        computed = run_tasks(_compute_block, self.program, (grid.part(block) for block in blocks))
        for block, values in zip(blocks, track(computed, "computing factors", len(blocks)), strict=True):
            first = int(block[0, 4])
            out[:, first : first + values.shape[1]] = values

    def panel(
        self,
        adjusted_bars: pd.DataFrame,
        sessions: pd.DatetimeIndex,
        start: pd.Timestamp | None,
        end: pd.Timestamp | None,
        *,
        divided: bool = False,
    ) -> pd.DataFrame:
        """Compute the panel ``(datetime, instrument) × factor``; see `compute_factors`."""
        since, until = self._since(sessions, start), self._until(end)
        grid = lay_out(adjusted_bars, sessions, self.program.fields, since, until)
        return self._panel_of(grid, start, end, divided)

    def part(self, grid: Grid, start: pd.Timestamp, end: pd.Timestamp, *, divided: bool = False) -> pd.DataFrame:
        """Compute the panel of some sessions of bars that are laid out already; see `compute_factors`."""
        program = self.program
        if not program.other_instruments:
            grid = grid.cut(start, end, program.back, np.inf if program.ahead else 0)
        return self._panel_of(grid, start, end, divided)

    def _panel_of(
        self, grid: Grid, start: pd.Timestamp | None, end: pd.Timestamp | None, divided: bool
    ) -> pd.DataFrame:
        values, spans = self.evaluate(grid, start, end, divided=divided)
        return sort_by_session(values, spans, grid, self.program.factors, self._executor.threads)

    def _since(self, sessions: pd.DatetimeIndex, start: pd.Timestamp | None) -> pd.Timestamp | None:
        """Return the first session that a result from ``start`` on depends on; None when it is the whole history.

        Of an instrument that an expression names, it is the whole history, too: one that trades no more is missing,
        one that never traded is an error.
        """
        if start is None or np.isinf(self.program.back) or self.program.other_instruments:
            return None
        first = int(sessions.searchsorted(start)) - int(self.program.back)
        return sessions[first] if first > 0 else None

    def _until(self, end: pd.Timestamp | None) -> pd.Timestamp | None:
        """Return the last session that a result up to ``end`` depends on; None when it is the last of all."""
        return None if self.program.ahead > 0 or self.program.other_instruments else end


def compile_factors(
    expressions: Mapping[str, str], *, fields: Collection[str] | None = None, allow_future: bool = False
) -> FactorPlan:
    """Compile named expressions; what they have in common is computed once.

    Parameters
    ----------
    expressions
        Factor name to Qlib expression.
    fields
        Columns that the bars will have; None accepts every name.
    allow_future
        Whether an expression may look ahead. Labels may, features must not.

    Raises
    ------
    FactorError
        When an expression cannot be read or looks ahead without leave.
    """
    return FactorPlan(compile_graph(build_graph(expressions, fields, allow_future=allow_future)))


def compute_factors(
    adjusted_bars: pd.DataFrame,
    expressions: Mapping[str, str],
    sessions: pd.DatetimeIndex | pd.DataFrame,
    start: pd.Timestamp | None = None,
    end: pd.Timestamp | None = None,
    *,
    allow_future: bool = False,
    divided: bool = False,
) -> pd.DataFrame:
    """Evaluate expressions for every instrument and session.

    Parameters
    ----------
    adjusted_bars
        ``date``, ``instrument``, adjusted prices and volume, sorted by instrument and date.
    expressions
        Factor name to Qlib expression.
    sessions
        The trading calendar, as an index or as the catalog's table; a session without a bar between the first and last
        bar of an instrument is a missing value to the operators, as in Qlib.
    start, end
        First and last session of the result. Its values are the same bits as without them: of the history, everything
        is read that the expressions depend on, and nothing else.
    allow_future
        Whether an expression may look ahead. Labels may, features must not.
    divided
        Whether blocks of instruments are tasks for the workers of the run, if it has any. Expressions that compare
        instruments, or use operators of your own, are computed here all the same.

    Returns
    -------
    pandas.DataFrame
        Panel ``(datetime, instrument) × factor``, float32, sorted. A row depends on bars at or before its session
        only, unless the expression looks ahead.

    Raises
    ------
    FactorError
        When a feature looks ahead, or an expression cannot be read; the message names factor and position.
    """
    known = [column for column in adjusted_bars.columns if column not in ("date", "instrument")]
    plan = compile_factors(expressions, fields=known, allow_future=allow_future)
    return plan.panel(adjusted_bars, as_sessions(sessions), start, end, divided=divided)


def _compute_block(program: Program, block: tuple[Grid, np.ndarray]) -> np.ndarray:
    """Compute the factors of some instruments, on one core: a worker runs one task on each."""
    grid, spans = block
    out = np.empty((len(program.factors), int((spans[:, 3] - spans[:, 2]).sum())), np.float32)
    Executor(program, threads=1).run(grid, spans, out)
    return out
