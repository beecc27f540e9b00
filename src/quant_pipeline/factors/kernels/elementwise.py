"""Arithmetic, comparisons and choices, row by row; conditions are 0 and 1 in float32."""

from __future__ import annotations

import numpy as np

from quant_pipeline.factors.kernels.compiling import inner
from quant_pipeline.factors.kernels.opcodes import (
    ABS,
    ADD,
    AND,
    DIV,
    EQ,
    GE,
    GREATER,
    GT,
    LE,
    LESS,
    LT,
    MUL,
    NOT,
    RECIPROCAL,
    SIGN,
    SUB,
)


@inner
def combine(kind, left, right, out):
    """Combine two series; a maximum or minimum with a missing value is missing, as in numpy."""
    n = out.shape[0]
    if kind == ADD:
        for i in range(n):
            out[i] = left[i] + right[i]
    elif kind == SUB:
        for i in range(n):
            out[i] = left[i] - right[i]
    elif kind == MUL:
        for i in range(n):
            out[i] = left[i] * right[i]
    elif kind == DIV:
        for i in range(n):
            out[i] = left[i] / right[i]
    elif kind == GREATER:
        for i in range(n):
            a, b = left[i], right[i]
            larger = a if a > b else b
            out[i] = larger if a == a else a
    elif kind == LESS:
        for i in range(n):
            a, b = left[i], right[i]
            smaller = a if a < b else b
            out[i] = smaller if a == a else a
    elif kind == AND:
        for i in range(n):
            out[i] = (left[i] != 0) and (right[i] != 0)
    else:
        for i in range(n):
            out[i] = (left[i] != 0) or (right[i] != 0)


@inner
def compare(kind, left, right, out):
    """Compare two series; with a missing value everything but ``!=`` is false."""
    n = out.shape[0]
    if kind == GT:
        for i in range(n):
            out[i] = left[i] > right[i]
    elif kind == GE:
        for i in range(n):
            out[i] = left[i] >= right[i]
    elif kind == LT:
        for i in range(n):
            out[i] = left[i] < right[i]
    elif kind == LE:
        for i in range(n):
            out[i] = left[i] <= right[i]
    elif kind == EQ:
        for i in range(n):
            out[i] = left[i] == right[i]
    else:
        for i in range(n):
            out[i] = left[i] != right[i]


@inner
def transform(kind, values, out):
    """Apply a function of one series; missing stays missing."""
    n = out.shape[0]
    if kind == ABS:
        for i in range(n):
            out[i] = abs(values[i])
    elif kind == SIGN:
        for i in range(n):
            value = values[i]
            step = np.float32(value > 0) - np.float32(value < 0)
            out[i] = step if value == value else np.nan
    elif kind == NOT:
        for i in range(n):
            out[i] = values[i] == 0
    elif kind == RECIPROCAL:
        for i in range(n):
            out[i] = 1.0 / values[i]
    else:
        for i in range(n):
            out[i] = -values[i] - 1


@inner
def choose(condition, left, right, out):
    """Take the left value where the condition is not 0; a missing condition is not 0."""
    for i in range(out.shape[0]):
        a, b = left[i], right[i]
        out[i] = a if condition[i] != 0 else b


@inner
def convert(values, out):
    """Copy to the other precision."""
    for i in range(out.shape[0]):
        out[i] = values[i]


@inner
def forget_outside(starts, begin, stop, out):
    """Set rows outside the history to missing."""
    for i in range(begin, stop):
        if starts[i] > i:
            out[i] = np.nan


@inner
def count_values(values, window, begin, stop, starts, running, out):
    """Count values that are not NaN; infinite ones count, as pandas counts them."""
    old = begin - window + 1
    running[old] = 0.0
    for i in range(old, stop):
        running[i + 1] = running[i] + (values[i] == values[i])
    for i in range(begin, stop):
        out[i] = running[i + 1] - running[i + 1 - window] if starts[i] <= i else np.nan
