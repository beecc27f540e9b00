"""Order generation as a table of nodes."""

from kedro.pipeline import Node, Pipeline

from quant_pipeline.pipelines.order_generation import listing, nodes
from quant_pipeline.pipelines.wiring import by_name
from quant_pipeline.project.model_registry import asks_models, load_model_registry

RECORDED = ("params:ensemble", "params:order_generation", "params:market_rules", "params:account", "params:as_of")
MARKET = ("bars", "corporate_actions", "sessions", "instruments")
DECIDED = (*MARKET, *RECORDED, "params:strategy", "params:cost_rules")


def create_pipeline() -> Pipeline:
    """From the scores of the chosen source and the account to recorded orders, with the opinion of every source."""
    scores = _scores()
    return Pipeline(
        [
            Node(
                nodes.generate_orders,
                by_name(*scores, *_in_force(), *DECIDED, "universe_members", "params:risk", events="ledger_booked"),
                ["orders", "orders_csv"],
                name="generate_orders",
            ),
            Node(
                nodes.record_orders,
                by_name(*scores, *RECORDED, "orders", events="ledger_booked"),
                "ledger_planned",
                name="record_orders",
            ),
            Node(
                nodes.tell_opinions,
                by_name(*scores, *DECIDED, events="ledger_booked", orders_with_alternates="orders_csv"),
                ["opinions", "opinions_csv", "rank_figure", "opinion_page"],
                name="tell_opinions",
            ),
            Node(
                listing.list_orders,
                by_name(
                    "instruments",
                    "params:market_rules",
                    "params:execution",
                    "params:as_of",
                    orders_with_alternates="orders_csv",
                ),
                "order_list",
                name="list_orders",
            ),
        ],
        tags="order_generation",
    )


def _scores() -> list[str]:
    """Name the scores that are needed: a file of scores needs neither models nor predictions."""
    names = ["score_file"]
    if asks_models():
        names += ["latest_fused_scores", *(f"{model}_latest_scores" for model in load_model_registry())]
    return names


def _in_force() -> list[str]:
    """Name what scores of models are compared with."""
    return ["champions", "ensemble_weights"] if asks_models() else []
