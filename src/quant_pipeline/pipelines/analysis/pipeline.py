"""The analysis as a table of nodes."""

from kedro.pipeline import Node, Pipeline

from quant_pipeline.pipelines.analysis import nodes, page
from quant_pipeline.pipelines.wiring import by_name
from quant_pipeline.project.model_registry import asks_models, load_model_registry

MODELS = ("models", "left_out", "alike")
EXECUTION = ("execution", "surroundings", "excursions", "slippage")
PORTFOLIO = ("portfolio", "round_trips", "concentration", "exit")
RISK = ("attribution", "attribution_summary", "exposures", "loadings", "factor_returns", "factor_quality")


def create_pipeline() -> Pipeline:
    """From what post-trade, shadow and training have left to tables and one page."""
    measured = [_models()] if asks_models() else []
    shown = (*(MODELS if measured else ()), *EXECUTION, *PORTFOLIO, *RISK)
    return Pipeline(
        [
            *measured,
            Node(
                nodes.analyse_execution,
                by_name(
                    "order_shortfall",
                    "closed_lots",
                    "adjusted_bars",
                    "params:market_rules",
                    "params:cost_rules",
                    "params:analysis",
                    "params:as_of",
                ),
                _tables(EXECUTION),
                name="analyse_execution",
            ),
            Node(
                nodes.analyse_portfolio,
                by_name(
                    "daily_amounts",
                    "holding_log",
                    "closed_lots",
                    "trade_log",
                    "benchmark",
                    "bars",
                    "params:market_rules",
                    "params:analysis",
                    "params:as_of",
                ),
                _tables(PORTFOLIO),
                name="analyse_portfolio",
            ),
            Node(
                nodes.analyse_risk,
                by_name(
                    "bars",
                    "corporate_actions",
                    "sessions",
                    "adjusted_bars",
                    "universe_members",
                    "instruments",
                    "holding_log",
                    "daily_amounts",
                    "analysed_backtest_positions",
                    "analysed_backtest_nav",
                    "published_factors",
                    "params:market_rules",
                    "params:analysis",
                    "params:as_of",
                    events="ledger_booked",
                ),
                _tables(RISK),
                name="analyse_risk",
            ),
            Node(
                page.compose_analysis_page,
                by_name(
                    *_tables(shown),
                    "analysed_model_decay",
                    "shadow_sessions",
                    "params:analysis",
                    "params:market_rules",
                    "params:account",
                    "params:as_of",
                ),
                "analysis_page",
                name="compose_analysis_page",
            ),
        ],
        tags="analysis",
    )


def _models() -> Node:
    predictions = (f"{model}_predictions" for model in load_model_registry())
    return Node(
        nodes.analyse_models,
        by_name(
            *predictions,
            "labels",
            "analysed_weights",
            "params:ensemble",
            "params:label",
            "params:strategy",
            "params:monitoring",
            "params:analysis",
        ),
        _tables(MODELS),
        name="analyse_models",
    )


def _tables(names: tuple[str, ...]) -> list[str]:
    return [f"analysis_{name}" for name in names]
