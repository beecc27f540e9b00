"""Panels of which a part at a time is computed, while the part before it is written.

A part has the bits of the same rows of the whole panel. It is computed when the loop comes to it, and nothing keeps it
afterwards. Each reads some earlier bars again, which its first values reach back to; an expression that depends on the
whole history computes what it remembers once more for every part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from quant_pipeline.common.exceptions import MarketDataError
from quant_pipeline.common.progress import track
from quant_pipeline.factors.engine import FactorPlan, compile_factors
from quant_pipeline.factors.grid import lay_out

WHOLE_BYTES: Final = 2**28
"""Largest panel that is computed at once where parts would cost little; a larger one has parts of about half of it."""
PART_BYTES: Final = 2**31
"""Largest part of any panel; a year that is larger is one part all the same."""
ROWS_PER_EARLIER_ROW: Final = 10
"""Sessions that a part has for each session before it that is read again, unless it would be too large."""


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
    MarketDataError
        When there is no session.
    """
    if sessions.empty:
        raise MarketDataError(
            "the market has no session up to that of the run; name a later one with --params as_of=…, or ingest "
            "earlier bars"
        )
    known = [column for column in adjusted_bars.columns if column not in ("date", "instrument")]
    plan = compile_factors(expressions, fields=known)
    stretches = _stretches(adjusted_bars, sessions, plan)
    if len(stretches) == 1:
        return plan.panel(adjusted_bars, sessions, None, None, divided=divided)
    grid = lay_out(adjusted_bars, sessions, plan.program.fields)
    return PanelInParts(stretches, lambda stretch: plan.part(grid, *stretch, divided=divided))


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


def _stretches(adjusted_bars: pd.DataFrame, sessions: pd.DatetimeIndex, plan: FactorPlan) -> list[Stretch]:
    """Cut the calendar before years, where a part is as large as it may be, or as long as it need be."""
    bytes_per_row, back = _bytes_per_row(plan), plan.program.back
    if len(adjusted_bars) * bytes_per_row <= min(WHOLE_BYTES, PART_BYTES):
        return [Stretch(sessions[0], sessions[-1])]
    # Where an expression names an instrument, each part reads all bars.
    long_enough = np.inf if plan.program.other_instruments else ROWS_PER_EARLIER_ROW * back
    years = sessions.year.to_numpy()
    begins = np.flatnonzero(np.diff(years, prepend=-1))
    first_days = sessions[begins].to_numpy()
    rows = np.bincount(np.searchsorted(first_days, adjusted_bars["date"].to_numpy(), side="right"))[1:]
    cuts, size = [0], 0
    for place, count in enumerate(rows):
        year = int(count) * bytes_per_row
        is_long = begins[place] - begins[cuts[-1]] >= long_enough
        if place > cuts[-1] and size + year > (min(WHOLE_BYTES // 2, PART_BYTES) if is_long else PART_BYTES):
            cuts.append(place)
            size = 0
        size += year
    starts = begins[cuts]
    ends = np.append(starts[1:], len(sessions)) - 1
    return [Stretch(sessions[start], sessions[end]) for start, end in zip(starts, ends, strict=True)]
