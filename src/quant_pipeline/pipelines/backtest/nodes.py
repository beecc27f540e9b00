"""Nodes of the backtest: one exact backtest for each combination of models."""

from dataclasses import replace
from typing import Any, NamedTuple, assert_never

import numpy as np
import pandas as pd

from quant_pipeline.backtest.array_engine import run_backtest
from quant_pipeline.backtest.event_engine.engine import run_events
from quant_pipeline.backtest.event_engine.rebalance_strategy import RebalanceStrategy
from quant_pipeline.backtest.result import BacktestResult
from quant_pipeline.common.cores import both_on_cores, map_on_cores
from quant_pipeline.evaluation.information_coefficient import summarise
from quant_pipeline.exchange.rules import MarketRules
from quant_pipeline.factors.labels import require_price, stated_label
from quant_pipeline.market.currencies import unit_of_amounts
from quant_pipeline.market.dates import first_date
from quant_pipeline.market.instrument_rows import repeated_names
from quant_pipeline.pipelines.backtest.combination_scores import CombinationScores
from quant_pipeline.pipelines.backtest.facts import decisive_parameters, digest_of_nav, hash_of_parameters
from quant_pipeline.pipelines.backtest.figures import compose_equity_curve, draw_equity_picture
from quant_pipeline.pipelines.backtest.measuring import measure_backtest
from quant_pipeline.pipelines.backtest.parameters import BacktestParameters
from quant_pipeline.pipelines.ensemble.parameters import EnsembleParameters
from quant_pipeline.pipelines.ensemble.provenance import bundles_behind
from quant_pipeline.pipelines.market_tables import MarketTables, TradingRules
from quant_pipeline.pipelines.wiring import takes_records
from quant_pipeline.strategy.account_parameters import AccountParameters

COMPARED = (
    "annualised_return",
    "annualised_volatility",
    "sharpe",
    "maximum_drawdown",
    "win_rate",
    "profit_factor",
    "annualised_turnover",
    "information_ratio",
)
"""Measures by which combinations are compared, see `evaluation.performance`."""


_TABLES = ("fills", "events", "positions")
"""Records of a backtest that tables are made of."""


class _Traded(NamedTuple):
    """A combination that was backtested, and its information coefficients."""

    result: BacktestResult
    coefficients: pd.DataFrame


class _Measured(NamedTuple):
    """Measures of a combination; ``row`` is that of the comparison."""

    nav: pd.DataFrame
    performance: dict[str, float]
    row: dict[str, Any]


@takes_records(tables=MarketTables, rules=TradingRules)
def backtest_combinations(
    fused_scores: pd.DataFrame,
    tables: MarketTables,
    labels: pd.DataFrame,
    ensemble: EnsembleParameters,
    rules: TradingRules,
    backtest: BacktestParameters,
    ensemble_weight_history: pd.DataFrame | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, dict[str, float], pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Trade the fused score of every combination through the test sessions.

    Parameters
    ----------
    fused_scores
        ``datetime``, ``instrument``, ``combination``, ``score``, ``label``; a score is known after the close of its
        session.
    tables
        The market.
    labels
        Panel with column ``label``, for the information coefficient of each combination.
    ensemble, rules
        Rules, the same that order generation and the account use.
    backtest
        The engine.
    ensemble_weight_history
        ``combination``, ``model`` and ``bundle``: what made the scores.

    Returns
    -------
    tuple
        Of the default combination: ``backtest_nav`` (``date``, ``nav``, ``cash``, ``benchmark``, ``turnover``,
        ``cost``), ``backtest_trades``, ``backtest_positions`` and ``backtest_performance``; of all:
        ``combination_comparison``, and ``combination_nav`` (``date``, ``combination``, ``nav``); and
        ``backtest_facts``: ``hash`` and ``parameters`` that decide it, ``bundles`` by model, and the digest of ``nav``.

    Raises
    ------
    ConfigurationError
        When a combination predicts returns between other prices than those that orders execute at.
    StaleDataError
        When its scores do not state what they predict.
    """
    calendar = pd.DatetimeIndex(tables.sessions["date"])
    combinations = CombinationScores(fused_scores, labels["label"])
    market, _ = both_on_cores(
        lambda: tables.market_of(calendar[calendar >= first_date(fused_scores["datetime"])], rules),
        combinations.prepare,
    )
    benchmark, cash = tables.benchmark_levels(market), rules.account.initial_cash
    blocks = {name: getattr(rules, name) for name in ("strategy", "market_rules", "cost_rules", "account")}
    blocks |= {"ensemble": ensemble, "backtest": backtest}
    facts = {
        "hash": hash_of_parameters(blocks),
        "parameters": decisive_parameters(blocks),
        "bundles": bundles_behind(ensemble_weight_history, ensemble.default),
    }

    def trade(name: str) -> _Traded:
        """Backtest one combination, on one core."""
        scores = combinations.scores(name)
        require_price(
            f"combination '{name}'",
            stated_label(combinations.table(name)),
            rules.market_rules.deal_price,
            remedy="predict again: `kedro run --pipelines training,ensemble`",
            trained="train for it: `kedro run --pipelines features,training,ensemble`",
        )
        match backtest.engine:
            case "event":
                rebalancing = RebalanceStrategy(market, rules.strategy, rules.cost_rules)
                result = run_events(
                    rebalancing, market, tables.bars, rules.cost_rules, cash, backtest.events, scores=scores
                )
            case "array":
                result = run_backtest(scores, market, rules.strategy, rules.cost_rules, cash)
            case unknown:
                assert_never(unknown)
        kept = result if name == ensemble.default else _without_tables(result)
        return _Traded(kept, combinations.labelled(scores).coefficients(scores))

    def measure(name: str, traded: _Traded) -> _Measured:
        nav, performance = measure_backtest(traded.result, benchmark, rules.market_rules.risk_free_rate)
        information, combination = summarise(traded.coefficients), ensemble.enabled[name]
        row = {
            "combination": name,
            "members": ", ".join(combination.models),
            "method": combination.member_weights,
            "rank_ic": information["rank_ic"],
            "icir": information["rank_icir"],
            **{key: performance[key] for key in COMPARED},
        }
        return _Measured(nav, performance, row)

    traded = dict(zip(ensemble.enabled, map_on_cores(trade, ensemble.enabled), strict=True))
    # Measures and tables are many short calls: two cores that make them wait for each other.
    measured = {name: measure(name, each) for name, each in traded.items()}
    shown, default = measured[ensemble.default], traded[ensemble.default].result
    facts["nav"] = digest_of_nav(shown.nav)
    comparison = pd.DataFrame([each.row for each in measured.values()])
    combination_nav = _curves({name: each.nav for name, each in measured.items()})
    return shown.nav, default.trades, default.positions, shown.performance, comparison, combination_nav, facts


def _curves(navs: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Return ``date``, ``combination`` and ``nav`` of all combinations, one after the other."""
    date, nav = (np.concatenate([each[name].to_numpy() for each in navs.values()]) for name in ("date", "nav"))
    names = repeated_names(list(navs), np.array([len(each) for each in navs.values()]))
    return pd.DataFrame({"date": date, "combination": names, "nav": nav})


def _without_tables(result: BacktestResult) -> BacktestResult:
    """Let go of fills, events and positions, of which nothing reads the tables: a gigabyte of twelve large accounts."""
    records = result.records
    return replace(result, records=records._replace(**{name: getattr(records, name)[:0].copy() for name in _TABLES}))


def draw_backtest(
    backtest_nav: pd.DataFrame, ensemble: EnsembleParameters, account: AccountParameters, market_rules: MarketRules
) -> tuple[str, Any]:
    """Draw the equity curve of the default combination.

    Parameters
    ----------
    backtest_nav
        ``date``, ``nav``, ``benchmark``.
    ensemble
        Names the default combination.
    account
        Names the account.
    market_rules
        Names the exchange, whose currency amounts are in.

    Returns
    -------
    tuple
        ``backtest_page``, HTML, and ``backtest_picture``, a figure of matplotlib.
    """
    currency = unit_of_amounts(market_rules.calendar)
    return (
        compose_equity_curve(backtest_nav, ensemble.default, account.name, currency),
        draw_equity_picture(backtest_nav, ensemble.default, currency),
    )
