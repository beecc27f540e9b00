"""Compare what the project measures with what other libraries measure of the same data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

LARGEST_ACCEPTED = 1e-9
"""Relative difference above which a measure is another one."""

Value = float | Sequence[float]
Floats = npt.NDArray[np.float64]


class Difference(NamedTuple):
    """One measure beside that of one peer; of a series, the element that differs most.

    Attributes
    ----------
    measure, peer
        Name of the measure, and of the library.
    values
        How many values were compared: 1, or the length of the series.
    ours, theirs
        The values that differ most.
    relative
        ``|ours - theirs| / max(|ours|, |theirs|)``; 0 where both are zero or both missing, infinite where one is.
    """

    measure: str
    peer: str
    values: int
    ours: float
    theirs: float
    relative: float


def relative_differences(ours: Floats, theirs: Floats) -> Floats:
    """Return the relative differences of two arrays, element by element; see `Difference`."""
    scale = np.maximum(np.abs(ours), np.abs(theirs))
    with np.errstate(invalid="ignore", divide="ignore"):
        relative = np.where(scale > 0, np.abs(ours - theirs) / scale, 0.0)
    missing = np.isnan(ours), np.isnan(theirs)
    relative = np.where(missing[0] & missing[1], 0.0, relative)
    relative = np.where(missing[0] ^ missing[1], np.inf, relative)
    return np.where(np.isnan(relative), np.where(ours == theirs, 0.0, np.inf), relative)


def compare(ours: Mapping[str, Value], theirs: Mapping[str, Mapping[str, Value]]) -> list[Difference]:
    """Compare every measure of every peer.

    Parameters
    ----------
    ours
        Name to value or series.
    theirs
        Peer to name to value or series.

    Returns
    -------
    list of Difference
        In the order of the peers.

    Raises
    ------
    ValueError
        When a peer measured what we did not, or a series has another length.
    """
    differences = []
    for peer, measured in theirs.items():
        for name, value in measured.items():
            if name not in ours:
                raise ValueError(f"{peer} has measured {name!r}, which ours lack. Name it alike on both sides.")
            own, other = (np.atleast_1d(np.asarray(given, dtype=np.float64)) for given in (ours[name], value))
            if own.shape != other.shape:
                raise ValueError(f"{name!r} has {own.size} values, {other.size} by {peer}. Compare the same sessions.")
            relative = relative_differences(own, other)
            worst = int(np.argmax(relative))
            differences.append(
                Difference(name, peer, own.size, float(own[worst]), float(other[worst]), float(relative[worst]))
            )
    return differences


def write_table(differences: Sequence[Difference]) -> str:
    """Write the differences as lines of text, one per measure and peer."""
    header = f"{'measure':44} {'peer':12} {'values':>7} {'ours':>24} {'peer':>24} {'difference':>11}"
    lines = [
        f"{row.measure:44} {row.peer:12} {row.values:>7} {row.ours:>24.16g} {row.theirs:>24.16g} {row.relative:>11.1e}"
        for row in differences
    ]
    return "\n".join([header, "-" * len(header), *lines])


def summarise(differences: Sequence[Difference]) -> dict[str, float | int]:
    """Count the measures and find the largest relative difference."""
    return {
        "measures": len({row.measure for row in differences}),
        "comparisons": len(differences),
        "values": sum(row.values for row in differences),
        "largest_relative_difference": max(row.relative for row in differences),
    }
