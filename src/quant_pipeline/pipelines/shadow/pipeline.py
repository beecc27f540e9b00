"""The shadow account as a table of nodes."""

from kedro.pipeline import Node, Pipeline

from quant_pipeline.pipelines.shadow import nodes
from quant_pipeline.pipelines.wiring import by_name
from quant_pipeline.project.model_registry import asks_models, load_model_registry

MARKET = ("bars", "corporate_actions", "sessions", "instruments", "score_file")
RULES = (
    "params:market_rules", "params:cost_rules", "params:strategy", "params:order_generation", "params:ensemble",
    "params:account", "params:shadow", "params:as_of",
)  # fmt: skip
TABLES = ("shadow_sessions", "shadow_differences", "order_shortfall")


def create_pipeline() -> Pipeline:
    """From the booked ledger to account and shadow side by side."""
    found = [f"{table}_found" for table in TABLES]
    return Pipeline(
        [
            Node(
                nodes.compare_with_shadow,
                by_name(*earlier_scores(), *MARKET, *RULES, *found, events="ledger_booked"),
                [*TABLES, "ledger_explained"],
                name="compare_with_shadow",
            )
        ],
        tags="shadow",
    )


def earlier_scores() -> list[str]:
    """Name the scores of the session before; a file of scores needs none."""
    if not asks_models():
        return []
    return ["earlier_fused_scores", *(f"{model}_earlier_scores" for model in load_model_registry())]
