"""Post-trade as a table of nodes."""

from kedro.pipeline import Node, Pipeline

from quant_pipeline.pipelines.post_trade import nodes
from quant_pipeline.pipelines.wiring import by_name

MARKET = ("bars", "corporate_actions", "sessions", "params:market_rules", "params:as_of")
EXCHANGE = (*MARKET, "params:cost_rules")
TABLES = ("trade_log", "holding_log", "daily_amounts", "open_lots", "closed_lots", "trade_costs")


def create_pipeline() -> Pipeline:
    """Book what happened, then state the account."""
    return Pipeline(
        [
            Node(
                nodes.settle_with_broker,
                by_name(
                    "trading_desk",
                    *EXCHANGE,
                    "params:account",
                    "params:execution",
                    "params:risk",
                    events="ledger_as_found",
                ),
                "ledger_settled",
                name="settle_with_broker",
            ),
            Node(
                nodes.book_fills,
                by_name(
                    "trading_desk",
                    "statement_files",
                    *EXCHANGE,
                    "params:account",
                    "params:statement_import",
                    events="ledger_settled",
                ),
                "ledger_booked",
                name="book_fills",
            ),
            Node(
                nodes.state_account,
                by_name(*MARKET, events="ledger_booked"),
                ["holdings", "account_nav"],
                name="state_account",
            ),
            Node(
                nodes.list_missed_sessions,
                by_name("params:market_rules", "params:as_of", events="ledger_booked"),
                "missed_sessions",
                name="list_missed_sessions",
            ),
            Node(
                nodes.tabulate_account,
                by_name(*MARKET, events="ledger_booked"),
                {name: name for name in TABLES},
                name="tabulate_account",
            ),
        ],
        tags="post_trade",
    )
