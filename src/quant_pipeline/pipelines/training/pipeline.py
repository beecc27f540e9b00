"""Training as a table of nodes, repeated once per registered model."""

from kedro.pipeline import Node, Pipeline

from quant_pipeline.model_registry import load_model_registry
from quant_pipeline.pipelines.training import nodes

SHARED_INPUTS = ("labels", "universe_members", "sessions")
SHARED_PARAMETERS = ("params:label", "params:market_rules", "params:split")


def create_pipeline() -> Pipeline:
    """Train, predict out of sample and evaluate every enabled model in its own namespace."""
    return Pipeline(
        [
            Pipeline(
                model_pipeline(),
                namespace=name,
                inputs={"features": f"{spec.features}_features", **{shared: shared for shared in SHARED_INPUTS}},
                outputs={"predictions": f"{name}_predictions"},
                parameters={
                    "params:spec": f"params:models.{name}",
                    "params:feature_set": f"params:feature_sets.{spec.features}",
                    **{shared: shared for shared in SHARED_PARAMETERS},
                },
                tags=["training", spec.algorithm, spec.features, *spec.tags],
            )
            for name, spec in load_model_registry().items()
        ]
    )


def model_pipeline() -> Pipeline:
    """Make the life of one model, from features to what it was worth."""
    return Pipeline(
        [
            Node(
                nodes.train_model,
                {
                    "features": "features",
                    "labels": "labels",
                    "universe_members": "universe_members",
                    "sessions": "sessions",
                    "spec": "params:spec",
                    "feature_set": "params:feature_set",
                    "label": "params:label",
                    "market_rules": "params:market_rules",
                    "split": "params:split",
                    "bundle_as_found": "bundle_as_found",
                },
                ["bundle@candidate", "learning_curve", "importance"],
                name="train_model",
            ),
            Node(
                nodes.predict_out_of_sample,
                ["bundle@candidate", "features", "universe_members", "sessions", "params:label", "params:split"],
                "predictions",
                name="predict_out_of_sample",
            ),
            Node(
                nodes.evaluate_model,
                ["predictions", "labels", "params:spec", "learning_curve", "importance"],
                "metrics",
                name="evaluate_model",
            ),
        ]
    )
