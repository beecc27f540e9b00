"""The model report as a table of nodes; monitoring is repeated once per registered model."""

from kedro.pipeline import Node, Pipeline

from quant_pipeline.pipelines.model_report import nodes, page
from quant_pipeline.pipelines.per_model import inputs_of, parameters_of
from quant_pipeline.pipelines.wiring import by_name
from quant_pipeline.project.model_registry import load_model_registry

MONITORED = ("drift", "rank_ic_band", "health", "importance")
COMPARED = ("model_summary", "model_decay", "model_years", "model_correlations")


def create_pipeline() -> Pipeline:
    """Compare all enabled models out of sample, watch each of them, and put it on one page."""
    registry = load_model_registry()
    monitoring = [
        Pipeline(
            [
                Node(
                    nodes.monitor_model,
                    by_name(
                        "features",
                        "labels",
                        "universe_members",
                        "params:label",
                        "params:feature_set",
                        "params:monitoring",
                        bundle="bundle@champion",
                    ),
                    list(MONITORED),
                    name="monitor_model",
                )
            ],
            namespace=name,
            inputs=inputs_of(spec, ["universe_members"]),
            outputs={part: f"{name}_{part}" for part in MONITORED},
            parameters={
                "params:feature_set": f"params:feature_sets.{spec.features}",
                **parameters_of(name, spec, ["params:label", "params:monitoring"]),
            },
        )
        for name, spec in registry.items()
    ]
    comparison = Node(
        nodes.compare_models,
        by_name(
            "adjusted_bars",
            "corporate_actions",
            "sessions",
            "params:model_comparison",
            "params:market_rules",
            *(f"{name}_predictions" for name in registry),
        ),
        list(COMPARED),
        name="compare_models",
    )
    composed = Node(
        page.compose_model_page,
        by_name(
            *COMPARED,
            "params:model_comparison",
            "params:monitoring",
            *(f"{name}_{part}" for name in registry for part in MONITORED),
        ),
        "model_page",
        name="compose_model_page",
    )
    return Pipeline([*monitoring, comparison, composed], tags="model_report")
