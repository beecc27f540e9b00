"""Order generation as a table of nodes."""

from kedro.pipeline import Node, Pipeline

from quant_pipeline.pipelines.order_generation import nodes


def create_pipeline() -> Pipeline:
    """From today's fused score and account to recorded orders."""
    return Pipeline(
        [
            Node(
                nodes.generate_orders,
                [
                    "latest_fused_scores",
                    "ledger_booked",
                    "bars",
                    "corporate_actions",
                    "sessions",
                    "params:ensemble",
                    "params:strategy",
                    "params:market_rules",
                    "params:cost_rules",
                    "params:as_of",
                ],
                ["orders", "orders_csv"],
                name="generate_orders",
            ),
            Node(
                nodes.record_orders,
                ["ledger_booked", "orders", "params:market_rules", "params:as_of"],
                "ledger_planned",
                name="record_orders",
            ),
        ],
        tags="order_generation",
    )
