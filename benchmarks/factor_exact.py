"""Factors of Alpha158 in extended precision, from the bars of one window alone: who is right where engines differ."""

from __future__ import annotations

import re

import numpy as np

TINY = np.longdouble(1e-12)


def exact_value(name: str, close: np.ndarray, volume: np.ndarray) -> float:
    """Compute a factor at the last of some bars.

    Parameters
    ----------
    name
        Such as ``STD20``; families whose rolling sums leave a residue in pandas are known.
    close, volume
        float32, the bars of the instrument up to the wanted one.

    Raises
    ------
    KeyError
        For another family.
    """
    family, digits = re.fullmatch(r"([A-Z]+)(\d+)", name).groups()
    close, volume = close[-int(digits) - 1 :], volume[-int(digits) - 1 :]
    return float(_FAMILIES[family](int(digits), close, volume))


def _window(values: np.ndarray, n: int) -> np.ndarray:
    return values[-n:].astype(np.longdouble)


def _ratio(values: np.ndarray) -> np.ndarray:
    """Divide by the value of the bar before, in float32 as Qlib does; the first has none."""
    return np.append(np.float32(np.nan), values[1:] / values[:-1])


def _deviation(values: np.ndarray) -> np.longdouble:
    values = values[np.isfinite(values)]
    return values.std(ddof=1)


def _weighted_moves(n: int, close: np.ndarray, volume: np.ndarray) -> np.longdouble:
    moves = _window(np.abs(_ratio(close) - 1) * volume, n)
    return _deviation(moves) / (np.nanmean(moves) + TINY)


def _trend(n: int, close: np.ndarray) -> tuple[np.longdouble, np.longdouble, np.longdouble]:
    values = _window(close, n)
    here = np.isfinite(values)
    places, values = np.arange(len(values), dtype=np.longdouble)[here], values[here]
    x, y = places - places.mean(), values - values.mean()
    slope = (x * y).sum() / (x * x).sum()
    fit = np.nan if _deviation(values) <= 2e-5 else (x * y).sum() ** 2 / ((x * x).sum() * (y * y).sum())
    return slope, fit, y[-1] - slope * x[-1]


def _correlation(left: np.ndarray, right: np.ndarray) -> np.longdouble:
    here = np.isfinite(left) & np.isfinite(right)
    x, y = left[here] - left[here].mean(), right[here] - right[here].mean()
    return (x * y).sum() / np.sqrt((x * x).sum() * (y * y).sum())


_FAMILIES = {
    "STD": lambda n, close, volume: _deviation(_window(close, n)) / close[-1],
    "VSTD": lambda n, close, volume: _deviation(_window(volume, n)) / (volume[-1] + TINY),
    "WVMA": _weighted_moves,
    "BETA": lambda n, close, volume: _trend(n, close)[0] / close[-1],
    "RSQR": lambda n, close, volume: _trend(n, close)[1],
    "RESI": lambda n, close, volume: _trend(n, close)[2] / close[-1],
    "CORR": lambda n, close, volume: _correlation(_window(close, n), _window(np.log(volume + 1), n)),
    "CORD": lambda n, close, volume: _correlation(
        _window(_ratio(close), n), _window(np.log(_ratio(volume) + np.float32(1)), n)
    ),
}
