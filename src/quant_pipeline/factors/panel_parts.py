"""Panels that are larger than memory should hold: computed year by year, while they are written.

A part has the bits of the same rows of the whole panel. It is computed when the loop comes to it, and nothing keeps it
afterwards. An expression that depends on the whole history computes what it remembers once more for every part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from quant_pipeline.common.progress import track
from quant_pipeline.factors.engine import FactorPlan, compile_factors

PART_BYTES: Final = 2 * 2**30
"""Largest panel that is computed at once; a year that is larger is one part all the same."""


class Stretch(NamedTuple):
    """First and last session of a part."""

    start: pd.Timestamp
    end: pd.Timestamp


@dataclass(frozen=True)
class PanelInParts:
    """A panel of which one part at a time exists; iterate over it as often as you like.

    Attributes
    ----------
    stretches
        Consecutive sessions of the parts, whole calendar years each.
    compute
        Computes the part of a stretch.
    """

    stretches: Sequence[Stretch]
    compute: Callable[[Stretch], pd.DataFrame]

    def __iter__(self) -> Iterator[pd.DataFrame]:
        """Compute one part after the other."""
        yield from map(self.compute, track(self.stretches, "computing factors"))

    def each(self, change: Callable[[pd.DataFrame], pd.DataFrame]) -> PanelInParts:
        """Return the panel whose parts are those of this one after a change."""
        return PanelInParts(self.stretches, lambda stretch: change(self.compute(stretch)))

    def whole(self) -> pd.DataFrame:
        """Return all parts as one panel, twice of which must fit into memory."""
        return pd.concat(list(self))


def compute_in_parts(
    adjusted_bars: pd.DataFrame, expressions: Mapping[str, str], sessions: pd.DatetimeIndex, *, divided: bool = False
) -> pd.DataFrame | PanelInParts:
    """Evaluate expressions on the whole history: at once, or a panel above `PART_BYTES` in parts.

    Parameters
    ----------
    adjusted_bars, expressions, sessions, divided
        See `~quant_pipeline.factors.engine.compute_factors`.

    Raises
    ------
    FactorError
        When an expression cannot be read or looks ahead.
    """
    known = [column for column in adjusted_bars.columns if column not in ("date", "instrument")]
    plan = compile_factors(expressions, fields=known)
    stretches = _stretches(adjusted_bars, sessions, _bytes_per_row(plan))
    if len(stretches) == 1:
        return plan.panel(adjusted_bars, sessions, None, None, divided=divided)

    def compute(stretch: Stretch) -> pd.DataFrame:
        return plan.panel(adjusted_bars, sessions, stretch.start, stretch.end, divided=divided)

    return PanelInParts(stretches, compute)


def change_panel(
    panel: pd.DataFrame | PanelInParts, change: Callable[[pd.DataFrame], pd.DataFrame]
) -> pd.DataFrame | PanelInParts:
    """Change a panel, or each of its parts when their turn comes."""
    return change(panel) if isinstance(panel, pd.DataFrame) else panel.each(change)


def _bytes_per_row(plan: FactorPlan) -> int:
    """Return what a row takes: its factors and, where instruments are compared, also the columns between stages."""
    program = plan.program
    between = 4 * program.singles + 8 * program.doubles if program.joins_instruments else 0
    return 4 * len(program.factors) + between


def _stretches(adjusted_bars: pd.DataFrame, sessions: pd.DatetimeIndex, bytes_per_row: int) -> list[Stretch]:
    """Cut the calendar before years, so that each part is as long as may be."""
    if len(adjusted_bars) * bytes_per_row <= PART_BYTES:
        return [Stretch(sessions[0], sessions[-1])]
    years = sessions.year.to_numpy()
    begins = np.flatnonzero(np.diff(years, prepend=-1))
    first_days = sessions[begins].to_numpy()
    rows = np.bincount(np.searchsorted(first_days, adjusted_bars["date"].to_numpy(), side="right"))[1:]
    cuts, size = [0], 0
    for place, count in enumerate(rows):
        size += int(count) * bytes_per_row
        if size > PART_BYTES and place > cuts[-1]:
            cuts.append(place)
            size = int(count) * bytes_per_row
    starts = begins[cuts]
    ends = np.append(starts[1:], len(sessions)) - 1
    return [Stretch(sessions[start], sessions[end]) for start, end in zip(starts, ends, strict=True)]
