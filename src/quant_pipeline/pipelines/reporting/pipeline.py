"""Reporting as a table of nodes."""

from kedro.pipeline import Node, Pipeline

from quant_pipeline.pipelines.reporting import nodes

WHERE_IT_STANDS = [
    "params:report",
    "params:market_rules",
    "params:ensemble",
    "params:label",
    "params:as_of",
    "parameters",
]


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
                    "backtest_trades",
                    "combination_comparison",
                    "combination_nav",
                    "ensemble_weights",
                    "ensemble_weight_history",
                    "ic_series",
                    "orders",
                    "holdings",
                    "account_nav",
                    "data_quality",
                    *WHERE_IT_STANDS,
                ],
                "report_page",
                name="compose_report",
            ),
            Node(
                nodes.summarise,
                [
                    "ic_series",
                    "backtest_nav",
                    "backtest_performance",
                    "combination_comparison",
                    "orders",
                    "account_nav",
                    "report_page",
                    *WHERE_IT_STANDS,
                ],
                "run_summary",
                name="summarise",
            ),
        ],
        tags="reporting",
    )
