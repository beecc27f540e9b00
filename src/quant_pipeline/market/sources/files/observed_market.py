"""What a folder of market files was read as."""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd

from quant_pipeline.market.data import SourceProblem

DAILY, INTRADAY = "daily", "intraday"


@dataclass
class Observation:
    """A folder of market files, read whole.

    Attributes
    ----------
    layouts
        Name of each file to that of its layout.
    adjusted
        Name of each file to what its prices are adjusted for.
    rows
        As traded, sorted by instrument and date: ``date``, ``instrument``, prices, ``volume``, ``dividend``, ``split``
        and, where a vendor gives them, ``vendor_adjusted_close`` and ``amount``. Values may lie in a file, so that
        pandas refuses to change them in their place; a copy can be changed.
    benchmark
        The same of the benchmark; None where the mean serves.
    securities, delistings
        Tables beside the bars; delistings as corporate actions.
    calendar
        Exchange calendar of the dates.
    frequency
        ``daily``, ``weekly``, ``monthly`` or ``intraday``.
    problems
        What is wrong, the largest first.
    findings
        What was left out or noted, in the columns of `quality.COLUMNS`.
    is_refused
        Whether the problems refuse the market; else what they name was left out.
    is_blocked
        Whether one of them remains whatever is left out.
    """

    layouts: dict[str, str] = field(default_factory=dict)
    adjusted: dict[str, str] = field(default_factory=dict)
    rows: pd.DataFrame = field(default_factory=pd.DataFrame)
    benchmark: pd.DataFrame | None = None
    securities: pd.DataFrame | None = None
    delistings: pd.DataFrame = field(default_factory=pd.DataFrame)
    calendar: str = "XNYS"
    frequency: str = DAILY
    problems: list[SourceProblem] = field(default_factory=list)
    findings: pd.DataFrame = field(default_factory=pd.DataFrame)
    is_refused: bool = False
    is_blocked: bool = False
