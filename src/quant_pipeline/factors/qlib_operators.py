"""Operators that a user has written for Qlib, as operators of this engine."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pandas as pd

from quant_pipeline.factors.expression.operators import CustomOperator, register_operator


def register_qlib_operator(operator: type, series: int | None = None) -> None:
    """Make an ``ExpressionOps`` of Qlib known to the engine.

    Its ``_load_internal`` is called once per instrument with the values of its arguments over the whole history. How
    far a value reaches back is not known, so plans with it are computed from the whole history.

    Parameters
    ----------
    operator
        The class, as it would be given to ``qlib.init(custom_ops=[…])``.
    series
        Number of leading arguments that are expressions; None counts the parameters whose name contains ``feature``.
    """
    names = [name for name in inspect.signature(operator).parameters if name != "func"]
    count = sum("feature" in name for name in names) if series is None else series

    def evaluate(*arguments: Any) -> np.ndarray:
        inputs = [_given(values) for values in arguments[:count]]
        instance = operator(*inputs, *arguments[count:])
        result = instance._load_internal("", 0, len(arguments[0]) - 1, "day")
        return np.asarray(result, dtype=np.float64)

    register_operator(CustomOperator(operator.__name__, evaluate, count, len(names) - count))


def _given(values: np.ndarray) -> Any:
    """Build an expression of Qlib whose value is known."""
    from qlib.data.base import Expression

    class Given(Expression):
        """Values that were computed already."""

        def _load_internal(self, instrument: str, start_index: int, end_index: int, *args: Any) -> pd.Series:
            return pd.Series(values)

        def load(self, instrument: str, start_index: int, end_index: int, *args: Any) -> pd.Series:
            return pd.Series(values)

        def get_longest_back_rolling(self) -> float:
            return np.inf

        def get_extended_window_size(self) -> tuple[int, int]:
            return 0, 0

    return Given()
