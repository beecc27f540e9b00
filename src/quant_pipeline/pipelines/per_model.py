"""The same nodes once per registered model, each time in the namespace of the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kedro.pipeline import Node, Pipeline

from quant_pipeline.project.model_registry import load_model_registry

SHARED_INPUTS = ("labels", "universe_members", "sessions")
TRAINING_INPUTS = (
    "features", *SHARED_INPUTS, "params:spec", "params:feature_set", "params:label", "params:market_rules",
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
        Of one model. ``features``, ``params:spec`` and ``params:feature_set`` become those of the model;
        `SHARED_INPUTS` are the same for all, and every other dataset is the model's own.
    tag
        Tag of all nodes, beside those of the model.
    parameters
        Parameters that are the same for all models, ``params:label``.
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
                inputs={"features": f"{spec.features}_features", **{each: each for each in SHARED_INPUTS}},
                outputs={output: f"{name}_{output}" for output in outputs},
                parameters={
                    "params:spec": f"params:models.{name}",
                    "params:feature_set": f"params:feature_sets.{spec.features}",
                    **{parameter: parameter for parameter in parameters},
                },
                tags=[tag, spec.algorithm, spec.features, *spec.tags],
            )
            for name, spec in load_model_registry().items()
            if only is None or name in only
        ]
    )
