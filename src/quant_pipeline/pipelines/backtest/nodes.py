"""Nodes of the backtest."""

from typing import assert_never

import numpy as np
import pandas as pd

from quant_pipeline.backtest.array_engine import run_backtest
from quant_pipeline.backtest.event_engine.engine import run_events
from quant_pipeline.backtest.event_engine.rebalance_strategy import RebalanceStrategy
from quant_pipeline.backtest.preferences import sessions_looked_back_over
from quant_pipeline.backtest.result import BacktestResult
from quant_pipeline.evaluation.information_coefficient import information_coefficients, summarise
from quant_pipeline.evaluation.performance import measure_performance
from quant_pipeline.exchange.market import TradingMarket
from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.factors.labels import require_price, stated_label
from quant_pipeline.market.benchmark import net_total_return
from quant_pipeline.pipelines.backtest.parameters import BacktestParameters
from quant_pipeline.pipelines.ensemble.parameters import EnsembleParameters
from quant_pipeline.strategy.account import AccountParameters
from quant_pipeline.strategy.rules import StrategyRules


def backtest_combinations(
    fused_scores: pd.DataFrame,
    bars: pd.DataFrame,
    corporate_actions: pd.DataFrame,
    sessions: pd.DataFrame,
    benchmark: pd.DataFrame,
    labels: pd.DataFrame,
    ensemble: EnsembleParameters,
    strategy: StrategyRules,
    market_rules: MarketRules,
    cost_rules: CostRules,
    account: AccountParameters,
    backtest: BacktestParameters,
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, float], pd.DataFrame, pd.DataFrame]:
    """Trade the fused score of every combination through the test sessions.

    Parameters
    ----------
    fused_scores
        ``datetime``, ``instrument``, ``combination``, ``score``, ``label``; a score is known after the close of its
        session.
    bars, corporate_actions, sessions
        The market.
    benchmark
        ``date``, ``total_return_close`` and, for a dividend tax, ``dividend_return``.
    labels
        Panel with column ``label``, for the information coefficient of each combination.
    ensemble, strategy, market_rules, cost_rules, account
        Rules, the same that order generation and the account use.
    backtest
        The engine.

    Returns
    -------
    tuple
        Of the default combination: ``backtest_nav`` (``date``, ``nav``, ``cash``, ``benchmark``, ``turnover``,
        ``cost``), ``backtest_trades`` and ``backtest_performance``; and of all: ``combination_comparison``, and
        ``combination_nav`` (``date``, ``combination``, ``nav``).

    Raises
    ------
    ConfigurationError
        When a combination predicts returns between other prices than those that orders execute at.
    StaleDataError
        When its scores do not state what they predict.
    """
    market = _test_market(fused_scores, bars, corporate_actions, sessions, strategy, market_rules)
    comparison, curves = [], []
    for name, combination in ensemble.enabled.items():
        table = fused_scores[fused_scores["combination"] == name]
        require_price(
            f"combination '{name}'",
            stated_label(table),
            market_rules.deal_price,
            anew="predict anew: `kedro run --pipelines training,ensemble`",
            trained="train for it: `kedro run --pipelines features,training,ensemble`",
        )
        scores = table.set_index(["datetime", "instrument"])["score"]
        match backtest.engine:
            case "event":
                rebalancing = RebalanceStrategy(market, strategy, cost_rules)
                result = run_events(
                    rebalancing, market, bars, cost_rules, account.initial_cash, backtest.events, scores=scores
                )
            case "array":
                result = run_backtest(scores, market, strategy, cost_rules, account.initial_cash)
            case unknown:
                assert_never(unknown)
        nav = _net_asset_value(result, net_total_return(benchmark, market_rules.dividend_tax_rate))
        curves.append(nav[["date", "nav"]].assign(combination=name))
        performance = measure_performance(
            nav.set_index("date")["nav"],
            nav.set_index("date")["benchmark"],
            result.turnover,
            market_rules.risk_free_rate,
        )
        information = summarise(information_coefficients(scores, labels["label"]))
        comparison.append(
            {
                "combination": name,
                "members": ", ".join(combination.models),
                "method": combination.member_weights,
                "rank_ic": information["rank_ic"],
                "icir": information["rank_icir"],
                **{key: performance[key] for key in ("annualised_return", "sharpe", "maximum_drawdown")},
            }
        )
        if name == ensemble.default:
            chosen = nav, result.trades, performance
    combination_nav = pd.concat(curves, ignore_index=True)[["date", "combination", "nav"]]
    return (*chosen, pd.DataFrame(comparison), combination_nav)


def _test_market(
    fused_scores: pd.DataFrame,
    bars: pd.DataFrame,
    corporate_actions: pd.DataFrame,
    sessions: pd.DataFrame,
    strategy: StrategyRules,
    market_rules: MarketRules,
) -> TradingMarket:
    first = fused_scores["datetime"].min()
    calendar = pd.DatetimeIndex(sessions["date"])
    earlier = sessions_looked_back_over(strategy, calendar, first)
    known_from = earlier[0] if len(earlier) else first
    known_bars, known_actions = (table[table["date"] >= known_from] for table in (bars, corporate_actions))
    return TradingMarket.from_bars(known_bars, known_actions, calendar[calendar >= first], market_rules, earlier)


def _net_asset_value(result: BacktestResult, benchmark: pd.Series) -> pd.DataFrame:
    index = benchmark.reindex(result.nav.index).ffill()
    return pd.DataFrame(
        {
            "date": result.nav.index,
            "nav": result.nav.to_numpy(),
            "cash": result.cash.to_numpy(),
            "benchmark": np.asarray(index / index.iloc[0] * result.initial_cash),
            "turnover": result.turnover.to_numpy(),
            "cost": (result.fees + result.slippage).to_numpy(),
        }
    )
