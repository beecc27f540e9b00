"""Features as a table of nodes."""

from kedro.pipeline import Node, Pipeline

from quant_pipeline.pipelines.features import nodes
from quant_pipeline.pipelines.wiring import by_name
from quant_pipeline.project.model_registry import factor_file_of, load_model_registry


def create_pipeline() -> Pipeline:
    """One panel per feature set that an enabled model uses, and the labels."""
    used = dict.fromkeys(spec.features for spec in load_model_registry().values())
    return Pipeline(
        [
            *(
                Node(
                    nodes.compute_feature_set,
                    by_name(
                        "adjusted_bars",
                        "sessions",
                        feature_set=f"params:feature_sets.{name}",
                        **factor_file_of(name),
                    ),
                    f"{name}_features",
                    name=f"compute_{name}",
                )
                for name in used
            ),
            Node(
                nodes.compute_labels,
                by_name("adjusted_bars", "corporate_actions", "sessions", "params:label", "params:market_rules"),
                "labels",
                name="compute_labels",
            ),
        ],
        tags="features",
    )
