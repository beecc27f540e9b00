"""A run goes on whatever becomes of the store, and says in one line what is wrong with it."""

import logging
import shutil
import socket
import sqlite3
import sys
from contextlib import closing

import mlflow
import pytest
import yaml
from click.testing import CliRunner
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import node, pipeline
from kedro.runner import SequentialRunner

from quant_pipeline.cli.mlflow_commands import mlflow_commands
from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.project.hooks import TrackingHooks
from quant_pipeline.tracking.registry import show_champion


def double(number):
    return 2 * number


class Sessions:
    """Runs of one node in a copy of the project's configuration, with the hooks that Kedro calls."""

    def __init__(self, project_path, folder):
        self.root, self.folder = project_path, folder
        shutil.copytree(project_path / "conf", folder / "conf", ignore=shutil.ignore_patterns("local"))

    def configure(self, **settings):
        (self.folder / "conf" / "sim" / "mlflow.yml").write_text(yaml.safe_dump(settings))

    def context(self):
        bootstrap_project(self.root)
        return KedroSession.create(self.folder, save_on_close=False).load_context()

    def run(self, during=lambda: None, function=double, runner="SequentialRunner"):
        """Run the node, do something before it, and return what it has made."""
        hooks, catalog = TrackingHooks(), DataCatalog({"params:number": MemoryDataset(21)})
        made = pipeline([node(function, "params:number", "doubled", name="double_number")])
        names = ("tags", "node_names", "from_nodes", "to_nodes", "from_inputs", "load_versions")
        asked = {**dict.fromkeys(names), "pipeline_names": ["doubling"], "runner": runner}
        hooks.after_context_created(self.context())
        hooks.before_pipeline_run(asked, made, catalog)
        during()
        hooks.before_node_run(made.nodes[0], catalog, {"params:number": 21}, False)
        try:
            result = SequentialRunner().run(made, catalog)["doubled"].load()
        except ZeroDivisionError as error:
            hooks.on_pipeline_error(error, asked, made, catalog)
            raise
        hooks.after_node_run(made.nodes[0], catalog, {"params:number": 21}, {"doubled": result})
        hooks.after_pipeline_run(asked, made, catalog)
        return result


@pytest.fixture
def sessions(project_path, project_folder, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(mlflow.tracking._tracking_service.utils, "_tracking_uri", None)
    return Sessions(project_path, project_folder)


@pytest.fixture
def warnings(caplog):
    """What is said to the user."""
    caplog.set_level(logging.WARNING)
    return lambda: [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def tracked(file):
    with closing(sqlite3.connect(file)) as store:
        return store.execute("SELECT name, status FROM runs").fetchall()


def closed_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def test_a_run_is_tracked_in_the_folder_of_its_project(sessions, warnings):
    assert sessions.run() == 42
    assert tracked(sessions.folder / "mlflow.db") == [("doubling", "FINISHED")]
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name("sim")
    assert experiment.artifact_location == (sessions.folder / "mlruns").as_uri()
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.data.params == {"number": "21"}
    assert warnings() == []


def test_the_first_node_does_not_wait_for_the_record_and_is_in_it(sessions):
    open_records = []

    def double_and_look(number):
        open_records.append(mlflow.active_run())
        return 2 * number

    assert sessions.run(function=double_and_look) == 42
    assert open_records == [None]
    (run,) = mlflow.search_runs(experiment_names=["sim"], output_format="list")
    assert run.data.params == {"number": "21"}


def test_a_runner_with_threads_finds_the_record_open(sessions):
    open_records = []
    sessions.run(during=lambda: open_records.append(mlflow.active_run()), runner="<kedro.runner.ThreadRunner object>")
    assert len(open_records) == 1
    assert open_records[0] is not None


def test_a_run_that_fails_is_closed_as_failed(sessions):
    with pytest.raises(ZeroDivisionError):
        sessions.run(function=lambda number: number / 0)
    assert tracked(sessions.folder / "mlflow.db") == [("doubling", "FAILED")]


def test_the_store_that_the_shell_names_counts_in_every_session_until_an_environment_names_its_own(
    sessions, tmp_path, empty_store, monkeypatch
):
    for name in ("shell.db", "own.db"):
        shutil.copy(empty_store, tmp_path / name)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'shell.db'}")
    assert sessions.run() == sessions.run() == 42
    sessions.configure(server={"mlflow_tracking_uri": f"sqlite:///{tmp_path / 'own.db'}"})
    assert sessions.run() == 42
    sessions.configure()
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert sessions.run() == 42
    files = (tmp_path / "shell.db", tmp_path / "own.db", sessions.folder / "mlflow.db")
    assert [len(tracked(file)) for file in files] == [2, 1, 1]


def test_a_server_that_does_not_answer_stops_no_run(sessions, warnings):
    url = f"http://127.0.0.1:{closed_port()}"
    sessions.configure(server={"mlflow_tracking_uri": url})
    assert sessions.run() == 42
    assert warnings() == [
        f"MLflow does not record this run any further: no tracking server answers at {url} (ConnectionError)"
    ]


def test_a_store_that_is_a_text_file_stops_no_run(sessions, warnings):
    file = sessions.folder / "mlflow.db"
    file.write_text("notes of mine, longer than the header of a database " * 20)
    assert sessions.run() == 42
    (line,) = warnings()
    assert f"{file} is not a database that can be read" in line
    assert "\n" not in line


def test_a_folder_in_which_no_file_can_be_made_stops_no_run(sessions, warnings):
    sessions.configure(server={"mlflow_tracking_uri": "sqlite:////proc/mlflow.db"})
    assert sessions.run() == 42
    (line,) = warnings()
    assert "/proc/mlflow.db.lock" in line


def test_a_store_that_breaks_during_the_run_stops_no_run(sessions, warnings):
    def break_store():
        with closing(sqlite3.connect(sessions.folder / "mlflow.db")) as store:
            store.execute("CREATE TRIGGER full BEFORE INSERT ON params BEGIN SELECT RAISE(FAIL, 'no space'); END")

    assert sessions.run(during=break_store) == 42
    (line,) = warnings()
    assert "no space" in line
    assert "\n" not in line
    assert tracked(sessions.folder / "mlflow.db") == [("doubling", "KILLED")]
    assert mlflow.active_run() is None


def test_a_champion_is_promoted_although_the_registry_does_not_answer(sessions, warnings):
    url = f"http://127.0.0.1:{closed_port()}"
    sessions.configure(server={"mlflow_tracking_uri": url})
    show_champion(sessions.context(), "ridge", "abc")
    assert warnings() == [
        "MLflow's registry does not show that abc is the champion: "
        f"no tracking server answers at {url} (ConnectionError)"
    ]


def test_a_wrong_key_of_the_configuration_is_named(sessions):
    sessions.configure(tracking={"experiment": {"nmae": "x"}})
    said = r"mlflow\.yml cannot be used: nothing reads `tracking\.experiment\.nmae` \(did you mean 'name'\?\)"
    with pytest.raises(ConfigurationError, match=said):
        sessions.run()


def test_a_notebook_asks_mlflow_without_a_run(sessions, monkeypatch):
    monkeypatch.setitem(sys.modules, "kedro.ipython", sys)
    sessions.context()
    assert mlflow.get_tracking_uri() == f"sqlite:///{sessions.folder / 'mlflow.db'}"


def test_a_notebook_goes_on_without_a_server(sessions, monkeypatch, warnings):
    url = f"http://127.0.0.1:{closed_port()}"
    sessions.configure(server={"mlflow_tracking_uri": url})
    monkeypatch.setitem(sys.modules, "kedro.ipython", sys)
    sessions.context()
    assert warnings() == [f"MLflow is not set up: no tracking server answers at {url} (ConnectionError)"]


def test_the_pages_of_mlflow_open_on_the_default_account_and_its_store(sessions, monkeypatch):
    started = []
    monkeypatch.setattr("kedro_mlflow.framework.cli.cli.subprocess.call", lambda command: started.append(command))
    monkeypatch.chdir(sessions.folder)
    shutil.copy(sessions.root / "pyproject.toml", sessions.folder)
    (sessions.folder / "src").mkdir()
    done = CliRunner().invoke(mlflow_commands, ["ui", "--port", "5099"], catch_exceptions=False)
    assert done.exit_code == 0
    store = f"sqlite:///{sessions.folder / 'mlflow.db'}"
    assert started == [
        ["mlflow", "ui", "--backend-store-uri", store, "--host", "127.0.0.1", "--port", "5099"],
    ]


def test_commands_of_mlflow_and_notebooks_find_its_configuration_in_the_context(sessions):
    assert sessions.context().mlflow.server.mlflow_tracking_uri == f"sqlite:///{sessions.folder / 'mlflow.db'}"
