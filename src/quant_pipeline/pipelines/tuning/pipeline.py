"""The search as a table of nodes, repeated once per registered model that has a space."""

from kedro.pipeline import Node, Pipeline

from quant_pipeline.model_registry import load_model_registry, load_tuning_parameters
from quant_pipeline.pipelines.tuning import nodes

SHARED_INPUTS = ("labels", "universe_members", "sessions")
SHARED_PARAMETERS = ("params:label", "params:market_rules", "params:split", "params:tuning")


def create_pipeline() -> Pipeline:
    """Search the hyper-parameters of every enabled model that `tuning.spaces` names."""
    spaces = load_tuning_parameters()["spaces"]
    return Pipeline(
        [
            Pipeline(
                [
                    Node(
                        nodes.search_hyper_parameters,
                        [
                            "features",
                            *SHARED_INPUTS,
                            "params:spec",
                            "params:feature_set",
                            *SHARED_PARAMETERS,
                            "study",
                        ],
                        ["trials", "best_hyper"],
                        name="search_hyper_parameters",
                    )
                ],
                namespace=name,
                inputs={"features": f"{spec.features}_features", **{shared: shared for shared in SHARED_INPUTS}},
                parameters={
                    "params:spec": f"params:models.{name}",
                    "params:feature_set": f"params:feature_sets.{spec.features}",
                    **{shared: shared for shared in SHARED_PARAMETERS},
                },
                tags=["tuning", spec.algorithm, spec.features, *spec.tags],
            )
            for name, spec in load_model_registry().items()
            if name in spaces
        ]
    )
