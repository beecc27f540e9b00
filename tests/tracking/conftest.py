"""A store that MLflow has made, to copy: making one takes seconds."""

import shutil
from pathlib import Path

import mlflow
import pytest

from quant_pipeline.common.databases import sqlite_url
from quant_pipeline.tracking.opening import prepare


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("store") / "100%25 of it?" / "mlflow.db"
    prepare(sqlite_url(file))
    return file


@pytest.fixture
def project_folder(empty_store, tmp_path):
    """A folder with a store in it, used there before: a space, an umlaut and a question mark are in its path."""
    folder = tmp_path / "mein Örtchen?"
    folder.mkdir()
    shutil.copy(empty_store, folder / "mlflow.db")
    prepare(sqlite_url(folder / "mlflow.db"))
    yield folder
    mlflow.set_tracking_uri(None)
