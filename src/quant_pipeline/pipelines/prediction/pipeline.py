"""Prediction as a table of nodes."""

from kedro.pipeline import Node, Pipeline

from quant_pipeline.pipelines.ensemble.pipeline import models_in_force
from quant_pipeline.pipelines.prediction import nodes
from quant_pipeline.pipelines.wiring import by_name
from quant_pipeline.project.model_registry import factor_file_of, load_model_registry


def create_pipeline() -> Pipeline:
    """Features of the newest session once per feature set, then the score of every enabled model."""
    registry, in_force = load_model_registry(), models_in_force()
    by_feature_set: dict[str, dict[str, str]] = {}
    for name, spec in registry.items():
        by_feature_set.setdefault(spec.features, {})[name] = f"params:models.{name}"
    latest = [
        Node(
            nodes.compute_latest_features,
            by_name(
                "adjusted_bars",
                "sessions",
                "params:as_of",
                feature_set=f"params:feature_sets.{feature_set}",
                **factor_file_of(feature_set),
                **specs,
            ),
            f"{feature_set}_latest_features",
            name=f"compute_latest_{feature_set}",
        )
        for feature_set, specs in by_feature_set.items()
    ]
    scores = [
        Pipeline(
            [
                _scoring(name in in_force),
            ],
            namespace=name,
            inputs={"latest_features": f"{spec.features}_latest_features", "universe_members": "universe_members"},
            outputs={"latest_scores": f"{name}_latest_scores"},
            parameters={
                "params:as_of": "params:as_of",
                "params:market_rules": "params:market_rules",
                **({} if name in in_force else {"params:spec": f"params:models.{name}"}),
            },
        )
        for name, spec in registry.items()
    ]
    return Pipeline([*latest, *scores], tags="prediction")


def _scoring(is_in_force: bool) -> Node:
    """Score with the champion, which a model in force has to have; another one may lack it."""
    read = ("latest_features", "universe_members", "params:market_rules", "params:as_of")
    if is_in_force:
        return Node(nodes.score_latest, by_name(*read, bundle="bundle@champion"), "latest_scores", name="score_latest")
    return Node(
        nodes.score_unused,
        by_name(*read, "params:spec", bundle="bundle@champion_if_any"),
        "latest_scores",
        name="score_unused",
    )
