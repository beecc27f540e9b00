"""A stored version of a model in another format, checked on the newest rows of the universe."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from quant_pipeline.cli.opened_models import registered, store_of
from quant_pipeline.cli.opened_project import OpenedProject
from quant_pipeline.common.environments import in_environment
from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.models.onnx_export import export_onnx
from quant_pipeline.models.training import is_member

CHECKED_SESSIONS = 120
"""Newest sessions whose members are scored by the model and by what was written."""


class Exported(NamedTuple):
    """What was written: identity of the version, rows that were compared, largest difference of a score."""

    bundle: str
    rows: int
    difference: float


def export_version(opened: OpenedProject, name: str, role: Literal["champion", "candidate"], file: Path) -> Exported:
    """Write a version of a model as ONNX.

    Parameters
    ----------
    opened
        The project.
    name
        Of an enabled model.
    role
        Which of its versions.
    file
        Where to write; folders are made.

    Raises
    ------
    ConfigurationError
        When there is no such model, or its features are not there.
    ModelError
        When there is no such version, or it cannot be exported.
    """
    spec = registered(name)
    bundle = store_of(opened, name).read(role)
    dataset = f"{spec.features}_features"
    if not opened.catalog.exists(dataset):
        command = in_environment("kedro run --pipelines features", opened.configuration.environment)
        raise ConfigurationError(f"{name}: there are no features to compare scores on; run `{command}`")
    features, members = opened.catalog.load(dataset), opened.catalog.load("universe_members")
    days = features.index.get_level_values("datetime")
    newest = days.unique()[-CHECKED_SESSIONS - bundle.facts.spec.window :]
    features = features[days >= newest[0]]
    features = features.set_axis(features.index.remove_unused_levels())
    in_time = features.index.get_level_values("datetime").isin(newest[-CHECKED_SESSIONS:])
    samples = bundle.samples(features, np.flatnonzero(in_time & is_member(features.index, members)))
    file.parent.mkdir(parents=True, exist_ok=True)
    return Exported(bundle.identity, len(samples.rows), export_onnx(bundle, samples, file))
