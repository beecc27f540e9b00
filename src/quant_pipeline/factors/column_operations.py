"""Operations on whole columns, between two stages of a program.

Kernels are imported by the operation that needs them: numba, which compiles them, takes a while to import, and most
plans need none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from quant_pipeline.common.exceptions import FactorError
from quant_pipeline.factors.expression.operators import CUSTOM_OPERATORS
from quant_pipeline.factors.expression.program import ColumnOperation, read_instrument
from quant_pipeline.factors.kernels.histories import CARRIED, FADING, STATE, WHOLE

Columns = tuple[np.ndarray, np.ndarray]


@dataclass
class Memory:
    """What a stream remembers of a measure of the whole history.

    Attributes
    ----------
    states
        Per instrument, the numbers from which it goes on.
    values
        Per instrument, its values of the last sessions, the newest last.
    """

    states: np.ndarray
    values: np.ndarray


@dataclass
class Block:
    """Rows that are computed together, as operations on columns see them.

    Attributes
    ----------
    spans
        First row and row after the last of every instrument, counted from the first row of the columns.
    places
        Place in the calendar of the first row of every instrument.
    instruments
        Their names.
    sessions
        The trading calendar.
    traded
        Whether the instrument of a row has a bar in its session.
    memory
        What a stream remembers of an operation: states and the values of earlier sessions, by its target; None outside
        of streams.
    owners
        Place of every instrument in the memory.
    wanted
        Whether the newest bar of an instrument is wanted; the history of others is over.
    """

    spans: np.ndarray
    places: np.ndarray
    instruments: np.ndarray
    sessions: pd.DatetimeIndex
    traded: np.ndarray
    memory: Mapping[tuple[str, int], Memory] | None = None
    owners: np.ndarray | None = None
    wanted: np.ndarray | None = None

    @cached_property
    def by_session(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows with a bar in order of session, and where each session begins.

        A suspended instrument is in no cross-section: whether it trades again is known later only.
        """
        lengths = self.spans[:, 1] - self.spans[:, 0]
        inside = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        rows = inside + np.repeat(self.spans[:, 0], lengths)
        index = inside + np.repeat(self.places, lengths)
        rows, index = rows[self.traded[rows]], index[self.traded[rows]]
        order = np.argsort(index, kind="stable")
        bounds = np.append(np.flatnonzero(np.diff(index[order], prepend=-1)), len(rows))
        return rows[order], bounds


def apply_operation(operation: ColumnOperation, fields: np.ndarray, columns: Columns, block: Block) -> None:
    """Compute one column from others.

    Parameters
    ----------
    operation
        What to compute.
    fields
        float32 ``(field, row)``.
    columns
        float32 and float64 ``(column, row)``; the target is written.
    block
        The rows.
    """
    inputs = [_read(source, fields, columns) for source in operation.inputs]
    target = columns[0 if operation.target[0] == "single" else 1][operation.target[1]]
    with np.errstate(all="ignore"):
        if operation.operator == "Log":
            np.log(inputs[0], out=target)
        elif operation.operator == "Power":
            # The operator of Python, as in pandas: numpy takes short ways for a few exponents.
            target[...] = inputs[0] ** inputs[1]
        elif operation.operator in _ACROSS:
            _ACROSS[operation.operator](operation, inputs, target, block)
        elif block.memory is not None and is_carried(operation):
            _remember(operation, inputs, target, block)
        else:
            for begin, end in block.spans:
                parts = [column[begin:end] for column in inputs]
                _apply_to_instrument(operation, parts, target[begin:end])


def _read(source: tuple[str, int] | float, fields: np.ndarray, columns: Columns) -> Any:
    """Return a column, or a number."""
    if not isinstance(source, tuple):
        return source
    kind, number = source
    return fields[number] if kind == "field" else columns[0 if kind == "single" else 1][number]


def _apply_to_instrument(operation: ColumnOperation, inputs: list[np.ndarray], target: np.ndarray) -> None:
    name, constants = operation.operator, operation.constants
    if name in CUSTOM_OPERATORS:
        arrays = [column.astype(np.float64) for column in inputs]
        target[...] = CUSTOM_OPERATORS[name].function(*arrays, *constants)
    elif is_carried(operation):
        carry(operation, inputs, np.zeros(STATE), target)
    else:
        from quant_pipeline.factors.kernels.recursive import expand_windows

        expand_windows(WHOLE[name], inputs[0], float(constants[-1]), target)


def _remember(operation: ColumnOperation, inputs: list[np.ndarray], target: np.ndarray, block: Block) -> None:
    """Append the newest bar of every instrument to what is remembered, and give back the last ones."""
    assert block.memory is not None
    assert block.owners is not None
    assert block.wanted is not None
    memory = block.memory[operation.target]
    newest = np.empty(1)
    for (begin, end), owner, wanted in zip(block.spans, block.owners, block.wanted, strict=True):
        values = memory.values[owner]
        if wanted:
            carry(operation, [column[end - 1 : end] for column in inputs], memory.states[owner], newest)
            values[:-1] = values[1:]
            values[-1] = newest[0]
        target[begin:end] = values[len(values) - (end - begin) :]


def is_carried(operation: ColumnOperation) -> bool:
    """Whether a measure of the whole history goes on from a state of a few numbers."""
    name, constants = operation.operator, operation.constants
    if name in CUSTOM_OPERATORS:
        return False
    return (name == "EMA" and constants[0] != 0) or name in CARRIED


def carry(operation: ColumnOperation, inputs: list[np.ndarray], state: np.ndarray, target: np.ndarray) -> None:
    """Go on with a measure of the whole history; the state is brought up to date."""
    from quant_pipeline.factors.kernels.recursive import carry_on

    kind, share = FADING, 0.0
    if operation.operator == "EMA":
        window = float(operation.constants[0])
        share = window if window < 1 else 2.0 / (window + 1.0)
    else:
        kind = CARRIED[operation.operator]
    pair = inputs[1] if len(inputs) > 1 else inputs[0]
    carry_on(kind, inputs[0], pair, share, state, target)


def _rank(operation: ColumnOperation, inputs: list[Any], target: np.ndarray, block: Block) -> None:
    from quant_pipeline.factors.kernels.cross_section import rank_sessions

    target[~block.traded] = np.nan
    rank_sessions(inputs[0], *block.by_session, target)


def _scale(operation: ColumnOperation, inputs: list[Any], target: np.ndarray, block: Block) -> None:
    from quant_pipeline.factors.kernels.cross_section import scale_sessions

    target[~block.traded] = np.nan
    scale_sessions(inputs[0], *block.by_session, target)


def _neutralize(operation: ColumnOperation, inputs: list[Any], target: np.ndarray, block: Block) -> None:
    from quant_pipeline.factors.kernels.cross_section import neutralize_sessions

    target[~block.traded] = np.nan
    neutralize_sessions(inputs[0], inputs[1], *block.by_session, target)


def _take_other(operation: ColumnOperation, inputs: list[Any], target: np.ndarray, block: Block) -> None:
    """Read the sessions of another instrument; it is missing where that one has no bar."""
    calendar = np.full(len(block.sessions), np.nan, inputs[0].dtype)
    for number in np.flatnonzero(block.instruments == read_instrument(operation)):
        begin, end = block.spans[number]
        first = block.places[number]
        values = np.where(block.traded[begin:end], inputs[0][begin:end], np.nan)
        calendar[first : first + end - begin] = values
    for (left, right), index in zip(block.spans, block.places, strict=True):
        target[left:right] = calendar[index : index + right - left]


def _resample(operation: ColumnOperation, inputs: list[Any], target: np.ndarray, block: Block) -> None:
    """Aggregate the period so far: the last bar of a period has Qlib's value, and nothing looks ahead."""
    frequency, function = (str(constant) for constant in operation.constants)
    if function not in _SO_FAR:
        raise FactorError(f"TResample cannot aggregate by '{function}'; it can by {sorted(_SO_FAR)}")
    try:
        periods = pd.Series(0, index=block.sessions).groupby(pd.Grouper(freq=frequency)).ngroup().to_numpy()
    except ValueError as error:
        raise FactorError(f"TResample knows no frequency '{frequency}': {error}") from error
    for (begin, end), index in zip(block.spans, block.places, strict=True):
        values = pd.Series(inputs[0][begin:end].astype(np.float64))
        target[begin:end] = _SO_FAR[function](values, periods[index : index + end - begin])


def _carried(values: pd.Series, periods: np.ndarray) -> pd.Series:
    return values.groupby(periods).ffill()


_SO_FAR = {
    "sum": lambda values, periods: _carried(values.groupby(periods).cumsum(), periods),
    "mean": lambda values, periods: _carried(
        values.groupby(periods).cumsum() / values.notna().groupby(periods).cumsum(), periods
    ),
    "max": lambda values, periods: _carried(values.groupby(periods).cummax(), periods),
    "min": lambda values, periods: _carried(values.groupby(periods).cummin(), periods),
    "last": _carried,
    "first": lambda values, periods: _carried(values.where(values.notna().groupby(periods).cumsum() == 1), periods),
    "count": lambda values, periods: values.notna().groupby(periods).cumsum(),
}

_ACROSS = {
    "CSRank": _rank,
    "CSScale": _scale,
    "CSNeutralize": _neutralize,
    "Mask": _take_other,
    "ChangeInstrument": _take_other,
    "TResample": _resample,
}
