"""The same nodes once per registered model, each time in the namespace of the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kedro.pipeline import Node, Pipeline

from quant_pipeline.models.spec import ModelSpec
from quant_pipeline.project.model_registry import label_dataset, label_parameter, load_model_registry

SHARED_INPUTS = ("universe_members", "sessions")
TRAINING_INPUTS = (
    "features", "labels", *SHARED_INPUTS, "params:spec", "params:feature_set", "params:label", "params:market_rules",
)  # fmt: skip
"""What every node that trains begins with."""


def repeat_per_model(
    nodes: Sequence[Node],
    tag: str,
    parameters: Sequence[str],
    *,
    only: Mapping[str, object] | None = None,
    outputs: Sequence[str] = (),
) -> Pipeline:
    """Repeat nodes for every enabled model.

    Parameters
    ----------
    nodes
        Of one model. ``features``, ``labels``, ``params:spec`` and ``params:feature_set`` become those of the model;
        `SHARED_INPUTS` are the same for all, and every other dataset is the model's own.
    tag
        Tag of all nodes, beside those of the model.
    parameters
        Parameters that are the same for all models, and ``params:label``, which a model may have of its own.
    only
        Models to repeat for; None is all enabled ones.
    outputs
        Datasets that other stages read, as ``<model>_<output>``.
    """
    return Pipeline(
        [
            Pipeline(
                list(nodes),
                namespace=name,
                inputs=inputs_of(spec),
                outputs={output: f"{name}_{output}" for output in outputs},
                parameters={
                    "params:spec": f"params:models.{name}",
                    "params:feature_set": f"params:feature_sets.{spec.features}",
                    **parameters_of(name, spec, parameters),
                },
                tags=[tag, spec.algorithm, spec.features, *spec.tags],
            )
            for name, spec in load_model_registry().items()
            if only is None or name in only
        ]
    )


def inputs_of(spec: ModelSpec, shared: Sequence[str] = SHARED_INPUTS) -> dict[str, str]:
    """Return the datasets that nodes of a model read beside its own, by what the nodes call them."""
    return {
        "features": f"{spec.features}_features",
        "labels": label_dataset(spec),
        **{each: each for each in shared},
    }


def parameters_of(name: str, spec: ModelSpec, parameters: Sequence[str]) -> dict[str, str]:
    """Return the parameters that nodes of a model share, by what the nodes call them."""
    return {each: label_parameter(name, spec) if each == "params:label" else each for each in parameters}
