"""Features as a table of nodes."""

from kedro.pipeline import Node, Pipeline

from quant_pipeline.pipelines.features import nodes
from quant_pipeline.pipelines.wiring import by_name
from quant_pipeline.project.model_registry import (
    factor_file_of,
    label_dataset,
    label_parameter,
    load_model_registry,
    models_of_own_labels,
)

PRICES = ("adjusted_bars", "corporate_actions", "sessions")


def create_pipeline() -> Pipeline:
    """One panel per feature set that an enabled model uses, the labels, and those of models that have their own."""
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
                by_name(*PRICES, "params:label", "params:market_rules"),
                "labels",
                name="compute_labels",
            ),
            *(
                Node(
                    nodes.compute_labels,
                    by_name(*PRICES, "params:market_rules", label=label_parameter(name, spec)),
                    label_dataset(spec),
                    name=f"compute_labels_{spec.label.title}",
                )
                for name, spec in models_of_own_labels().items()
                if spec.label is not None
            ),
        ],
        tags="features",
    )
