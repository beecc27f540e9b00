"""Reporting as a table of nodes."""

from kedro.pipeline import Node, Pipeline

from quant_pipeline.pipelines.reporting import nodes
from quant_pipeline.pipelines.reporting.parameters import ReportParameters
from quant_pipeline.pipelines.wiring import by_name
from quant_pipeline.project.model_registry import read_block

WHERE_IT_STANDS = (
    "params:report", "params:market_rules", "params:ensemble", "params:label", "params:as_of", "parameters",
    "params:account", "params:execution",
)  # fmt: skip
SUMMARISED = (
    "ic_series",
    "backtest_nav",
    "backtest_performance",
    "backtest_facts",
    "combination_comparison",
    "orders",
    "account_nav",
    "missed_sessions",
    "report_page",
)


def create_pipeline() -> Pipeline:
    """From finished tables to figures, the page with the sections of the parameters, and the summary."""
    shown = nodes.tables_of(read_block("report", ReportParameters))
    return Pipeline(
        [
            Node(
                nodes.draw_figures,
                by_name("backtest_nav", "ic_series", "params:market_rules", "backtest_facts", "parameters"),
                ["nav_figure", "drawdown_figure", "ic_figure"],
                name="draw_figures",
            ),
            Node(
                nodes.compose_report,
                by_name(*WHERE_IT_STANDS, *shown, events="ledger_planned"),
                "report_page",
                name="compose_report",
            ),
            Node(
                nodes.summarise,
                by_name(*WHERE_IT_STANDS, *SUMMARISED, events="ledger_planned"),
                "run_summary",
                name="summarise",
            ),
        ],
        tags="reporting",
    )
