"""Compute: two stored backtests side by side over the sessions that both have."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from quant_pipeline.common.exceptions import StaleDataError
from quant_pipeline.evaluation.performance import cost_drag, measure_performance
from quant_pipeline.evaluation.standard_errors import degrees_of_freedom, newey_west_errors, student_bands
from quant_pipeline.market.clock import SESSIONS_PER_YEAR

CONFIDENCE = 0.95
_HORIZON = 1
"""Returns of sessions do not overlap."""


@dataclass(frozen=True)
class StoredBacktest:
    """One backtest as it was stored.

    Attributes
    ----------
    name
        Its name; ``own`` is the account's.
    nav
        ``date``, ``nav``, ``cash``, ``benchmark``, ``turnover``, ``cost``.
    positions
        ``date``, ``instrument``, ``value``.
    parameters
        What decides it, see `facts.decisive_parameters`.
    """

    name: str
    nav: pd.DataFrame
    positions: pd.DataFrame
    parameters: dict[str, object]


@dataclass(frozen=True)
class Comparison:
    """Two backtests over the same sessions.

    Attributes
    ----------
    levels
        ``date``, then the net asset value of each by its name, both from the value of the first session of the first.
    measures
        Measure × name.
    difference
        ``mean`` of the returns of the first less those of the second, per year; ``low`` and ``high`` of its band;
        ``t``.
    by_year
        ``year``, return of each by its name, ``difference``.
    overlap
        ``date``, ``overlap``: part of the value held that both hold alike, from 0 to 1.
    """

    levels: pd.DataFrame
    measures: pd.DataFrame
    difference: dict[str, float]
    by_year: pd.DataFrame
    overlap: pd.DataFrame


def compare_backtests(first: StoredBacktest, second: StoredBacktest, risk_free_rate: float = 0.0) -> Comparison:
    """Compare two backtests over the sessions that both have.

    Parameters
    ----------
    first, second
        The backtests.
    risk_free_rate
        Per year; see `evaluation.performance.report_performance`.

    Raises
    ------
    StaleDataError
        When they have fewer than two sessions in common.
    """
    both = pd.Index(first.nav["date"]).intersection(pd.Index(second.nav["date"]))
    if len(both) < 2:
        raise StaleDataError(
            f"the backtests '{first.name}' and '{second.name}' have no sessions in common; run both again: "
            "`kedro run --pipelines backtest`"
        )
    tables = {each.name: each.nav.set_index("date").loc[both] for each in (first, second)}
    levels = pd.DataFrame({name: table["nav"] / table["nav"].iloc[0] for name, table in tables.items()})
    returns = levels.pct_change().iloc[1:]
    years = (1 + returns).groupby(returns.index.year.rename("year")).prod() - 1
    return Comparison(
        levels=(levels * tables[first.name]["nav"].iloc[0]).rename_axis("date").reset_index(),
        measures=pd.DataFrame({name: _measure(table, risk_free_rate) for name, table in tables.items()}),
        difference=_difference((returns[first.name] - returns[second.name]).to_numpy()),
        by_year=years.assign(difference=years[first.name] - years[second.name])
        .sort_index(ascending=False)
        .reset_index(),
        overlap=overlap_of_holdings(first.positions, second.positions, both),
    )


def _measure(table: pd.DataFrame, risk_free_rate: float) -> dict[str, float]:
    measured = measure_performance(table["nav"], table["benchmark"], table["turnover"], risk_free_rate)
    returns = table["nav"].pct_change().iloc[1:]
    measured["cost_drag"] = cost_drag(returns, (table["cost"] / table["nav"].shift(1)).iloc[1:])
    return measured


def _difference(daily: np.ndarray) -> dict[str, float]:
    """Mean difference per year with the band of Newey-West errors; missing with too few sessions."""
    error = newey_west_errors(daily[:, None], _HORIZON)
    freedom = degrees_of_freedom(np.array([len(daily)]), len(daily), _HORIZON)
    band = student_bands(np.array([daily.mean()]), error, CONFIDENCE, freedom)
    is_alike = not np.any(daily)
    return {
        "mean": float(daily.mean() * SESSIONS_PER_YEAR),
        "low": float(band.lower[0] * SESSIONS_PER_YEAR),
        "high": float(band.upper[0] * SESSIONS_PER_YEAR),
        "t": 0.0 if is_alike else float(daily.mean() / error[0]),
    }


def overlap_of_holdings(first: pd.DataFrame, second: pd.DataFrame, sessions: pd.Index) -> pd.DataFrame:
    """Measure how much two accounts hold alike: the smaller of their weights of each instrument, summed.

    Parameters
    ----------
    first, second
        ``date``, ``instrument``, ``value``.
    sessions
        Sessions to look at; those in which either holds nothing are missing.

    Returns
    -------
    pandas.DataFrame
        ``date``, ``overlap``.
    """
    weights = [_weights(table, sessions) for table in (first, second)]
    both = pd.concat(weights, axis=1, keys=["first", "second"])
    alike = both.fillna(0.0).min(axis=1).groupby(level="date").sum()
    holds = [set(table.index.get_level_values("date")) for table in weights]
    held_by_both = alike.index.isin(holds[0] & holds[1])
    return alike[held_by_both].rename("overlap").reset_index()


def _weights(positions: pd.DataFrame, sessions: pd.Index) -> pd.Series:
    inside = positions[positions["date"].isin(sessions)].set_index(["date", "instrument"])["value"]
    return inside / inside.groupby(level="date").transform("sum")
