"""Factor evaluation as a table of nodes."""

from kedro.pipeline import Node, Pipeline

from quant_pipeline.pipelines.factor_evaluation import holding, nodes, page
from quant_pipeline.pipelines.wiring import by_name

TABLES = ["factor_summary", "factor_decay", "factor_quantiles", "factor_sessions", "factor_correlations"]

RULES = ("params:strategy", "params:market_rules", "params:cost_rules", "params:account")


def create_pipeline() -> Pipeline:
    """From expressions, a feature set or a file to tables and a page about the factors."""
    return Pipeline(
        [
            Node(
                nodes.collect_factors,
                by_name(
                    "adjusted_bars",
                    "sessions",
                    "universe_members",
                    "precomputed_factors",
                    "params:feature_sets",
                    "params:factor_evaluation",
                ),
                ["evaluated_factors", "known_factors", "factor_sources"],
                name="collect_factors",
            ),
            Node(
                nodes.compute_returns_by_horizon,
                by_name(
                    "adjusted_bars",
                    "corporate_actions",
                    "sessions",
                    "universe_members",
                    "params:factor_evaluation",
                    "params:market_rules",
                ),
                "returns_by_horizon",
                name="compute_returns_by_horizon",
            ),
            Node(
                holding.backtest_factors,
                by_name(
                    "evaluated_factors", "bars", "corporate_actions", "sessions", "benchmark", "instruments", *RULES
                ),
                "factor_backtests",
                name="backtest_factors",
            ),
            Node(
                nodes.evaluate_factors,
                by_name(
                    "evaluated_factors",
                    "known_factors",
                    "factor_sources",
                    "returns_by_horizon",
                    "instruments",
                    "factor_backtests",
                    "params:factor_evaluation",
                ),
                TABLES,
                name="evaluate_factors",
            ),
            Node(
                page.compose_factor_page,
                by_name(*TABLES, "params:factor_evaluation", "params:as_of", *RULES),
                "factor_page",
                name="compose_factor_page",
            ),
        ],
        tags="factor_evaluation",
    )
