"""A project folder that is moved or copied takes its artifacts with it."""

import hashlib
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import mlflow
import pytest

from quant_pipeline.common.databases import sqlite_url
from quant_pipeline.tracking.opening import prepare
from quant_pipeline.tracking.relocation import PLACE


def store_of(folder):
    return sqlite_url(folder / "mlflow.db")


def contents(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def track(folder, text):
    """Log one artifact as a run of this folder, and register it."""
    mlflow.set_tracking_uri(store_of(folder))
    mlflow.set_experiment("sim")
    with mlflow.start_run() as run:
        mlflow.log_text(text, "bundle/model.txt")
    client = mlflow.MlflowClient()
    if not client.search_registered_models("name = 'ridge'"):
        client.create_registered_model("ridge")
    client.create_model_version("ridge", f"{run.info.artifact_uri}/bundle", run.info.run_id)
    return run.info.run_id


def text_of(run):
    return mlflow.artifacts.load_text(f"{mlflow.get_run(run).info.artifact_uri}/bundle/model.txt")


@pytest.fixture
def used(project_folder):
    """A project that has tracked one run."""
    mlflow.set_tracking_uri(store_of(project_folder))
    mlflow.create_experiment("sim", artifact_location=str(project_folder / "mlruns"))
    return project_folder, track(project_folder, "first")


def test_a_copy_reads_its_own_artifacts_and_never_writes_into_the_original(used, caplog):
    original, first = used
    copy = original.with_name("copy")
    shutil.copytree(original, copy)
    before = contents(original)
    caplog.set_level("INFO")
    prepare(store_of(copy))
    second = track(copy, "second")
    assert contents(original) == before
    assert f"{copy / 'mlflow.db'} came from {original}: " in caplog.text
    shutil.rmtree(original)
    assert (text_of(first), text_of(second)) == ("first", "second")
    versions = mlflow.MlflowClient().search_model_versions("name = 'ridge'")
    loaded = {Path(mlflow.artifacts.download_artifacts(f"models:/ridge/{found.version}")) for found in versions}
    assert {path.is_relative_to(copy) and (path / "model.txt").exists() for path in loaded} == {True}
    assert not original.exists()


def test_a_moved_project_goes_on_in_its_new_place_and_says_so_once(used, caplog):
    original, first = used
    moved = original.rename(original.with_name("moved"))
    caplog.set_level("INFO")
    prepare(store_of(moved))
    prepare(store_of(moved))
    second = track(moved, "second")
    assert (text_of(first), text_of(second)) == ("first", "second")
    assert not original.exists()
    assert len([line for line in caplog.messages if " came from " in line]) == 1


def test_artifacts_kept_elsewhere_on_purpose_stay_where_they_are(used, tmp_path):
    original, _ = used
    for name, place in {"far": "s3://bucket/mlruns", "own": str(tmp_path / "own" / "mlruns")}.items():
        mlflow.create_experiment(name, artifact_location=place)
    moved = original.rename(original.with_name("moved"))
    prepare(store_of(moved))
    mlflow.set_tracking_uri(store_of(moved))
    assert mlflow.get_experiment_by_name("far").artifact_location == "s3://bucket/mlruns"
    assert mlflow.get_experiment_by_name("own").artifact_location == str(tmp_path / "own" / "mlruns")
    assert mlflow.get_experiment_by_name("sim").artifact_location == str(moved / "mlruns")


def test_a_link_to_the_folder_is_no_other_place(used):
    original, _ = used
    link = original.with_name("link")
    link.symlink_to(original)
    prepare(store_of(link))
    mlflow.set_tracking_uri(store_of(original))
    assert mlflow.get_experiment_by_name("sim").artifact_location == str(original / "mlruns")


@pytest.mark.parametrize("original_stays", [True, False])
def test_a_store_of_an_older_version_that_noted_no_folder_follows_too(used, original_stays):
    original, first = used
    with closing(sqlite3.connect(original / "mlflow.db")) as store:
        assert store.execute("DELETE FROM experiment_tags WHERE key = ?", (PLACE,)).rowcount == 1
        store.execute("UPDATE experiments SET artifact_location = ?", ((original / "mlruns").as_uri(),))
        store.execute("UPDATE runs SET artifact_uri = replace(artifact_uri, ?, ?)", (str(original), original.as_uri()))
        store.commit()
    copy = original.with_name("copy")
    shutil.copytree(original, copy)
    if not original_stays:
        shutil.rmtree(original)
    prepare(store_of(copy))
    mlflow.set_tracking_uri(store_of(copy))
    assert mlflow.get_experiment_by_name("sim").artifact_location == (copy / "mlruns").as_uri()
    assert mlflow.get_run(first).info.artifact_uri.startswith((copy / "mlruns").as_uri())
    assert text_of(first) == "first"
