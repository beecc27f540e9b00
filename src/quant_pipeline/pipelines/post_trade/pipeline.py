"""Post-trade as a table of nodes."""

from kedro.pipeline import Node, Pipeline

from quant_pipeline.pipelines.post_trade import nodes

TABLES = ("trade_log", "holding_log", "daily_amounts", "open_lots", "closed_lots", "trade_costs")


def create_pipeline() -> Pipeline:
    """Book what happened, then state the account."""
    return Pipeline(
        [
            Node(
                nodes.settle_with_broker,
                [
                    "trading_desk",
                    "ledger_as_found",
                    "bars",
                    "corporate_actions",
                    "sessions",
                    "params:account",
                    "params:execution",
                    "params:risk",
                    "params:market_rules",
                    "params:cost_rules",
                    "params:as_of",
                ],
                "ledger_settled",
                name="settle_with_broker",
            ),
            Node(
                nodes.book_fills,
                [
                    "ledger_settled",
                    "statement_files",
                    "bars",
                    "corporate_actions",
                    "sessions",
                    "params:account",
                    "params:statement_import",
                    "params:market_rules",
                    "params:cost_rules",
                    "params:as_of",
                ],
                "ledger_booked",
                name="book_fills",
            ),
            Node(
                nodes.state_account,
                ["ledger_booked", "bars", "corporate_actions", "sessions", "params:market_rules", "params:as_of"],
                ["holdings", "account_nav"],
                name="state_account",
            ),
            Node(
                nodes.tabulate_account,
                ["ledger_booked", "bars", "corporate_actions", "sessions", "params:market_rules", "params:as_of"],
                {name: name for name in TABLES},
                name="tabulate_account",
            ),
        ],
        tags="post_trade",
    )
