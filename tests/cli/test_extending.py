"""What docs/extending shows works as it stands there: files from outside of the package, commands, contract tests."""

import json
import sqlite3
from contextlib import closing

import pandas as pd
import pytest

from tests.helpers.documented_files import commands_of, files_of, write_files


@pytest.fixture(scope="module")
def project(module_project):
    """A project that has its features, and no model of the pages yet."""
    return module_project


@pytest.fixture
def extended(project, project_path):
    """Return a function that writes the files of a page into the project and returns what its commands printed."""

    def extend(name):
        page = project_path / "docs" / "extending" / f"{name}.md"
        write_files(page, project.path)
        return [project.run(command).stdout for command in commands_of(page)]

    return extend


def contract_passes(project, file):
    done = project.run_process(f"python -m pytest -q -p no:cacheprovider {file}")
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout


@pytest.mark.slow  # The page about a market source is the smaller one.
def test_an_algorithm_from_outside_trains_predicts_and_is_listed(extended, project, project_path):
    files = files_of(project_path / "docs" / "extending" / "algorithm.md")
    assert all(len(text.splitlines()) < 60 for text in files.values())
    *_, listed = extended("algorithm")
    market = project.path / "data/markets/simulated"
    (bundle,) = (market / "06_models/huber_alpha158/bundle/versions").glob("[!.]*")
    manifest = json.loads((bundle / "manifest.json").read_text())
    assert manifest["spec"]["algorithm"] == "my_models.huber.HUBER"
    assert manifest["spec"]["hyper"] == {"algorithm": "my_models.huber.HUBER", "threshold": 1.5, "penalty": 0.0001}
    assert {"scikit-learn", "numpy", "pandas"} == set(manifest["libraries"])
    (row,) = (line for line in listed.splitlines() if line.startswith("huber_alpha158"))
    assert row.split()[1:4] == [bundle.name, "champion", "since"]
    metrics = json.loads((market / "08_reporting/huber_alpha158/metrics.json").read_text())
    assert metrics["sessions"] > 100
    (newest,) = (market / "07_model_output/huber_alpha158/latest").glob("*.parquet")
    scores = pd.read_parquet(newest)["score"]
    assert scores.notna().all()
    assert scores.nunique() > 5
    contract_passes(project, "tests/test_my_models.py")

    registry = project.path / "conf/base/parameters_models.yml"
    registry.write_text(registry.read_text().replace("threshold: 1.5", "threshold: 0.5"))
    refused = project.run("kedro models list", ok=False)
    assert refused.returncode == 1
    wrong = (
        "`models.huber_alpha158.hyper.threshold` of conf/base/parameters_models.yml is 0.5; it should be greater than 1"
    )
    assert wrong in " ".join(refused.stderr.split())
    assert "Traceback" not in refused.stderr

    (project.path / "src/my_models/huber.py").unlink()
    refused = project.run("kedro models list", ok=False)
    assert "`models.huber_alpha158.algorithm` of conf/base/parameters_models.yml: algorithm" in refused.stderr
    assert "'my_models.huber.HUBER': there is no module 'my_models.huber'" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_market_source_from_outside_is_ingested_and_passes_the_contract(project, tmp_path, project_path):
    page = project_path / "docs" / "extending" / "market-source.md"
    assert len(files_of(page)["src/my_sources/sqlite.py"].splitlines()) < 60
    of_its_own = project.copy(tmp_path / "project")
    ingested = of_its_own.path / "data/markets/simulated/02_intermediate/bars.parquet"
    bars = pd.read_parquet(ingested).drop(columns="vendor_adjusted_close")
    with closing(sqlite3.connect(of_its_own.path / "data" / "bars.sqlite")) as database:
        bars.to_sql("bars", database, index=False)
    ingested.unlink()
    write_files(page, of_its_own.path)
    for command in commands_of(page):
        of_its_own.run(command)
    pd.testing.assert_frame_equal(pd.read_parquet(ingested), bars, check_exact=True)
    contract_passes(of_its_own, "tests/test_sqlite_source.py")
