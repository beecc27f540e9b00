"""Execution as a table of nodes."""

from kedro.pipeline import Node, Pipeline

from quant_pipeline.pipelines.execution import nodes

_MARKET = ["bars", "corporate_actions", "sessions"]
_RULES = [
    "params:account",
    "params:execution",
    "params:risk",
    "params:market_rules",
    "params:cost_rules",
    "params:as_of",
    "params:dry_run",
]


def create_pipeline() -> Pipeline:
    """From the recorded plan to fills, books and a report."""
    return Pipeline(
        [
            Node(
                nodes.describe_instruments,
                ["bars", "instruments", "universe_members", "sessions", "params:risk", "params:as_of"],
                "execution_market",
                name="describe_instruments",
            ),
            Node(
                nodes.judge_orders,
                ["trading_desk", "ledger_planned", "execution_market", *_MARKET, *_RULES],
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
                ["trading_desk", "ledger_recorded", "execution_market", *_MARKET, *_RULES],
                ["execution_orders", "execution_breaks"],
                name="send_orders",
            ),
            Node(
                nodes.report_execution,
                ["risk_verdicts", "execution_orders", "execution_breaks", "params:as_of", "params:dry_run"],
                ["execution_report_csv", "execution_report"],
                name="report_execution",
            ),
        ],
        tags="execution",
    )
