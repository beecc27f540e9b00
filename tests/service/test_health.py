"""What the service answers from: files of the market with their age, room for results, and who may send orders."""

import os
import time
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from quant_pipeline.service.opening import open_served
from quant_pipeline.service.routes import health
from quant_pipeline.service.served_project import ServedProject
from tests.helpers.three_accounts import simulated, three_accounts


@pytest.fixture(scope="module")
def served(tmp_path_factory, project_path):
    path = tmp_path_factory.mktemp("health") / "100%25?"
    three_accounts(project_path, path)
    simulated(path)
    return open_served(ServedProject(SimpleNamespace(project_path=path), None, {}), {})


def test_the_jobs_of_an_account_lie_in_its_own_folder_whatever_its_name(served):
    assert (served.project.folder / "jobs.sqlite").is_file()


def test_the_store_states_when_the_market_was_written(served):
    file = Path(str(served.project.project.catalog.get("sessions")._filepath))
    file.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame({"date": pd.to_datetime(["2024-12-31"])}).to_parquet(file)
    later = time.time() + 3600
    os.utime(file, (later, later))
    found = health.CHECKS["store"](served)
    assert pd.Timestamp(found["market_written"]) == pd.Timestamp(int(later), unit="s", tz="UTC")
    assert -3600 <= found["age_seconds"] < -3000


def test_a_store_without_room_is_not_ready(served, monkeypatch):
    monkeypatch.setattr(health.shutil, "disk_usage", lambda folder: SimpleNamespace(free=health.SCARCE - 1))
    found = health.CHECKS["store"](served)
    assert (found["ready"], found["free_megabytes"]) == (False, 255)


def test_a_free_lease_is_stated_as_free(served):
    assert health.CHECKS["lease"](served) == {"held": False}


def test_an_instant_without_a_zone_is_of_utc(monkeypatch):
    monkeypatch.setattr(health, "_now", lambda: pd.Timestamp("2024-12-31 12:00", tz="UTC"))
    assert health._age(pd.Timestamp("2024-12-31 11:59")) == 60
    assert health._age(pd.Timestamp("2024-12-31 13:00", tz="Europe/Paris")) == 0
    assert health._age(None) is None
