"""Training as a table of nodes, repeated once per registered model."""

from kedro.pipeline import Node, Pipeline

from quant_pipeline.pipelines.per_model import TRAINING_INPUTS, repeat_per_model
from quant_pipeline.pipelines.training import nodes
from quant_pipeline.pipelines.wiring import by_name


def create_pipeline() -> Pipeline:
    """Train, predict out of sample and evaluate every enabled model in its own namespace."""
    return repeat_per_model(
        [
            Node(
                nodes.train_model,
                by_name(*TRAINING_INPUTS, "params:split", "bundle_as_found"),
                ["bundle@candidate", "learning_curve", "importance"],
                name="train_model",
            ),
            Node(
                nodes.predict_out_of_sample,
                by_name(
                    "features",
                    "universe_members",
                    "sessions",
                    "params:label",
                    "params:split",
                    bundle="bundle@candidate",
                ),
                "predictions",
                name="predict_out_of_sample",
            ),
            Node(
                nodes.evaluate_model,
                by_name("predictions", "labels", "params:label", "params:spec", "learning_curve", "importance"),
                "metrics",
                name="evaluate_model",
            ),
        ],
        "training",
        ("params:label", "params:market_rules", "params:split"),
        outputs=("predictions",),
    )
