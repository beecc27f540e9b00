"""The backtest as a table of nodes."""

from kedro.pipeline import Node, Pipeline

from quant_pipeline.pipelines.backtest import nodes
from quant_pipeline.pipelines.wiring import by_name


def create_pipeline() -> Pipeline:
    """From fused scores to net asset value, trades, performance, comparison of combinations and equity curve."""
    return Pipeline(
        [
            Node(
                nodes.backtest_combinations,
                by_name(
                    "fused_scores",
                    "bars",
                    "corporate_actions",
                    "sessions",
                    "benchmark",
                    "instruments",
                    "labels",
                    "ensemble_weight_history",
                    "params:ensemble",
                    "params:strategy",
                    "params:market_rules",
                    "params:cost_rules",
                    "params:account",
                    "params:backtest",
                ),
                [
                    "backtest_nav",
                    "backtest_trades",
                    "backtest_positions",
                    "backtest_performance",
                    "combination_comparison",
                    "combination_nav",
                    # Last: they say that the others are there, and of which parameters.
                    "backtest_facts",
                ],
                name="backtest_combinations",
            ),
            Node(
                nodes.draw_backtest,
                by_name("backtest_nav", "params:ensemble", "params:account", "params:market_rules"),
                ["backtest_page", "backtest_picture"],
                name="draw_backtest",
            ),
        ],
        tags="backtest",
    )
