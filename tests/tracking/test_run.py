"""A run goes on whatever becomes of the store, and says in one line what is wrong with it."""

import logging
import shutil
import socket
import sqlite3
import sys
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import mlflow
import pytest
import yaml
from click.testing import CliRunner
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import node, pipeline
from kedro.runner import SequentialRunner
from kedro_mlflow.io.artifacts import MlflowArtifactDataset

from quant_pipeline.cli.mlflow_commands import mlflow_commands
from quant_pipeline.common.databases import sqlite_url
from quant_pipeline.common.exceptions import ConfigurationError, TrackingError
from quant_pipeline.project.hooks import TrackingHooks
from quant_pipeline.tracking.opening import _await_database, page_of
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

    def run(self, during=lambda: None, function=double, runner="SequentialRunner", catalog=None):
        """Run the node, do something before it, and return what it has made; `note` of a catalog is saved after it."""
        hooks, catalog = TrackingHooks(), catalog or DataCatalog()
        if "params:number" not in catalog:
            catalog["params:number"] = MemoryDataset(21)
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
        if "note" in catalog:
            hooks.before_dataset_saved("note")
            catalog.save("note", str(result))
            hooks.after_dataset_saved("note")
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


@pytest.mark.parametrize(
    "failure", [ModuleNotFoundError("No module named 'boto3'"), ValueError("invalid literal for int(): '54a'")]
)
def test_what_the_client_of_a_bucket_or_an_address_raises_stops_no_run(sessions, warnings, monkeypatch, failure):
    def raising(*_, **__):
        raise failure

    monkeypatch.setattr(mlflow, "log_params", raising)
    monkeypatch.setattr(mlflow.MlflowClient, "log_batch", raising)
    assert sessions.run() == 42
    assert warnings() == [f"MLflow does not record this run any further: {failure}"]


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
    assert mlflow.get_tracking_uri() == sqlite_url(sessions.folder / "mlflow.db")


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
    store = sqlite_url(sessions.folder / "mlflow.db")
    assert started == [
        ["mlflow", "ui", "--backend-store-uri", store, "--host", "127.0.0.1", "--port", "5099"],
    ]


def test_commands_of_mlflow_and_notebooks_find_its_configuration_in_the_context(sessions):
    assert sessions.context().mlflow.server.mlflow_tracking_uri == sqlite_url(sessions.folder / "mlflow.db")


def test_the_experiment_that_the_shell_names_counts_until_an_environment_names_its_own(sessions, monkeypatch):
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "mine")
    sessions.run()
    sessions.configure(tracking={"experiment": {"name": "own"}})
    sessions.run()
    client = mlflow.MlflowClient()
    for name in ("mine", "own"):
        assert len(client.search_runs([client.get_experiment_by_name(name).experiment_id])) == 1
    assert client.get_experiment_by_name("sim") is None


def test_a_run_ends_with_the_address_at_which_it_is_seen(sessions, capsys):
    logging.getLogger("quant_pipeline").setLevel(logging.INFO)
    sessions.run()
    (run,) = mlflow.search_runs(experiment_names=["sim"], output_format="list")
    path = f"#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
    assert f"MLflow run: http://127.0.0.1:5000/{path} while `kedro mlflow ui` runs\n" in capsys.readouterr().out


def test_a_run_of_a_server_is_seen_at_its_address(sessions):
    sessions.run()
    (run,) = mlflow.search_runs(experiment_names=["sim"], output_format="list")
    mlflow.set_tracking_uri("http://tracking.example.com:5000/")
    assert page_of(run, "paper").startswith("http://tracking.example.com:5000/#/experiments/")


def test_a_database_that_does_not_answer_stops_no_run(sessions, warnings):
    port = closed_port()
    sessions.configure(server={"mlflow_tracking_uri": f"postgresql+psycopg://user@127.0.0.1:{port}/tracking"})
    assert sessions.run() == 42
    assert warnings() == [
        f"MLflow does not record this run any further: no database answers at 127.0.0.1:{port} (ConnectionRefusedError)"
    ]


class _HealthyOnly(BaseHTTPRequestHandler):
    """Answers that it is healthy, and nothing else: what a server in front of a dead database does."""

    asked = 0

    def do_GET(self):
        if self.path != "/health":
            type(self).asked += 1
        self.send_response(200 if self.path == "/health" else 503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_POST = do_GET

    def log_message(self, *_):
        """Print nothing."""


def test_a_server_that_fails_during_the_run_is_asked_twice_and_left_alone(sessions, warnings):
    server = ThreadingHTTPServer(("127.0.0.1", 0), _HealthyOnly)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        sessions.configure(server={"mlflow_tracking_uri": f"http://127.0.0.1:{server.server_port}"})
        assert sessions.run() == 42
    finally:
        server.shutdown()
        server.server_close()
    (line,) = warnings()
    assert line.startswith("MLflow does not record this run any further")
    assert _HealthyOnly.asked == 2


def test_an_artifact_of_the_catalog_is_recorded_and_a_failing_store_ends_no_run(sessions, warnings, tmp_path):
    entry = {"type": "text.TextDataset", "filepath": str(tmp_path / "note.txt")}
    catalog = DataCatalog({"note": MlflowArtifactDataset(dataset=entry, artifact_path="notes")})
    assert sessions.run(catalog=catalog) == 42
    (run,) = mlflow.search_runs(experiment_names=["sim"], output_format="list")
    folder = sessions.folder / "mlruns" / run.info.run_id / "artifacts" / "notes"
    assert (folder / "note.txt").read_text() == "42"
    for path in (tmp_path / "note.txt", sessions.folder / "mlruns"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    (sessions.folder / "mlruns").write_text("a file in the place of the folder")
    assert sessions.run(catalog=catalog) == 42
    assert (tmp_path / "note.txt").read_text() == "42"
    (line,) = warnings()
    assert line.startswith("MLflow does not record this run any further")


def test_an_address_that_cannot_be_read_is_refused_without_its_password(sessions):
    sessions.configure(server={"mlflow_tracking_uri": "postgresql+psycopg://desk:a@b:secret@host/tracking"})
    with pytest.raises(ConfigurationError, match=r"^what MLflow records cannot lie at postgresql.*://…, which can"):
        sessions.run()


@pytest.mark.parametrize(
    ("query", "told"),
    [("host=/run/nowhere", r'socket "/run/nowhere/\.s\.PGSQL\.5432" failed'), ("service=desk", '"desk" not found')],
)
def test_a_server_that_the_query_names_is_looked_for_there_and_once(query, told):
    with pytest.raises(TrackingError, match=rf"^the database of MLflow cannot be reached: .*{told}"):
        _await_database(f"postgresql+psycopg://desk@/tracking?{query}")
