"""Walk forward and cross-validation as tables of nodes, repeated once per registered model."""

from kedro.pipeline import Node, Pipeline

from quant_pipeline.pipelines.per_model import TRAINING_INPUTS, repeat_per_model
from quant_pipeline.pipelines.rolling import nodes
from quant_pipeline.pipelines.wiring import by_name


def create_pipeline() -> Pipeline:
    """Retrain every enabled model on a calendar and join the scores of all windows."""
    return repeat_per_model(
        [
            Node(
                nodes.train_windows,
                by_name(*TRAINING_INPUTS, "params:split", "params:rolling", "bundles_as_found"),
                "bundles_by_window",
                name="train_windows",
            ),
            Node(
                nodes.predict_windows,
                by_name(
                    "features",
                    "universe_members",
                    "sessions",
                    "params:label",
                    "params:split",
                    "params:rolling",
                    bundles="bundles_by_window",
                ),
                "rolling_predictions",
                name="predict_windows",
            ),
            Node(
                nodes.evaluate_windows,
                ["rolling_predictions", "labels", "params:label"],
                ["rolling_metrics", "rolling_windows"],
                name="evaluate_windows",
            ),
        ],
        "rolling",
        ("params:label", "params:market_rules", "params:split", "params:rolling"),
    )


def create_cross_validation_pipeline() -> Pipeline:
    """Judge every enabled model on every choice of held-out stretches."""
    return repeat_per_model(
        [
            Node(
                nodes.cross_validate,
                by_name(*TRAINING_INPUTS, "params:split", "params:cross_validation"),
                "cross_validation",
                name="cross_validate",
            )
        ],
        "cross_validation",
        ("params:label", "params:market_rules", "params:split", "params:cross_validation"),
    )
