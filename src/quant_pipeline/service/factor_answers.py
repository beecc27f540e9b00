"""Factors for one question: plans and bars stay in memory, so that a question costs what its cells cost."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import pandas as pd

from quant_pipeline.common.exceptions import FactorError
from quant_pipeline.common.listing import first_of
from quant_pipeline.factors.engine import FactorPlan, compile_factors
from quant_pipeline.factors.feature_sets import find_feature_set
from quant_pipeline.service.answers import require_cells
from quant_pipeline.service.problems import Refused
from quant_pipeline.service.questions import FactorQuestion, Span
from quant_pipeline.service.served_project import ServedProject

PLANS = 64
"""Compiled sets of expressions that are kept."""


def calculate(served: ServedProject, question: FactorQuestion, max_cells: int) -> pd.DataFrame:
    """Compute factors.

    Returns
    -------
    pandas.DataFrame
        Panel ``(datetime, instrument) × factor``, float32; a row depends on bars up to its session only, unless an
        expression looks ahead.

    Raises
    ------
    FactorError
        When an expression cannot be read, or looks ahead without leave.
    Refused
        When the market has no such instrument or session, or the answer would be too large.
    """
    bars = served.table("adjusted_bars")
    expressions = expressions_of(served, question)
    fields = tuple(column for column in bars.columns if column not in ("date", "instrument"))
    plan = _plan(tuple(expressions.items()), fields, question.allow_future)
    start, end = span_of(served, question)
    days = served.calendar
    sessions = int(((days >= start) & (days <= end)).sum())
    chosen = _chosen(served, question.instruments)
    require_cells(sessions * len(chosen), len(expressions), max_cells)
    if question.instruments is not None and not _looks_across(plan):
        bars = bars[bars["instrument"].isin(chosen)]
    panel = plan.panel(bars, days, start, end)
    if question.instruments is not None:
        panel = panel[panel.index.get_level_values("instrument").isin(chosen)]
    return panel


def expressions_of(served: ServedProject, question: FactorQuestion) -> dict[str, str]:
    """Return the expressions of a question, those of its feature set first."""
    found: dict[str, str] = {}
    if question.feature_set is not None:
        feature_set = find_feature_set(question.feature_set, served.parameters["feature_sets"])
        if feature_set.file is not None:
            raise FactorError(f"feature set '{question.feature_set}' reads a file; ask for its expressions by name")
        found = feature_set.computed_expressions()
    taken = sorted(set(found) & set(question.expressions))
    if taken:
        raise FactorError(f"'{taken[0]}' is a factor of set '{question.feature_set}' already; take another name")
    return {**found, **question.expressions}


def span_of(served: ServedProject, span: Span) -> tuple[pd.Timestamp, pd.Timestamp]:
    """Return the first and the last session of a span: the newest one when it names none.

    Raises
    ------
    Refused
        When the market has no session in it.
    """
    days = served.calendar
    end = days[-1] if span.end is None else pd.Timestamp(span.end)
    start = min(end, days[-1]) if span.start is None else pd.Timestamp(span.start)
    if not ((days >= start) & (days <= end)).any():
        raise Refused(
            422,
            "no session",
            f"the market has no session from {start:%Y-%m-%d} to {end:%Y-%m-%d}",
            f"Its sessions are from {days[0]:%Y-%m-%d} to {days[-1]:%Y-%m-%d}.",
            "start",
        )
    return start, end


def require_known(served: ServedProject, instruments: list[str]) -> None:
    """Refuse instruments that the market does not have.

    Raises
    ------
    Refused
        422, naming the first ones.
    """
    unknown = sorted(set(instruments) - _instruments(served))
    if unknown:
        raise Refused(
            422,
            "unknown instrument",
            f"the market has no {first_of(unknown, whole='the question')}",
            "GET /v1/instruments lists what it has.",
            "instruments",
        )


def _chosen(served: ServedProject, instruments: list[str] | None) -> set[str]:
    if instruments is None:
        return _instruments(served)
    require_known(served, instruments)
    return set(instruments)


def _instruments(served: ServedProject) -> set[str]:
    return served.kept(
        "names of instruments", ("adjusted_bars",), lambda: set(served.table("adjusted_bars")["instrument"].unique())
    )


def _looks_across(plan: FactorPlan) -> bool:
    """Whether a value depends on the bars of other instruments, so that none may be left out."""
    return bool(plan.program.joins_instruments or plan.program.other_instruments)


@lru_cache(maxsize=PLANS)
def _plan(expressions: tuple[tuple[str, str], ...], fields: tuple[str, ...], allow_future: bool) -> FactorPlan:
    named: Mapping[str, str] = dict(expressions)
    return compile_factors(named, fields=fields, allow_future=allow_future)
