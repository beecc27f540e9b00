"""Execution as a table of nodes."""

from kedro.pipeline import Node, Pipeline

from quant_pipeline.pipelines.execution import nodes
from quant_pipeline.pipelines.wiring import by_name

_EXCHANGE_AND_DESK = (
    "trading_desk",
    "execution_market",
    "bars",
    "corporate_actions",
    "sessions",
    "params:account",
    "params:execution",
    "params:risk",
    "params:market_rules",
    "params:cost_rules",
    "params:as_of",
    "params:dry_run",
)


def create_pipeline() -> Pipeline:
    """From the recorded plan to fills, books and a report."""
    return Pipeline(
        [
            Node(
                nodes.describe_instruments,
                by_name("bars", "instruments", "universe_members", "sessions", "params:risk", "params:as_of"),
                "execution_market",
                name="describe_instruments",
            ),
            Node(
                nodes.judge_orders,
                by_name(*_EXCHANGE_AND_DESK, events="ledger_planned"),
                "risk_verdicts",
                name="judge_orders",
            ),
            Node(
                nodes.record_verdicts,
                ["risk_verdicts", "params:dry_run"],
                "ledger_recorded",
                name="record_verdicts",
            ),
            Node(
                nodes.send_orders,
                by_name(*_EXCHANGE_AND_DESK, "ledger_recorded"),
                ["execution_orders", "execution_breaks", "execution_outcome"],
                name="send_orders",
            ),
            Node(
                nodes.report_execution,
                by_name(
                    "risk_verdicts",
                    "execution_orders",
                    "execution_outcome",
                    "params:as_of",
                    "params:dry_run",
                    "params:execution_folder",
                ),
                ["execution_report_csv", "execution_report", "execution_summary", "execution_status"],
                name="report_execution",
            ),
        ],
        tags="execution",
    )
