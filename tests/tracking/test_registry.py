"""MLflow's registry shows what the store of bundles has decided, whatever was removed from the registry."""

import shutil
from pathlib import Path

import mlflow
import pytest

from quant_pipeline.common.databases import sqlite_url
from quant_pipeline.models.bundle import write_bundle
from quant_pipeline.models.training import train_bundle
from quant_pipeline.testing.planted_panel import planted_facts, planted_panel
from quant_pipeline.tracking.registry import mark_champion, register_candidate

NAME = "desk.ridge"


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    """Folders of two versions, by their identities."""
    panel, folder = planted_panel(), tmp_path_factory.mktemp("versions")
    made = []
    for days in (panel.segments["train"], panel.segments["train"][:-1]):
        segments = panel.segments | {"train": days}
        bundle = train_bundle(planted_facts("ridge"), panel.features, panel.labels, panel.members, segments)
        write_bundle(bundle, folder / bundle.identity)
        made.append(folder / bundle.identity)
    assert made[0].name != made[1].name
    return made


@pytest.fixture
def registry(project_folder, tmp_path):
    """A registry beside a store of artifacts."""
    mlflow.set_tracking_uri(sqlite_url(project_folder / "mlflow.db"))
    mlflow.create_experiment("test", artifact_location=(tmp_path / "artifacts").as_uri())
    mlflow.set_experiment("test")
    return mlflow.MlflowClient()


def train(folder: Path) -> None:
    with mlflow.start_run():
        register_candidate(NAME, folder)
        mark_champion(NAME, folder.name)


def aliases(registry):
    """Which bundle each alias leads to."""
    found = registry.get_registered_model(NAME).aliases
    return {alias: registry.get_model_version(NAME, version).tags["bundle"] for alias, version in found.items()}


def test_no_version_is_champion_that_the_operator_has_left(registry, bundles, caplog):
    first, second = bundles
    train(first)
    train(second)
    assert aliases(registry) == {"candidate": second.name, "champion": second.name}
    mark_champion(NAME, first.name)
    assert aliases(registry) == {"candidate": second.name, "champion": first.name}
    mark_champion(NAME, second.name)
    assert not caplog.messages
    registry.delete_model_version(NAME, "1")
    mark_champion(NAME, first.name)
    assert aliases(registry) == {"candidate": second.name}
    assert caplog.messages == [
        f"MLflow's registry has no version of {first.name}, the champion of {NAME}; the alias was taken from the "
        "version that had it"
    ]


def test_a_model_that_was_removed_has_no_champion_until_it_is_trained(registry, bundles, caplog):
    train(bundles[0])
    registry.delete_registered_model(NAME)
    mark_champion(NAME, bundles[0].name)
    assert not caplog.messages
    train(bundles[0])
    assert aliases(registry) == dict.fromkeys(("candidate", "champion"), bundles[0].name)


def test_a_version_whose_artifact_is_gone_is_registered_once_more(registry, bundles):
    for _ in range(2):
        train(bundles[0])
    (only,) = registry.search_model_versions(f"name = '{NAME}'")
    shutil.rmtree(mlflow.artifacts.download_artifacts(only.source))
    train(bundles[0])
    assert int(registry.get_model_version_by_alias(NAME, "champion").version) == 2
    assert aliases(registry) == dict.fromkeys(("candidate", "champion"), bundles[0].name)
    mlflow.pyfunc.load_model(f"models:/{NAME}@champion")
