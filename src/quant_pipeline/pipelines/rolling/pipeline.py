"""Walk forward and cross-validation as tables of nodes, repeated once per registered model."""

from kedro.pipeline import Node, Pipeline

from quant_pipeline.model_registry import load_model_registry
from quant_pipeline.models.spec import ModelSpec
from quant_pipeline.pipelines.rolling import nodes

SHARED_INPUTS = ("labels", "universe_members", "sessions")


def create_pipeline() -> Pipeline:
    """Retrain every enabled model on a calendar and join the scores of all windows."""
    return _per_model(
        [
            Node(
                nodes.train_windows,
                [*_training_inputs(), "params:rolling", "bundles_as_found"],
                "bundles_by_window",
                name="train_windows",
            ),
            Node(
                nodes.predict_windows,
                ["bundles_by_window", "features", "universe_members", "sessions", "params:label", "params:rolling"],
                "rolling_predictions",
                name="predict_windows",
            ),
            Node(
                nodes.evaluate_windows,
                ["rolling_predictions", "labels"],
                ["rolling_metrics", "rolling_windows"],
                name="evaluate_windows",
            ),
        ],
        ("params:label", "params:market_rules", "params:rolling"),
        "rolling",
    )


def create_cross_validation_pipeline() -> Pipeline:
    """Judge every enabled model on every choice of held-out stretches."""
    return _per_model(
        [
            Node(
                nodes.cross_validate,
                [*_training_inputs(), "params:split", "params:cross_validation"],
                "cross_validation",
                name="cross_validate",
            )
        ],
        ("params:label", "params:market_rules", "params:split", "params:cross_validation"),
        "cross_validation",
    )


def _training_inputs() -> list[str]:
    parameters = ("spec", "feature_set", "label", "market_rules")
    return ["features", *SHARED_INPUTS, *(f"params:{name}" for name in parameters)]


def _per_model(nodes_of_one: list[Node], shared_parameters: tuple[str, ...], tag: str) -> Pipeline:
    return Pipeline(
        [
            Pipeline(
                nodes_of_one,
                namespace=name,
                inputs={"features": f"{spec.features}_features", **{shared: shared for shared in SHARED_INPUTS}},
                parameters=_parameters(name, spec, shared_parameters),
                tags=[tag, spec.algorithm, spec.features, *spec.tags],
            )
            for name, spec in load_model_registry().items()
        ]
    )


def _parameters(name: str, spec: ModelSpec, shared: tuple[str, ...]) -> dict[str, str]:
    return {
        "params:spec": f"params:models.{name}",
        "params:feature_set": f"params:feature_sets.{spec.features}",
        **{parameter: parameter for parameter in shared},
    }
