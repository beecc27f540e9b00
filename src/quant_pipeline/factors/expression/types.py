"""What numpy and pandas would hold a value in when Qlib evaluates it.

The bars are float32 and stay so through arithmetic; rolling measures are float64; a constant takes the type of its
partner.
"""

from __future__ import annotations

from enum import Enum
from typing import Any


class NumericType(Enum):
    """Type of a value."""

    CONDITION = "bool"
    INTEGER = "int64"
    SINGLE = "float32"
    DOUBLE = "float64"

    @property
    def is_double(self) -> bool:
        """Whether the engine keeps it in float64; integers are exact there up to 2**53."""
        return self in (NumericType.INTEGER, NumericType.DOUBLE)


CONDITION, INTEGER, SINGLE, DOUBLE = NumericType.CONDITION, NumericType.INTEGER, NumericType.SINGLE, NumericType.DOUBLE

_COMPARISONS = {"Gt", "Ge", "Lt", "Le", "Eq", "Ne"}


def type_of_call(name: str, inputs: list[Any]) -> NumericType:
    """Return the type of an operator's value.

    Parameters
    ----------
    name
        The operator.
    inputs
        Nodes of its arguments.

    Raises
    ------
    TypeError
        When pandas would refuse the types, such as ``&`` between prices.
    """
    types = [node.numeric for node in inputs]
    constant = [node.operator == "constant" for node in inputs]
    if name in _COMPARISONS:
        return CONDITION
    if name in ("And", "Or"):
        if any(kind is not CONDITION for kind, fixed in zip(types, constant, strict=True) if not fixed):
            raise TypeError(f"{name} joins conditions such as $close>$open")
        return CONDITION
    if name == "Not":
        if types[0] not in (CONDITION, INTEGER):
            raise TypeError("Not turns a condition such as $close>$open")
        return types[0]
    if name in ("Abs", "Mask", "ChangeInstrument"):
        return types[0]
    if name == "Sign":
        return SINGLE
    if name == "Log":
        return DOUBLE if types[0].is_double else SINGLE
    if name in ("Ref", "Delta"):
        return {CONDITION: SINGLE, SINGLE: SINGLE}.get(types[0], DOUBLE)
    if name == "If":
        return _common(types[1:], constant[1:])
    if name in ("Add", "Sub", "Mul", "Div", "Greater", "Less", "Power"):
        return _arithmetic(name, types, constant)
    return DOUBLE


def _arithmetic(name: str, types: list[NumericType], constant: list[bool]) -> NumericType:
    if types == [CONDITION, CONDITION] and name in ("Sub", "Div"):
        raise TypeError(f"{name} of two conditions is not defined; multiply one by 1.0 first")
    common = _common(types, constant)
    if name == "Div" and common is INTEGER:
        return DOUBLE
    if name == "Power" and common is CONDITION:
        return INTEGER
    return common


def _common(types: list[NumericType], constant: list[bool]) -> NumericType:
    """Type that holds both values; next to a series of floating point a constant has none of its own."""
    if all(constant):
        return DOUBLE if DOUBLE in types else INTEGER
    if any(constant):
        series, number = (types[1], types[0]) if constant[0] else (types[0], types[1])
        if series in (SINGLE, DOUBLE):
            return series
        return DOUBLE if number is DOUBLE else INTEGER
    if DOUBLE in types or set(types) == {INTEGER, SINGLE}:
        return DOUBLE
    if INTEGER in types:
        return INTEGER
    return SINGLE if SINGLE in types else CONDITION
