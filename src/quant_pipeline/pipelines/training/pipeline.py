"""Training as a table of nodes, repeated once per registered model."""

from kedro.pipeline import Node, Pipeline

from quant_pipeline.models.algorithms import find_algorithm
from quant_pipeline.pipelines.per_model import TRAINING_INPUTS, repeat_per_model
from quant_pipeline.pipelines.training import nodes
from quant_pipeline.pipelines.wiring import by_name
from quant_pipeline.project.model_registry import load_model_registry

BUNDLE = ["bundle@candidate", "learning_curve", "importance"]
PARAMETERS = ("params:label", "params:market_rules", "params:split")


def create_pipeline() -> Pipeline:
    """Train, predict out of sample and evaluate every enabled model in its own namespace."""
    train = Node(
        nodes.train_model, by_name(*TRAINING_INPUTS, "params:split", "bundle_as_found"), BUNDLE, name="train_model"
    )
    return repeat_per_model([train, *_judging()], "training", PARAMETERS, outputs=("predictions",))


def create_continuation_pipeline() -> Pipeline:
    """Continue every model that can be from its champion; predict and evaluate it as training does."""
    registry = load_model_registry()
    able = {name: spec for name, spec in registry.items() if find_algorithm(spec.algorithm).continue_from is not None}
    go_on = Node(
        nodes.continue_model,
        by_name(*TRAINING_INPUTS, "params:split", "bundle_as_found", champion="champion_if_any"),
        BUNDLE,
        name="continue_model",
    )
    return repeat_per_model([go_on, *_judging()], "continuation", PARAMETERS, only=able, outputs=("predictions",))


def _judging() -> list[Node]:
    return [
        Node(
            nodes.predict_out_of_sample,
            by_name(
                "features", "universe_members", "sessions", "params:label", "params:split", bundle="bundle@candidate"
            ),
            "predictions",
            name="predict_out_of_sample",
        ),
        Node(
            nodes.evaluate_model,
            by_name(
                "predictions",
                "labels",
                "params:label",
                "params:spec",
                "learning_curve",
                "importance",
                bundle="bundle@candidate",
            ),
            ["metrics", "measures"],
            name="evaluate_model",
        ),
    ]
