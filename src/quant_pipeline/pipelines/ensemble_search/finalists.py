"""Finalists: the best combinations in full, session by session, through selection and holdout."""

from __future__ import annotations

import numpy as np
import pandas as pd
import scipy

from quant_pipeline.backtest.array_engine import run_backtest
from quant_pipeline.evaluation.performance import annualised_return, max_drawdown, sharpe_ratio
from quant_pipeline.exchange.market import TradingMarket
from quant_pipeline.pipelines.ensemble_search.candidates import SearchSpan
from quant_pipeline.pipelines.ensemble_search.prepared_search import SearchInputs
from quant_pipeline.pipelines.ensemble_search.trials import Members, rules_of_phases


def fuse_members(candidate_scores: pd.DataFrame, members: Members) -> pd.Series:
    """Average the normalised scores of the members; rows that one of them lacks are missing.

    Sums of normalised scores are exact, so this ranks as the search does, bit for bit.
    """
    return candidate_scores[list(members)].sum(axis=1, min_count=len(members)) * (1.0 / len(members))


def backtest_in_full(
    members: Members, inputs: SearchInputs, market: TradingMarket, benchmark: pd.Series
) -> pd.DataFrame:
    """Backtest one combination in every phase.

    Parameters
    ----------
    members
        Names of the models.
    inputs
        Normalised scores, and the rules of the account.
    market
        Market of all sessions, holdout included.
    benchmark
        Return of the benchmark per session.

    Returns
    -------
    pandas.DataFrame
        ``date``, ``phase``, ``return``, ``excess``: one row per phase and session that has a return.
    """
    scores, rules = fuse_members(inputs.candidate_scores, members), inputs.rules
    parts = []
    for phase, strategy in enumerate(rules_of_phases(rules.strategy, inputs.ensemble_search.average_phases)):
        returns = run_backtest(scores, market, strategy, rules.cost_rules, rules.account.initial_cash).returns
        parts.append(
            pd.DataFrame(
                {
                    "date": returns.index,
                    "phase": phase,
                    "return": returns.to_numpy(),
                    "excess": returns.to_numpy() - benchmark.reindex(returns.index).to_numpy(),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def measure_finalist(daily: pd.DataFrame, span: SearchSpan) -> dict[str, float]:
    """Measure a finalist: shape of its returns in the selection, success in the holdout.

    Returns
    -------
    dict
        ``skew`` and ``kurtosis`` of excess returns in the selection; ``holdout_excess_sharpe``,
        ``holdout_annualised_return`` and ``holdout_maximum_drawdown``, missing without a holdout. Phases are pooled;
        return and drawdown are means over phases.
    """
    selected = daily.loc[daily["date"] <= span.selection[-1], "excess"]
    measures = {
        "skew": float(scipy.stats.skew(selected)),
        "kurtosis": float(scipy.stats.kurtosis(selected, fisher=False)),
        **dict.fromkeys(("holdout_excess_sharpe", "holdout_annualised_return", "holdout_maximum_drawdown"), np.nan),
    }
    if span.measured_from is not None:
        held_out = daily[daily["date"] >= span.measured_from]
        by_phase = [part for _, part in held_out.groupby("phase")["return"]]
        measures["holdout_excess_sharpe"] = sharpe_ratio(held_out["excess"])
        measures["holdout_annualised_return"] = float(np.mean([annualised_return(part) for part in by_phase]))
        measures["holdout_maximum_drawdown"] = float(np.mean([max_drawdown(part) for part in by_phase]))
    return measures
