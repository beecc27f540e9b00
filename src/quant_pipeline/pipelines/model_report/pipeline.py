"""The model report as a table of nodes; monitoring is repeated once per registered model."""

from kedro.pipeline import Node, Pipeline

from quant_pipeline.pipelines.model_report import nodes, page
from quant_pipeline.project.model_registry import load_model_registry

MONITORED = ("drift", "rank_ic_band", "health", "importance")


def create_pipeline() -> Pipeline:
    """Compare all enabled models out of sample, watch each of them, and put it on one page."""
    registry = load_model_registry()
    predictions = {f"{name}_predictions": f"{name}_predictions" for name in registry}
    monitoring = [
        Pipeline(
            [
                Node(
                    nodes.monitor_model,
                    ["bundle@champion", "features", "labels", "universe_members", "params:label", "params:monitoring"],
                    list(MONITORED),
                    name="monitor_model",
                )
            ],
            namespace=name,
            inputs={
                "features": f"{spec.features}_features",
                "labels": "labels",
                "universe_members": "universe_members",
            },
            outputs={part: f"{name}_{part}" for part in MONITORED},
            parameters={name: name for name in ("params:label", "params:monitoring")},
        )
        for name, spec in registry.items()
    ]
    comparison = Node(
        nodes.compare_models,
        {
            "adjusted_bars": "adjusted_bars",
            "corporate_actions": "corporate_actions",
            "sessions": "sessions",
            "model_comparison": "params:model_comparison",
            "market_rules": "params:market_rules",
            **predictions,
        },
        ["model_summary", "model_decay", "model_years", "model_correlations"],
        name="compare_models",
    )
    composed = Node(
        page.compose_model_page,
        {
            **{table: table for table in ("model_summary", "model_decay", "model_years", "model_correlations")},
            "model_comparison": "params:model_comparison",
            "monitoring": "params:monitoring",
            **{f"{name}_{part}": f"{name}_{part}" for name in registry for part in MONITORED},
        },
        "model_page",
        name="compose_model_page",
    )
    return Pipeline([*monitoring, comparison, composed], tags="model_report")
