"""Nodes of the evaluation of a signal: its scores, what they know, what they earn, the page."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

import numpy as np
import pandas as pd

from quant_pipeline.backtest.array_engine import run_backtest
from quant_pipeline.common.exceptions import ConfigurationError, FactorError
from quant_pipeline.common.listing import first_of
from quant_pipeline.evaluation.information_coefficient import information_coefficients, rank_ic_t, summarise
from quant_pipeline.exchange.rules import MarketRules
from quant_pipeline.factors.engine import compute_factors
from quant_pipeline.factors.labels import compute_labels
from quant_pipeline.models.panel_rows import is_member
from quant_pipeline.pipelines.backtest.measuring import measure_backtest
from quant_pipeline.pipelines.market_tables import MarketTables, TradingRules
from quant_pipeline.pipelines.signal_evaluation.parameters import SignalEvaluationParameters
from quant_pipeline.pipelines.wiring import takes_records
from quant_pipeline.project.signal_models import expression_of


def score_signal(
    adjusted_bars: pd.DataFrame,
    sessions: pd.DataFrame,
    universe_members: pd.DataFrame,
    signals: dict[str, Any],
    signal_evaluation: SignalEvaluationParameters,
) -> pd.DataFrame:
    """Score the members of the universe with a signal, session by session.

    Parameters
    ----------
    adjusted_bars, sessions
        The market.
    universe_members
        ``date``, ``instrument``: who may be traded.
    signals
        The ``signals`` block.
    signal_evaluation
        Which signal, and which span.

    Returns
    -------
    pandas.DataFrame
        ``datetime``, ``instrument``, ``score``; a score is known after the close of its session. Where the formula has
        no value there is no row.

    Raises
    ------
    ConfigurationError
        When there is no such signal.
    FactorError
        When it has no value at all.
    """
    name, days = signal_evaluation.signal, pd.DatetimeIndex(sessions["date"])
    panel = compute_factors(adjusted_bars, {name: _expression(name, signals)}, days)
    panel = panel[is_member(panel.index, universe_members) & np.isfinite(panel[name].to_numpy())]
    scored = panel[name].astype("float64").rename("score").reset_index()
    first, last = (
        pd.Timestamp(end or bound)
        for end, bound in ((signal_evaluation.start, days[0]), (signal_evaluation.end, days[-1]))
    )
    scored = scored[scored["datetime"].between(first, last)]
    if scored.empty:
        raise FactorError(
            f"signal '{name}' has no value for a member of the universe from {first:%Y-%m-%d} to {last:%Y-%m-%d}; "
            "bring earlier bars, or shorten its windows"
        )
    return scored.reset_index(drop=True)


def _expression(name: str, signals: Mapping[str, Any]) -> str:
    if name not in signals:
        near = get_close_matches(name, signals, n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise ConfigurationError(f"there is no signal '{name}'; {hint}There are {first_of(signals)}.")
    return expression_of(name, signals[name])


def evaluate_signal(
    signal_scores: pd.DataFrame,
    adjusted_bars: pd.DataFrame,
    corporate_actions: pd.DataFrame,
    sessions: pd.DataFrame,
    signal_evaluation: SignalEvaluationParameters,
    market_rules: MarketRules,
) -> pd.DataFrame:
    """Compare the scores with the returns that followed.

    Returns
    -------
    pandas.DataFrame
        ``horizon``, ``ic``, ``icir``, ``rank_ic``, ``rank_icir``, ``rank_ic_t``, ``sessions``.
    """
    horizons = {f"return_{horizon}": horizon for horizon in signal_evaluation.horizons}
    days = pd.DatetimeIndex(sessions["date"])
    labels = compute_labels(adjusted_bars, corporate_actions, days, market_rules.deal_price, horizons)
    scores = signal_scores.set_index(["datetime", "instrument"])["score"]
    rows = []
    for name, horizon in horizons.items():
        coefficients = information_coefficients(scores, labels[name])
        rows.append(
            {"horizon": horizon, **summarise(coefficients), "rank_ic_t": rank_ic_t(coefficients, horizon)},
        )
    columns = ["horizon", "ic", "icir", "rank_ic", "rank_icir", "rank_ic_t", "sessions"]
    return pd.DataFrame(rows)[columns]


@takes_records(tables=MarketTables, rules=TradingRules)
def backtest_signal(
    signal_scores: pd.DataFrame, tables: MarketTables, rules: TradingRules
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, float]]:
    """Trade the scores by the rules of the account.

    Parameters
    ----------
    signal_scores
        ``datetime``, ``instrument``, ``score``.
    tables, rules
        The market and the rules, the same as of every backtest.

    Returns
    -------
    tuple
        ``signal_nav`` (``date``, ``nav``, ``cash``, ``benchmark``, ``turnover``, ``cost``), ``signal_trades`` and
        ``signal_performance``.
    """
    calendar = pd.DatetimeIndex(tables.sessions["date"])
    market = tables.market_of(calendar[calendar >= signal_scores["datetime"].min()], rules)
    scores = signal_scores.set_index(["datetime", "instrument"])["score"]
    result = run_backtest(scores, market, rules.strategy, rules.cost_rules, rules.account.initial_cash)
    nav, performance = measure_backtest(result, tables.benchmark_levels(market), rules.market_rules.risk_free_rate)
    return nav, result.trades, performance
