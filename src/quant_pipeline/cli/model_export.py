"""A stored version of a model in another format, checked on the newest rows of the universe."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from quant_pipeline.cli.opened_models import registered, store_of
from quant_pipeline.cli.opened_project import OpenedProject
from quant_pipeline.common.environments import in_environment
from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.models.bundle import ModelBundle
from quant_pipeline.models.fitted import Samples
from quant_pipeline.models.onnx_export import export_onnx
from quant_pipeline.models.panel_rows import in_sessions, is_member
from quant_pipeline.models.panels import Features

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
    bundle, features, members = _version_and_inputs(opened, name, role)
    samples = _samples(bundle, features, members, features.index.unique("datetime")[-CHECKED_SESSIONS:])
    file.parent.mkdir(parents=True, exist_ok=True)
    return Exported(bundle.identity, len(samples.rows), export_onnx(bundle, samples, file))


def hand_over(opened: OpenedProject, name: str, span: tuple[pd.Timestamp, pd.Timestamp], folder: Path) -> None:
    """Write the champion of a model for another engine: ``model.onnx``, and what it reads in the sessions of a span.

    ``inputs.parquet`` has ``date``, ``instrument``, the processed factors in their order, and ``score``, of the model.

    Parameters
    ----------
    opened
        The project.
    name
        Of an enabled model.
    span
        First and last session.
    folder
        Where to write.

    Raises
    ------
    ConfigurationError
        When there is no such model, its features are not there, or it reads windows of sessions.
    ModelError
        When it has no champion, or it cannot be exported.
    """
    bundle, features, members = _version_and_inputs(opened, name, "champion")
    if bundle.facts.spec.window > 1:
        raise ConfigurationError(f"{name} reads windows of sessions; hand over a model that reads one row a score")
    days = features.index.unique("datetime")
    samples = _samples(bundle, features, members, days[(days >= span[0]) & (days <= span[1])])
    folder.mkdir()
    export_onnx(bundle, samples, folder / "model.onnx")
    index = samples.index
    inputs = pd.DataFrame(samples.values, columns=pd.Index(samples.factors, dtype="str"))
    inputs.insert(0, "date", index.get_level_values("datetime"))
    inputs.insert(1, "instrument", index.get_level_values("instrument").astype("str"))
    inputs.assign(score=bundle.model.predict(samples)).to_parquet(folder / "inputs.parquet", index=False)


def _version_and_inputs(
    opened: OpenedProject, name: str, role: Literal["champion", "candidate"]
) -> tuple[ModelBundle, Features, pd.DataFrame]:
    spec = registered(name)
    bundle = store_of(opened, name).read(role)
    dataset = f"{spec.features}_features"
    if not opened.catalog.exists(dataset):
        command = in_environment("kedro run --pipelines features", opened.configuration.environment)
        raise ConfigurationError(f"{name}: there are no features to compare scores on; run `{command}`")
    return bundle, opened.catalog.load(dataset), opened.catalog.load("universe_members")


def _samples(bundle: ModelBundle, features: Features, members: pd.DataFrame, sessions: pd.DatetimeIndex) -> Samples:
    """Return the members of some sessions as a model reads them."""
    wanted = in_sessions(features.index, sessions) & is_member(features.index, members)
    return bundle.samples(features, np.flatnonzero(wanted))
