"""Fused scores, backtests and the page of `scale_path.py`: what the pipelines ensemble, backtest and reporting do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.pipelines.backtest.nodes import backtest_combinations
from quant_pipeline.pipelines.backtest.parameters import BacktestParameters
from quant_pipeline.pipelines.ensemble.nodes import fuse_history, measure_information, weigh_combinations
from quant_pipeline.pipelines.ensemble.parameters import EnsembleParameters
from quant_pipeline.pipelines.features.nodes import LabelParameters
from quant_pipeline.pipelines.market_tables import MarketTables
from quant_pipeline.pipelines.reporting.nodes import compose_report, draw_figures
from quant_pipeline.pipelines.reporting.parameters import ReportParameters
from quant_pipeline.strategy.account_parameters import AccountParameters
from quant_pipeline.strategy.rules import StrategyRules
from quant_pipeline.trading.orders.execution_parameters import ExecutionRules

SECTIONS = ("backtest", "combinations", "costs", "provenance")
"""Of the page: those that show a backtest. The account has not traded yet."""
NO_ACCOUNT = {
    "orders": pd.DataFrame({"instrument": [], "side": [], "estimated_value": []}),
    "account_nav": pd.DataFrame({"date": [], "nav": [], "cash": []}),
    "data_quality": pd.DataFrame({"instrument": [], "date": [], "check": [], "severity": []}),
}


@dataclass(frozen=True)
class Settings:
    """Rules of the path, by the names of their parameters."""

    strategy: StrategyRules
    market_rules: MarketRules
    cost_rules: CostRules
    label: LabelParameters

    @property
    def blocks(self) -> dict[str, Any]:
        """What a backtest is decided by, with every model and the average of all as combinations."""
        given = {"strategy": self.strategy, "market_rules": self.market_rules, "cost_rules": self.cost_rules}
        return given | {"account": AccountParameters(name="bench"), "backtest": BacktestParameters()}


def combinations_of(models: list[str]) -> EnsembleParameters:
    """Return every model alone, and the average of all, which is the default."""
    alone = {f"{name}_alone": {"models": [name]} for name in models}
    return EnsembleParameters.model_validate({"default": "all", "combinations": {"all": {"models": models}, **alone}})


def fuse(
    predictions: dict[str, pd.DataFrame], labels: pd.DataFrame, sessions: pd.DataFrame, label: LabelParameters
) -> dict[str, pd.DataFrame]:
    """Weigh, fuse and measure the scores of models; return tables by the names of the catalog."""
    ensemble, named = combinations_of(list(predictions)), {f"{name}_predictions": t for name, t in predictions.items()}
    weights, history = weigh_combinations(labels, sessions, ensemble, label, **named)
    fused = fuse_history(history, ensemble, **named)
    series = measure_information(fused, labels, ensemble, **named)
    stored = {"ensemble_weights": weights, "ensemble_weight_history": history}
    return stored | {"fused_scores": fused, "ic_series": series}


def report(
    fused: dict[str, pd.DataFrame], tables: MarketTables, labels: pd.DataFrame, models: list[str], settings: Settings
) -> str:
    """Backtest all combinations with their tables, draw the figures and compose the page."""
    ensemble, blocks = combinations_of(models), settings.blocks
    parameters = blocks | {"ensemble": ensemble}
    found = backtest_combinations(
        fused["fused_scores"],
        labels=labels,
        ensemble=ensemble,
        ensemble_weight_history=fused["ensemble_weight_history"],
        **vars(tables),
        **blocks,
    )
    names = ("backtest_nav", "backtest_trades", "backtest_positions", "backtest_performance")
    shown = dict(zip((*names, "combination_comparison", "combination_nav", "backtest_facts"), found, strict=True))
    shown |= fused
    drawn = draw_figures(
        shown["backtest_nav"], shown["ic_series"], settings.market_rules, shown["backtest_facts"], parameters
    )
    figures = dict(zip(("nav_figure", "drawdown_figure", "ic_figure"), drawn, strict=True))
    return compose_report(
        ReportParameters(account="bench", market="simulated", path="bench", sections=SECTIONS),
        market_rules=settings.market_rules,
        ensemble=ensemble,
        label=settings.label,
        as_of=f"{shown['backtest_nav']['date'].iloc[-1]:%Y-%m-%d}",
        parameters=parameters,
        account=blocks["account"],
        execution=ExecutionRules(),
        events=(),
        **{**NO_ACCOUNT, **shown, **figures},
    )
