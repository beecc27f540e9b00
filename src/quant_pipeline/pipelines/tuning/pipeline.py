"""The search as a table of nodes, repeated once per registered model that has a space."""

from kedro.pipeline import Node, Pipeline

from quant_pipeline.pipelines.per_model import TRAINING_INPUTS, repeat_per_model
from quant_pipeline.pipelines.tuning import nodes
from quant_pipeline.pipelines.wiring import by_name
from quant_pipeline.project.model_registry import load_tuning_parameters


def create_pipeline() -> Pipeline:
    """Search the hyper-parameters of every enabled model that `tuning.spaces` names."""
    return repeat_per_model(
        [
            Node(
                nodes.search_hyper_parameters,
                by_name(*TRAINING_INPUTS, "params:split", "params:tuning", "study"),
                ["trials", "best_hyper"],
                name="search_hyper_parameters",
            )
        ],
        "tuning",
        ("params:label", "params:market_rules", "params:split", "params:tuning"),
        only=load_tuning_parameters()["spaces"],
    )
