"""Operations on whole columns, between two stages of a program."""

from __future__ import annotations

import numpy as np

from quant_pipeline.factors.expression.operators import CUSTOM_OPERATORS
from quant_pipeline.factors.expression.program import ColumnOperation
from quant_pipeline.factors.kernels.recursive import KINDS, expand_windows, exponential_mean


def apply_operation(operation, fields, columns, spans, first_row, context) -> None:
    """Compute one column from others.

    Parameters
    ----------
    operation
        What to compute.
    fields
        float32 ``(field, row)``.
    columns
        float32 and float64 ``(column, row - first_row)``; the target is written.
    spans
        Rows of the instruments; see `quant_pipeline.factors.execution.Executor.run`.
    first_row
        Row of the fields with which the columns begin.
    context
        Sessions and instruments of the rows.
    """
    inputs = [_read(source, fields, columns, first_row) for source in operation.inputs]
    target = columns[0 if operation.target[0] == "single" else 1][operation.target[1]]
    with np.errstate(all="ignore"):
        if operation.operator == "Log":
            np.log(inputs[0], out=target)
        elif operation.operator == "Power":
            _raise_to_power(inputs, target)
        else:
            for begin, end in spans[:, :2] - first_row:
                _apply_to_instrument(operation, [column[begin:end] for column in inputs], target[begin:end])


def _read(source, fields, columns, first_row):
    """Return a column from its first row on, or a number."""
    if not isinstance(source, tuple):
        return source
    kind, number = source
    if kind == "field":
        return fields[number, first_row : first_row + columns[0].shape[1]]
    return columns[0 if kind == "single" else 1][number]


def _raise_to_power(inputs: list, target: np.ndarray) -> None:
    """Raise as pandas does: with the operator of Python, which numpy shortens for a few exponents."""
    base, exponent = inputs
    target[...] = base**exponent


def _apply_to_instrument(operation: ColumnOperation, inputs: list[np.ndarray], target: np.ndarray) -> None:
    name, constants = operation.operator, operation.constants
    if name in CUSTOM_OPERATORS:
        arrays = [column.astype(np.float64) for column in inputs]
        target[...] = CUSTOM_OPERATORS[name].function(*arrays, *constants)
    elif name == "EMA" and constants[0] != 0:
        window = float(constants[0])
        exponential_mean(inputs[0], window if window < 1 else 2.0 / (window + 1.0), target)
    elif name == "Ref":
        target[...] = inputs[0][0]
    else:
        pair = inputs[1] if len(inputs) > 1 else inputs[0]
        expand_windows(KINDS[name], inputs[0], pair, float(constants[-1]), target)
