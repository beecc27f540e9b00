"""`kedro archive` in a project: what goes, what is refused, and the way back."""

import json
import os
import shutil
from contextlib import chdir
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from click.testing import CliRunner
from mlflow import MlflowClient

from quant_pipeline.cli.account_environment import scaffold_environment
from quant_pipeline.cli.archive import archive
from quant_pipeline.common.locks import locked
from quant_pipeline.project.archive import store as archive_store
from quant_pipeline.project.archive.store import hash_of
from quant_pipeline.project.hooks.storage import LOCK
from quant_pipeline.trading.ledger.events import Event, EventKind
from quant_pipeline.trading.ledger.store import Ledger


@pytest.fixture
def project(tmp_path, project_path):
    shutil.copytree(project_path / "conf", tmp_path / "conf", ignore=shutil.ignore_patterns("local"))
    (tmp_path / "conf/local").mkdir()
    for day in range(1, 31):
        for path in (f"orders/2024-01-{day:02}.csv", f"08_reporting/2024-01-{day:02}/report.html"):
            file = tmp_path / "data/accounts/sim" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(path)
    return tmp_path


def call(command, project):
    class Place:
        project_path = project

    shell = Path.cwd()
    with chdir(shell if shell.is_relative_to(project) else project):
        return CliRunner().invoke(archive, command.split()[2:], obj=Place)


def files(project):
    return {str(path.relative_to(project)) for path in (project / "data/accounts").rglob("2024-*.csv")}


def test_old_sessions_go_and_come_back(project):
    before = files(project)
    dry = call("kedro archive --keep 10 --dry-run", project)
    assert dry.exit_code == 0, dry.output
    assert "40 of 60 files of sessions, 2024-01-01 to 2024-01-20" in dry.output
    assert files(project) == before
    done = call("kedro archive --keep 10", project)
    assert done.exit_code == 0, done.output
    assert "40 moved" in done.output
    assert not (project / "data/accounts/sim/orders/2024-01-20.csv").exists()
    assert (project / "data/accounts/sim/orders/2024-01-21.csv").exists()
    assert "nothing to move" in call("kedro archive --keep 10", project).output
    assert "40 files in data/archive are as they were moved" in call("kedro archive verify", project).output
    assert "brought back: 2 of 2" in call("kedro archive restore 2024-01-05", project).output
    report = "08_reporting/2024-01-05/report.html"
    assert (project / "data/accounts/sim" / report).read_text() == report
    assert "brought back: 38 of 38" in call("kedro archive restore", project).output
    assert files(project) == before


@pytest.mark.parametrize("key", ["as_of", "before"])
def test_a_day_in_the_catalog_of_any_account_keeps_nothing_from_the_archive(project, key):
    scaffold_environment(project / "conf", "hand", "sim")
    entry = {"type": "quant_pipeline.datasets.point_in_time.PointInTimeTable", "filepath": "odd", key: "2024-01-04"}
    for environment in ("sim", "hand"):
        (project / f"conf/{environment}/catalog_odd.yml").write_text(
            yaml.safe_dump({"odd": {**entry, "metadata": {"keep": "always"}}})
        )
    for command in ("--keep 10", "restore", "restore --runs"):
        done = call(f"kedro archive {command}", project)
        assert done.exit_code == 0, done.output


def test_the_documented_steps_from_the_first_to_the_last(project):
    earlier = np.arange("2023-04-26", "2024-01-01", dtype="datetime64[D]")
    for session in earlier:
        (project / f"data/accounts/sim/orders/{session}.csv").write_text("earlier")
    assert "30 of 310 files of sessions, 2023-04-26 to" in call("kedro archive --keep 250 --dry-run", project).output
    assert "30 moved" in call("kedro archive --keep 250", project).output
    assert call("kedro archive verify", project).exit_code == 0
    assert "brought back: 1 of 1" in call("kedro archive restore 2023-04-26", project).output


@pytest.mark.parametrize("named_by_address", [False, True])
def test_plans_of_other_accounts_on_the_market_keep_their_session_and_their_bundle(project, named_by_address):
    scaffold_environment(project / "conf", "hand", "sim")
    scores = [project / f"data/markets/simulated/07_model_output/ensemble/latest/2024-01-{day:02}.parquet"
              for day in range(1, 31)]  # fmt: skip
    for file in scores:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("scores")
    decided, executes_in = pd.Timestamp("2024-01-04"), pd.Timestamp("2024-01-05")
    opened = Event(decided, EventKind.ACCOUNT_OPENED, "open", {"account": "hand", "cash": "100"})
    plan = {"deal_session": "2024-01-05", "revision": 0, "orders": [], "provenance": {"ridge": "planned"}}
    recorded = Event(decided, EventKind.PLAN_RECORDED, f"plan:{executes_in:%Y-%m-%d}", plan)
    Ledger.at(project / "data/accounts/hand/ledger.sqlite").append([opened, recorded])
    if named_by_address:
        name_folders(project, "hand", Path.as_uri)
    store = project / "data/markets/simulated/06_models/ridge/bundle"
    for identity in ("planned", "unused"):
        folder = store / "versions" / identity
        folder.mkdir(parents=True)
        os.utime(folder, (0, 0))
    (store / "aliases.json").write_text(json.dumps({"candidate": None, "champion": None, "champions": []}))
    done = call("kedro archive --keep 10 --bundles", project)
    assert done.exit_code == 0, done.output
    assert [file.stem for file in scores if file.exists()] == ["2024-01-04", *(f"2024-01-{d}" for d in range(21, 31))]
    assert [path.name for path in (store / "versions").iterdir()] == ["planned"]


def test_nearly_everything_goes_only_by_force(project):
    refused = call("kedro archive --keep 1", project)
    assert refused.exit_code == 1
    assert "58 of 60 files of sessions would go, nearly all" in refused.output
    assert call("kedro archive --keep 1 --force", project).exit_code == 0


def test_nearly_all_bundles_notebooks_or_runs_go_only_by_force_and_a_dry_run_says_so(project):
    store = project / "data/markets/simulated/06_models/ridge/bundle"
    for number in range(3):
        (store / f"versions/{number}").mkdir(parents=True)
        os.utime(store / f"versions/{number}", (0, 0))
    (store / "aliases.json").write_text(json.dumps({"candidate": None, "champion": None, "champions": []}))
    (project / "notebooks").mkdir()
    (project / "notebooks/2024-01-01.ipynb").write_text("{}")
    client = MlflowClient(f"sqlite:///{project / 'mlflow.db'}")
    experiment = client.create_experiment("sim")
    for start in range(11):
        client.set_terminated(client.create_run(experiment, start_time=start).info.run_id)
    said = "1 of 1 notebooks, 3 of 3 bundles, 10 of 11 runs of MLflow would go, nearly all"
    everything = "kedro archive --keep 10 --bundles --include-notebooks --runs 1"
    dry = call(f"{everything} --dry-run", project)
    assert (dry.exit_code, f"without --dry-run this is refused: {said}" in dry.output) == (0, True), dry.output
    refused = call(everything, project)
    assert (refused.exit_code, f"Error: {said}" in refused.output) == (1, True), refused.output
    assert len(list((store / "versions").iterdir())) == 3
    assert (project / "notebooks/2024-01-01.ipynb").exists()
    assert len(client.search_runs([experiment])) == 11
    assert len(files(project)) == 30
    forced = call(f"{everything} --force", project)
    assert forced.exit_code == 0, forced.output
    assert len(client.search_runs([experiment])) == 1
    assert list((store / "versions").iterdir()) == []


def restore_while_a_neighbour_runs(project):
    """Archive another account, and try to restore while it is in use; return its folder."""
    other = project / "data/accounts/hand"
    (other / "orders").mkdir(parents=True)
    for day in range(1, 31):
        (other / f"orders/2024-01-{day:02}.csv").write_text("orders")
    assert call("kedro archive --keep 10 --env hand", project).exit_code == 0
    with locked(other / LOCK, "the account 'hand'"):
        busy = call("kedro archive restore", project)
    assert (busy.exit_code, "the account 'hand' is in use" in busy.output) == (1, True), busy.output
    return other


def test_restore_waits_for_no_run_of_another_account_but_says_that_it_is_busy(project):
    scaffold_environment(project / "conf", "hand", "sim")
    other = restore_while_a_neighbour_runs(project)
    assert len(list((other / "orders").glob("2024-*.csv"))) == 10
    assert call("kedro archive restore", project).exit_code == 0
    assert len(list((other / "orders").glob("2024-*.csv"))) == 30


@pytest.mark.parametrize("folder", [".", "data"])
def test_folder_that_holds_the_project_is_refused(project, folder, monkeypatch):
    monkeypatch.chdir(project)
    before = files(project)
    refused = call(f"kedro archive --keep 10 --folder {folder}", project)
    assert refused.exit_code == 1
    assert "holds the project itself" in refused.output
    assert files(project) == before


def test_a_folder_that_is_typed_begins_where_it_is_typed_and_the_default_at_the_project(project, monkeypatch):
    (project / "data/below").mkdir()
    monkeypatch.chdir(project / "data/below")
    assert call("kedro archive --keep 10 --folder kept", project).exit_code == 0
    assert (project / "data/below/kept/manifest.jsonl").is_file()
    assert "40 files in kept are as they were moved" in call("kedro archive verify --folder kept", project).output
    assert "brought back: 40 of 40" in call("kedro archive restore --folder kept", project).output
    assert call("kedro archive --keep 10", project).exit_code == 0
    assert (project / "data/archive/manifest.jsonl").is_file()
    elsewhere = call("kedro archive --keep 5 --folder s3://desk/archive", project)
    assert (elsewhere.exit_code, "--folder cannot lie at s3://desk/archive" in elsewhere.output) == (1, True)


def name_folders(project, environment, written):
    """Let an environment name its folders in another way."""
    file = project / f"conf/{environment}/globals.yml"
    own = (yaml.safe_load(file.read_text()) if file.is_file() else None) or {}
    folders = {"market": "data/markets/simulated", "account": f"data/accounts/{environment}"}
    file.write_text(yaml.safe_dump(own | {"paths": {kind: written(project / path) for kind, path in folders.items()}}))


@pytest.mark.parametrize("written", [str, Path.as_uri], ids=["path", "address"])
def test_folders_that_are_named_in_full_are_locked_and_archived(project, written):
    scaffold_environment(project / "conf", "hand", "sim")
    name_folders(project, "sim", written)
    (project / "data/markets/simulated").mkdir(parents=True)
    for folder in ("data/accounts/sim", "data/markets/simulated"):
        with locked(project / folder / LOCK, "the folder"):
            busy = call("kedro archive --keep 10", project)
        assert (busy.exit_code, "is in use" in busy.output) == (1, True), busy.output
    done = call("kedro archive --keep 10", project)
    assert (done.exit_code, "40 moved" in done.output) == (0, True), done.output
    assert (project / "data/archive/data/accounts/sim/orders/2024-01-01.csv").is_file()
    # Files of a neighbour come back while no run writes there.
    restore_while_a_neighbour_runs(project)


def by_link(path):
    """The same folder, by a link to the project."""
    project = next(folder for folder in path.parents if (folder / "conf").is_dir())
    link = project.with_name("link")
    if not link.exists():
        link.symlink_to(project)
    return str(link / path.relative_to(project))


def by_steps_upwards(path):
    return str(path.parent / ".." / path.parent.name / path.name)


@pytest.mark.parametrize("written", [by_link, by_steps_upwards])
def test_folders_that_are_named_by_a_link_or_steps_upwards_are_archived_under_their_own_names(project, written):
    scaffold_environment(project / "conf", "hand", "sim")
    name_folders(project, "sim", written)
    store = project / "data/markets/simulated/06_models/ridge/bundle"
    version = store / "versions/0123"
    version.mkdir(parents=True)
    (version / "weights").write_text("0.5")
    for path in (version / "weights", version):
        os.utime(path, (0, 0))
    (store / "aliases.json").write_text(json.dumps({"candidate": None, "champion": None, "champions": []}))
    done = call("kedro archive --keep 10 --bundles --force", project)
    assert (done.exit_code, "41 moved" in done.output) == (0, True), done.output
    assert not version.exists()
    for moved in ("data/accounts/sim/orders/2024-01-01.csv", version.relative_to(project) / "weights"):
        assert (project / "data/archive" / moved).is_file()
    restore_while_a_neighbour_runs(project)
    assert call("kedro archive restore", project).exit_code == 0
    assert (version / "weights").read_text() == "0.5"


def test_a_file_that_cannot_be_read_stops_no_other(project, monkeypatch):
    def unreadable(path):
        if path.name == "2024-01-03.csv":
            raise PermissionError(13, "Permission denied", str(path))
        return hash_of(path)

    monkeypatch.setattr(archive_store, "hash_of", unreadable)
    done = call("kedro archive --keep 10", project)
    assert done.exit_code == 1
    assert "39 moved" in done.output
    assert "1 files were left where they are" in done.output
    assert "2024-01-03.csv: Permission denied" in done.output
    assert (project / "data/accounts/sim/orders/2024-01-03.csv").exists()


def test_a_changed_file_of_the_archive_is_found(project):
    call("kedro archive --keep 10", project)
    (project / "data/archive/data/accounts/sim/orders/2024-01-01.csv").write_text("changed")
    wrong = call("kedro archive verify", project)
    assert wrong.exit_code == 1
    assert "2024-01-01.csv in the archive has another content" in wrong.output


def test_without_an_archive_the_command_that_makes_one_is_named(project):
    for command in ("verify", "restore"):
        missing = call(f"kedro archive {command}", project)
        assert missing.exit_code == 1
        assert "there is no archive in data/archive; `kedro archive` makes one" in missing.output


def test_from_a_subfolder_of_the_project_the_folder_of_the_archive_is_named_in_full(project, monkeypatch):
    folder = project / "notebooks"
    folder.mkdir(exist_ok=True)
    monkeypatch.chdir(folder)
    assert f"there is no archive in {project}/data/archive;" in call("kedro archive verify", project).output
    assert "there is no archive in kept;" in call("kedro archive verify --folder kept", project).output
    assert f"archive: {project}/data/archive;" in call("kedro archive --keep 10", project).output
    assert f"40 files in {project}/data/archive are as they were moved" in call("kedro archive verify", project).output
    (project / "data/archive/data/accounts/sim/orders/2024-01-01.csv").write_text("changed")
    assert call("kedro archive verify", project).exit_code == 1


def test_dated_notebooks_go_with_the_sessions_before_the_oldest_that_stays(project):
    for name in ("01_tour.ipynb", "look-2024-01-05.ipynb", "2024-01-25/why.ipynb", "2024-01-06/why.ipynb"):
        file = project / "notebooks" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
    (project / "notebooks/linked-2024-01-01.ipynb").symlink_to(project / "notebooks/01_tour.ipynb")
    assert "notebooks" not in call("kedro archive --keep 10 --dry-run", project).output
    dry = call("kedro archive --keep 10 --include-notebooks --dry-run", project)
    assert "notebooks/2024-01-06/why.ipynb" in dry.output
    done = call("kedro archive --keep 10 --include-notebooks", project)
    assert "42 moved" in done.output
    left = {str(path.relative_to(project / "notebooks")) for path in (project / "notebooks").rglob("*.ipynb")}
    assert left == {"01_tour.ipynb", "2024-01-25/why.ipynb", "linked-2024-01-01.ipynb"}
    assert "brought back: 2 of 2" in call("kedro archive restore notebooks", project).output
    assert (project / "notebooks/look-2024-01-05.ipynb").read_text() == "look-2024-01-05.ipynb"


def test_runs_of_another_experiment_and_runs_of_a_refused_archive_stay(project):
    client = MlflowClient(f"sqlite:///{project / 'mlflow.db'}")
    experiments = [client.create_experiment(name) for name in ("sim", "of others")]
    for experiment in experiments:
        for start in range(3):
            client.set_terminated(client.create_run(experiment, start_time=start).info.run_id)
    assert call("kedro archive --keep 1 --runs 1", project).exit_code == 1
    assert len(client.search_runs(experiments)) == 6
    assert call("kedro archive --keep 250 --runs 1", project).exit_code == 0
    assert [len(client.search_runs([experiment])) for experiment in experiments] == [1, 3]


def test_runs_of_mlflow_go_by_their_number_and_come_back(project):
    client = MlflowClient(f"sqlite:///{project / 'mlflow.db'}")
    experiment = client.create_experiment("sim")
    for start in range(3):
        client.set_terminated(client.create_run(experiment, start_time=start).info.run_id)
    assert "2 runs of MLflow, of 3, are older" in call("kedro archive --keep 250 --runs 1 --dry-run", project).output
    assert len(client.search_runs([experiment])) == 3
    assert call("kedro archive --keep 250 --runs 1", project).exit_code == 0
    assert len(client.search_runs([experiment])) == 1
    assert "brought back: 2 runs of MLflow" in call("kedro archive restore --runs", project).output
    assert len(client.search_runs([experiment])) == 3
