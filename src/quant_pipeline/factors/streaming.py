"""Factors bar by bar: one call per session, from a state that can be kept.

The state of an instrument is its last bars, as many as the longest window reaches back, and a few numbers for every
measure of the whole history. The values are those of the batch, bit for bit: both run the same program.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from quant_pipeline.common.exceptions import FactorError
from quant_pipeline.factors.array_file import write_arrays
from quant_pipeline.factors.column_operations import Memory, is_carried
from quant_pipeline.factors.engine import FactorPlan
from quant_pipeline.factors.expression.traded_fields import columns_of, values_of
from quant_pipeline.factors.grid import Grid
from quant_pipeline.factors.kernels.histories import STATE
from quant_pipeline.factors.program_runner import Executor
from quant_pipeline.factors.sorted_panel import PANEL_INDEX

_CHANGING = frozenset(("_instruments", "_places", "_bars", "_traded", "_ages", "_gone", "_sessions"))
"""What a session changes of a stream, beside its memory."""


class FactorStream:
    """Factors of the newest session.

    Parameters
    ----------
    plan
        What to compute; it must not look ahead.

    Raises
    ------
    FactorError
        When the plan looks ahead.
    """

    def __init__(self, plan: FactorPlan):
        program = plan.program
        if program.ahead > 0:
            raise FactorError("a stream knows no future: the plan looks ahead; compute labels with compute_factors")
        self.plan = plan
        self._executor = Executor(program, plan.threads)
        self._carried = [o for stage in program.stages for o in stage.operations if is_carried(o)]
        self._grows = bool(np.isinf(program.carried_back))
        width = 1 if self._grows else int(program.carried_back) + 1
        self._instruments: list[str] = []
        self._places: dict[str, int] = {}
        self._bars = np.empty((len(program.fields), 0, width), np.float32)
        self._traded = np.empty((0, width), bool)
        self._ages = np.empty(0, np.int64)
        self._gone = np.empty(0, np.int64)
        self._sessions: list[pd.Timestamp] = []
        self._memory = {
            operation.target: Memory(np.zeros((0, STATE)), np.empty((0, width)))
            for operation in ([] if self._grows else self._carried)
        }

    @property
    def instruments(self) -> list[str]:
        """Instruments that have had a bar and were not dropped."""
        return [name for name, gone in zip(self._instruments, self._gone, strict=True) if gone < 0]

    def update(self, session: pd.Timestamp, bars: pd.DataFrame) -> pd.DataFrame:
        """Take the bars of the next session and return its factors.

        Parameters
        ----------
        session
            Later than the last one. Every session of the calendar must come, also one in which an instrument is halted.
        bars
            ``instrument`` and the fields of the plan, one row per instrument. An instrument without a row is halted.

        Returns
        -------
        pandas.DataFrame
            Panel ``(datetime, instrument) × factor`` of this session, float32, sorted; empty while no instrument has
            had a bar.

        Raises
        ------
        FactorError
            When the session is not later than the last one, the bars lack a field or hold an instrument twice.
        """
        if self._sessions and session <= self._sessions[-1]:
            last = f"{self._sessions[-1]:%Y-%m-%d}"
            raise FactorError(f"session {session:%Y-%m-%d} is not later than {last}, the last one of this stream")
        fields = self.plan.program.fields
        missing = sorted({"instrument", *columns_of(fields)} - set(bars.columns))
        if missing:
            raise FactorError(f"the bars of {session:%Y-%m-%d} have no column {missing}")
        names = [str(name) for name in bars["instrument"]]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise FactorError(f"the bars of {session:%Y-%m-%d} hold {twice} twice; keep one row")
        self._forget(set(names))
        self._list_new([name for name in names if name not in self._places])
        self._append(session)
        indices = [self._places[name] for name in names]
        for number, field in enumerate(fields):
            self._bars[number, indices, -1] = values_of(bars, field)
        self._traded[indices, -1] = True
        self._ages += 1
        self._gone[self._gone >= 0] += 1
        return self._evaluate(session)

    def preview(self, session: pd.Timestamp, bars: pd.DataFrame) -> pd.DataFrame:
        """Return what `update` would and stay as before, so that a session that goes on can be asked for again.

        Parameters
        ----------
        session, bars
            See `update`; the bars are those of the session so far.

        Raises
        ------
        FactorError
            As `update`.
        """
        kept = {name: value.copy() for name, value in vars(self).items() if name in _CHANGING}
        memory = {key: Memory(known.states.copy(), known.values.copy()) for key, known in self._memory.items()}
        try:
            return self.update(session, bars)
        finally:
            vars(self).update(kept, _memory=memory)

    def drop(self, instruments: list[str]) -> None:
        """End the history of instruments that trade no more: they have no factors from the next session on."""
        for name in set(instruments) & self._places.keys():
            self._gone[self._places[name]] = max(self._gone[self._places[name]], 0)

    def _forget(self, listed_again: set[str]) -> None:
        """Remove dropped instruments; while windows reach back to them, factors across instruments still need them."""
        width = self._bars.shape[2] - 1 if self.plan.program.joins_instruments else 0
        over = self._gone >= (np.inf if self._grows and width else width)
        kept = [
            i
            for i, name in enumerate(self._instruments)
            if not over[i] and (self._gone[i] < 0 or name not in listed_again)
        ]
        if len(kept) < len(self._instruments):
            self._keep(kept)

    def _list_new(self, names: list[str]) -> None:
        if not names:
            return
        count, (n_fields, _, width) = len(names), self._bars.shape
        self._instruments += names
        self._bars = np.concatenate([self._bars, np.full((n_fields, count, width), np.nan, np.float32)], axis=1)
        self._traded = np.concatenate([self._traded, np.zeros((count, width), bool)])
        self._ages = np.append(self._ages, np.zeros(count, np.int64))
        self._gone = np.append(self._gone, np.full(count, -1))
        for memory in self._memory.values():
            memory.states = np.concatenate([memory.states, np.zeros((count, STATE))])
            memory.values = np.concatenate([memory.values, np.full((count, width), np.nan)])
        self._keep(sorted(range(len(self._instruments)), key=self._instruments.__getitem__))

    def _keep(self, indices: list[int]) -> None:
        self._instruments = [self._instruments[index] for index in indices]
        self._places = {name: index for index, name in enumerate(self._instruments)}
        self._bars, self._traded = self._bars[:, indices], self._traded[indices]
        self._ages, self._gone = self._ages[indices], self._gone[indices]
        for memory in self._memory.values():
            memory.states, memory.values = memory.states[indices], memory.values[indices]

    def _append(self, session: pd.Timestamp) -> None:
        """Make room for the newest bar."""
        if self._grows and self._sessions:
            gap = np.full((*self._bars.shape[:2], 1), np.nan, np.float32)
            self._bars = np.concatenate([self._bars, gap], axis=2)
            self._traded = np.concatenate([self._traded, np.zeros((len(self._traded), 1), bool)], axis=1)
        else:
            self._bars[:, :, :-1] = self._bars[:, :, 1:]
            self._bars[:, :, -1] = np.nan
            self._traded[:, :-1] = self._traded[:, 1:]
            self._traded[:, -1] = False
        self._sessions = [*self._sessions, session][-self._bars.shape[2] :]

    def _evaluate(self, session: pd.Timestamp) -> pd.DataFrame:
        n_fields, count, width = self._bars.shape
        calendar = pd.DatetimeIndex([pd.NaT] * (width - len(self._sessions)) + self._sessions)
        names = np.array(self._instruments, dtype=object)
        bars = self._bars.reshape(n_fields, count * width)
        first, traded = np.arange(count + 1) * width, self._traded.reshape(-1)
        grid = Grid(names, calendar, first, np.zeros(count, np.int64), bars, traded)
        listed = self._gone < 0
        values = np.empty((len(self.plan.program.factors), int(listed.sum())), np.float32)
        if count:
            self._executor.run(grid, self._spans(), values, None if self._grows else self._memory)
        days = pd.DatetimeIndex([session]).as_unit("ns").repeat(values.shape[1])
        index = pd.MultiIndex.from_arrays([days, pd.Index(names[listed], dtype="str")], names=PANEL_INDEX)
        return pd.DataFrame(values.T, index=index, columns=list(self.plan.program.factors))

    def _spans(self) -> np.ndarray:
        """Rows of every instrument, as `Grid.spans` gives them; the newest is wanted, of dropped instruments none."""
        _, count, width = self._bars.shape
        numbers, listed = np.arange(count), self._gone < 0
        known = np.minimum(self._ages, width)
        after = (numbers + 1) * width
        stop = after - np.maximum(self._gone, 0)
        output: np.ndarray = np.cumsum(listed) - listed
        spans = np.column_stack([after - known, stop, stop - listed, stop, output, numbers, width - known])
        return spans[spans[:, 1] > spans[:, 0]].astype(np.int64)

    def save(self, path: Path) -> None:
        """Write the state to one file; a run that goes on from it gives the same bits."""
        arrays = {
            "plan": np.array(self.plan.program.fingerprint),
            "instruments": np.array(self._instruments, dtype=np.str_),
            "sessions": pd.DatetimeIndex(self._sessions).as_unit("ns").asi8,
            "bars": self._bars,
            "traded": self._traded,
            "ages": self._ages,
            "gone": self._gone,
        }
        for (kind, number), memory in self._memory.items():
            arrays |= {f"states_{kind}_{number}": memory.states, f"values_{kind}_{number}": memory.values}
        write_arrays(path, arrays)

    @classmethod
    def load(cls, plan: FactorPlan, path: Path) -> FactorStream:
        """Go on from a state that was saved.

        Raises
        ------
        FactorError
            When the state belongs to another set of factors, or an earlier version of this project wrote it.
        """
        stream = cls(plan)
        with np.load(path, allow_pickle=False) as arrays:
            if str(arrays["plan"]) != plan.program.fingerprint or "traded" not in arrays:
                raise FactorError(
                    f"the state in {path} belongs to other factors or an earlier version; delete it and feed the "
                    "stream again"
                )
            stream._instruments = [str(name) for name in arrays["instruments"]]
            stream._places = {name: index for index, name in enumerate(stream._instruments)}
            stream._sessions = list(pd.DatetimeIndex(arrays["sessions"]))
            stream._bars, stream._traded = arrays["bars"], arrays["traded"]
            stream._ages, stream._gone = arrays["ages"], arrays["gone"]
            for kind, number in stream._memory:
                states, values = arrays[f"states_{kind}_{number}"], arrays[f"values_{kind}_{number}"]
                stream._memory[kind, number] = Memory(states, values)
        return stream
