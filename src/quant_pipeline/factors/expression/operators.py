"""Every operator an expression may call: its arguments and how the engine evaluates it.

The table is that of Qlib 0.9.7 (``qlib/data/ops.py``), its point-in-time operators ``P`` and ``PRef`` excepted; the
cross-sectional operators that WorldQuant's formulas need (Kakushadze 2016, "101 Formulaic Alphas", appendix A); and
`PLACES_OF_KNOWN`.

``IdxMax`` and ``IdxMin`` are Qlib's: where a window holds a missing value, such as a suspended session, they give the
place of the first missing value, as numpy's ``argmax`` does.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

ELEMENT, PAIR, CHOICE, SHIFT, ROLLING, PAIR_ROLLING, OTHER_INSTRUMENT, RESAMPLE, CROSS_SECTION, CUSTOM = (
    "element",
    "pair",
    "choice",
    "shift",
    "rolling",
    "pair rolling",
    "other instrument",
    "resample",
    "cross-section",
    "custom",
)


@dataclass(frozen=True)
class Operator:
    """One operator of the language.

    Attributes
    ----------
    name
        As it is written.
    kind
        How it is evaluated; one of the constants of this module.
    parameters
        Names of the arguments, in order, as Qlib calls them.
    series
        How many of the leading parameters are expressions; the others are constants.
    smallest
        Smallest window that is not 0, for rolling operators.
    """

    name: str
    kind: str
    parameters: tuple[str, ...]
    series: int = 1
    smallest: int = 1


PLACES_OF_KNOWN = {"IdxMaxKnown": "IdxMax", "IdxMinKnown": "IdxMin"}
"""Places of the largest and smallest value, missing values left out, and the operators of Qlib that do not."""

_ONE = ("feature",)
_WINDOW = ("feature", "N")
_TWO = ("feature_left", "feature_right")


def _table() -> dict[str, Operator]:
    entries = [Operator(name, ELEMENT, _ONE) for name in ("Abs", "Sign", "Log", "Not")]
    pairs = "Power Add Sub Mul Div Greater Less And Or Gt Ge Lt Le Eq Ne"
    entries += [Operator(name, PAIR, _TWO, 2) for name in pairs.split()]
    entries.append(Operator("If", CHOICE, ("condition", *_TWO), 3))
    entries += [Operator(name, SHIFT, _WINDOW) for name in ("Ref", "Delta")]
    rolling = "Mean Sum Std Var Max Min IdxMax IdxMin Med Mad Rank Count EMA WMA Slope Rsquare Resi"
    entries += [Operator(name, ROLLING, _WINDOW) for name in rolling.split()]
    entries += [Operator(name, ROLLING, _WINDOW) for name in PLACES_OF_KNOWN]
    entries += [Operator("Skew", ROLLING, _WINDOW, smallest=3), Operator("Kurt", ROLLING, _WINDOW, smallest=4)]
    entries.append(Operator("Quantile", ROLLING, ("feature", "N", "qscore")))
    entries += [Operator(name, PAIR_ROLLING, (*_TWO, "N"), 2) for name in ("Corr", "Cov")]
    entries.append(Operator("Mask", OTHER_INSTRUMENT, ("feature", "instrument")))
    entries.append(Operator("ChangeInstrument", OTHER_INSTRUMENT, ("instrument", "feature")))
    entries.append(Operator("TResample", RESAMPLE, ("feature", "freq", "func")))
    entries += [Operator(name, CROSS_SECTION, _ONE) for name in ("CSRank", "CSScale")]
    entries.append(Operator("CSNeutralize", CROSS_SECTION, ("feature", "group"), 2))
    return {entry.name: entry for entry in entries}


OPERATORS = _table()
"""Name to operator, without the custom ones."""

REFUSED = {
    "P": "reads Qlib's point-in-time period database",
    "PRef": "reads Qlib's point-in-time period database",
    "Rolling": "is the base class of Qlib's rolling operators; name one of them",
}
"""Operators of Qlib that no plan can hold, and why."""


@dataclass(frozen=True)
class CustomOperator:
    """An operator of the user.

    Attributes
    ----------
    name
        As it is written in expressions.
    function
        Takes one float64 array per series, in order of time, and the constants; returns an array of the same length.
    series
        Number of leading arguments that are expressions.
    constants
        Number of constants after them.
    lookback
        Bars before the current one that a value depends on, given the constants; infinite when it is the whole history.
    """

    name: str
    function: Callable[..., np.ndarray]
    series: int = 1
    constants: int = 0
    lookback: Callable[..., float] = lambda *_: float("inf")


CUSTOM_OPERATORS: dict[str, CustomOperator] = {}


def register_operator(custom: CustomOperator) -> None:
    """Make an operator of the user known; a name of Qlib's own is overridden, as ``qlib.init(custom_ops=…)`` does."""
    CUSTOM_OPERATORS[custom.name] = custom


def find_operator(name: str) -> Operator | None:
    """Return the operator of that name, or None."""
    custom = CUSTOM_OPERATORS.get(name)
    if custom is None:
        return OPERATORS.get(name)
    names = tuple(f"argument_{i}" for i in range(custom.series + custom.constants))
    return Operator(name, CUSTOM, names, custom.series)


def nearest(name: str, known: Iterable[str]) -> str:
    """Suggest a known name, or say nothing."""
    names = list(known)
    folded = {candidate.lower(): candidate for candidate in names}
    matches = difflib.get_close_matches(name.lower(), folded, 1, 0.5)
    return f"; did you mean {folded[matches[0]]}?" if matches else ""
