"""The ranking as a table of nodes."""

from kedro.pipeline import Node, Pipeline

from quant_pipeline.pipelines.ranking import nodes
from quant_pipeline.pipelines.wiring import by_name
from quant_pipeline.project.model_registry import asks_models, load_model_registry

MARKET = ("bars", "sessions", "instruments", "universe_members", "previous_ranking", "decile_history")
RULES = ("params:ensemble", "params:label", "params:market_rules", "params:ranking", "params:strategy", "params:as_of")


def create_pipeline() -> Pipeline:
    """From the scores of a session to its ranking, as table, CSV, JSON and page, with a manifest."""
    scores = ["score_file"]
    if asks_models():
        scores += ["latest_fused_scores", *(f"{model}_latest_scores" for model in load_model_registry())]
    return Pipeline(
        [
            Node(
                nodes.rank_universe,
                by_name(*scores, *MARKET, *RULES),
                ["ranking", "ranking_csv", "ranking_json", "ranking_page", "ranking_manifest"],
                name="rank_universe",
            )
        ],
        tags="ranking",
    )
