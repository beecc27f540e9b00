"""Reporting as a table of nodes."""

from kedro.pipeline import Node, Pipeline

from quant_pipeline.pipelines.reporting import nodes


def create_pipeline() -> Pipeline:
    """From finished tables to figures, the page and the summary."""
    return Pipeline(
        [
            Node(
                nodes.draw_figures,
                ["backtest_nav", "ic_series"],
                ["nav_figure", "drawdown_figure", "ic_figure"],
                name="draw_figures",
            ),
            Node(
                nodes.compose_report,
                [
                    "nav_figure",
                    "drawdown_figure",
                    "ic_figure",
                    "backtest_nav",
                    "backtest_performance",
                    "combination_comparison",
                    "ensemble_weights",
                    "ic_series",
                    "orders",
                    "holdings",
                    "account_nav",
                    "data_quality",
                    "params:report",
                    "params:as_of",
                ],
                "report_page",
                name="compose_report",
            ),
            Node(
                nodes.summarise,
                [
                    "ic_series",
                    "backtest_performance",
                    "combination_comparison",
                    "orders",
                    "account_nav",
                    "report_page",
                    "params:report",
                    "params:as_of",
                    "params:market_rules",
                ],
                "run_summary",
                name="summarise",
            ),
        ],
        tags="reporting",
    )
