"""The ensemble as a table of nodes."""

from kedro.pipeline import Node, Pipeline

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.pipelines.ensemble import nodes
from quant_pipeline.pipelines.ensemble.parameters import EnsembleParameters
from quant_pipeline.pipelines.wiring import by_name
from quant_pipeline.project.model_registry import (
    TAKEN,
    label_dataset,
    load_model_registry,
    load_order_generation_parameters,
    read_block,
)


def create_pipeline() -> Pipeline:
    """Weights from the validation sessions, fused history, its information coefficients and what its deciles earned."""
    predictions = [f"{model}_predictions" for model in fused_models()]
    return Pipeline(
        [
            Node(
                nodes.weigh_combinations,
                by_name("labels", "sessions", "params:ensemble", "params:label", *predictions, **_own_labels()),
                ["ensemble_weights", "ensemble_weight_history"],
                name="weigh_combinations",
            ),
            Node(
                nodes.fuse_history,
                by_name("params:ensemble", *predictions, weights="ensemble_weight_history"),
                "fused_scores",
                name="fuse_history",
            ),
            Node(
                nodes.measure_information,
                by_name("fused_scores", "labels", "params:ensemble", *predictions),
                "ic_series",
                name="measure_information",
            ),
            Node(
                nodes.measure_deciles,
                by_name("fused_scores", "labels", "params:label", "params:cost_rules", *predictions),
                "decile_history",
                name="measure_deciles",
            ),
        ],
        tags="ensemble",
    )


def create_latest_pipeline() -> Pipeline:
    """Fuse the newest session with the stored weights: the part of the ensemble that runs every day."""
    latest = [f"{model}_latest_scores" for model in fused_models()]
    return Pipeline(
        [
            Node(
                nodes.fuse_latest,
                by_name("params:ensemble", "sessions", "champions", *latest, weights="ensemble_weights"),
                "latest_fused_scores",
                name="fuse_latest",
            )
        ],
        tags="ensemble",
    )


def _own_labels() -> dict[str, str]:
    """Return the labels of members that have their own, by the argument of a node."""
    registry, fused = load_model_registry(), fused_models()
    own = {name: spec for name, spec in registry.items() if name in fused and spec.label is not None}
    return {f"{spec.label.title}_labels": label_dataset(spec) for spec in own.values() if spec.label is not None}


def models_in_force() -> set[str]:
    """Models whose scores become orders, or may at once: those of enabled combinations, and the source of orders."""
    return {*fused_models(), str(load_order_generation_parameters()["source"])} & set(load_model_registry())


def fused_models() -> list[str]:
    """Models of the enabled combinations, all of which must be registered and enabled.

    Raises
    ------
    ConfigurationError
        When a combination names a model that the registry does not have, or has the name of another source of orders.
    """
    ensemble, registry = read_block("ensemble", EnsembleParameters), load_model_registry()
    if taken := sorted(ensemble.enabled.keys() & {*registry, *TAKEN}):
        raise ConfigurationError(
            f"combinations in parameters_ensemble.yml are called {taken}, as models are, or other sources of orders: "
            "nothing would say whose scores become orders. Rename the combinations."
        )
    members = ensemble.members
    unknown = sorted(set(members) - set(registry))
    if unknown:
        raise ConfigurationError(
            f"combinations in parameters_ensemble.yml name {unknown}, which parameters_models.yml does not have "
            "or has disabled. Register and enable these models, or take them out of the combination."
        )
    return members
