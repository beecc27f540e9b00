"""A store that MLflow has made, to copy: making one takes seconds."""

import shutil
from pathlib import Path

import mlflow
import pytest

from quant_pipeline.tracking.opening import prepare


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("store") / "mlflow.db"
    prepare(f"sqlite:///{file}")
    return file


@pytest.fixture
def project_folder(empty_store, tmp_path):
    """A folder with a store in it, used there before: a space and an umlaut are in its path."""
    folder = tmp_path / "mein Örtchen"
    folder.mkdir()
    shutil.copy(empty_store, folder / "mlflow.db")
    prepare(f"sqlite:///{folder / 'mlflow.db'}")
    yield folder
    mlflow.set_tracking_uri(None)
