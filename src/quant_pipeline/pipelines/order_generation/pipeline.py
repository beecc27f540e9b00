"""Order generation as a table of nodes."""

from kedro.pipeline import Node, Pipeline

from quant_pipeline.pipelines.order_generation import nodes
from quant_pipeline.pipelines.order_generation.parameters import FILE
from quant_pipeline.project.model_registry import load_model_registry, load_order_generation_parameters

ACCOUNT_AND_MARKET = {
    "events": "ledger_booked",
    "bars": "bars",
    "corporate_actions": "corporate_actions",
    "sessions": "sessions",
}
RULES = {
    name: f"params:{name}"
    for name in ("ensemble", "order_generation", "strategy", "market_rules", "cost_rules", "as_of")
}


def create_pipeline() -> Pipeline:
    """From the scores of the chosen source and the account to recorded orders, with the opinion of every source."""
    scores = _scores()
    recorded = {name: RULES[name] for name in ("ensemble", "order_generation", "market_rules", "as_of")}
    return Pipeline(
        [
            Node(
                nodes.generate_orders,
                {**scores, **ACCOUNT_AND_MARKET, **RULES},
                ["orders", "orders_csv"],
                name="generate_orders",
            ),
            Node(
                nodes.record_orders,
                {**scores, "events": "ledger_booked", "orders": "orders", **recorded},
                "ledger_planned",
                name="record_orders",
            ),
            Node(
                nodes.tell_opinions,
                {**scores, **ACCOUNT_AND_MARKET, **RULES, "orders_with_alternates": "orders_csv"},
                ["opinions", "opinions_csv", "rank_figure", "opinion_page"],
                name="tell_opinions",
            ),
        ],
        tags="order_generation",
    )


def _scores() -> dict[str, str]:
    """Name the scores that are needed: a file of scores needs neither models nor predictions."""
    names = ["score_file"]
    if load_order_generation_parameters()["source"] != FILE:
        names += ["latest_fused_scores", *(f"{model}_latest_scores" for model in load_model_registry())]
    return {name: name for name in names}
