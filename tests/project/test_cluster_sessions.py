"""Sessions of a command on workers: what goes with them, and which workers are refused."""

import os
import pickle
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from kedro.framework.project import pipelines
from kedro.framework.startup import bootstrap_project

from quant_pipeline.common.exceptions import ConfigurationError, ModelError, NotReadyError
from quant_pipeline.project.cluster_sessions import LEARNED_FROM, _reason, run_namespaces, run_session, sessions_of
from quant_pipeline.project.configuration import LOADER_OPTIONS, ProjectConfigLoader
from quant_pipeline.project.installation import Installation, this_installation
from quant_pipeline.project.model_registry import use_config_loader
from tests.helpers.project import bare_project

BARS = Path(__file__).resolve().parents[1] / "market/sources/cases/05b_yf_not_adjusted"
"""Up to 2024-05-24."""
MODEL, OTHER = "ridge_alpha158", "lightgbm_alpha158"
SECOND = "account: second\nmarket: other\npaths: {market: data/markets/other, account: data/accounts/second}\n"


@pytest.fixture(scope="module", autouse=True)
def _project(project_path):
    bootstrap_project(project_path)
    yield
    use_config_loader(ProjectConfigLoader(str(project_path / "conf"), "sim", **LOADER_OPTIONS))


@pytest.fixture
def project(project_path, tmp_path):
    """A project with a second account, and with the folder of its market."""
    path = bare_project(project_path, tmp_path / "project")
    (path / "conf/second").mkdir()
    (path / "conf/second/globals.yml").write_text(SECOND)
    (path / "data/markets/other").mkdir(parents=True)
    return path


@pytest.fixture
def sessions(project):
    """Sessions of a command in the second account."""
    with sessions_of(loader_of(project, cluster=2), "training") as sessions:
        yield sessions


def loader_of(project, env="second", **params):
    return ProjectConfigLoader(str(project / "conf"), env, runtime_params=params, **LOADER_OPTIONS)


def on_worker(sessions, model=MODEL):
    return run_session(this_installation(), pickle.dumps((sessions, model)))


def test_a_session_is_of_the_environment_of_the_command_whatever_the_shell_of_the_worker_says(sessions, monkeypatch):
    monkeypatch.setenv("KEDRO_ENV", "sim")
    with pytest.raises(NotReadyError, match="--env second"):
        on_worker(sessions)


def test_the_session_of_the_account_is_that_of_the_command(project):
    (project / "conf/second/globals.yml").write_text(f"{SECOND}as_of: 2024-03-28\n")
    with sessions_of(loader_of(project), "training") as sessions:
        assert sessions.params == {"cluster": None, "as_of": "2024-03-28"}


def test_segments_are_those_of_the_command_where_the_account_is_at_an_earlier_session_than_its_bars(
    project, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)  # Where a worker was started.
    (project / "conf/local/globals.yml").write_text("as_of: 2024-04-30\n")
    command = loader_of(project, "files", market_folder=str(BARS))
    with sessions_of(command, "training") as sessions, pytest.raises(NotReadyError):
        on_worker(sessions)


def test_records_go_where_the_command_has_them(project, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///tracked.db")
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    with sessions_of(loader_of(project), "training") as sessions:
        assert sessions.shell["MLFLOW_TRACKING_URI"] == "sqlite:///tracked.db"
    assert sessions.shell["MLFLOW_EXPERIMENT_NAME"] is None
    # On the worker, which goes back to its own shell afterwards.
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "of the worker")
    with pytest.raises(ConfigurationError):
        on_worker(sessions)
    assert os.environ["MLFLOW_EXPERIMENT_NAME"] == "of the worker"


def test_a_folder_that_holds_the_configuration_alone_is_a_project(sessions, project):
    """The package is an installed one then."""
    (project / "pyproject.toml").unlink()
    with pytest.raises(NotReadyError):
        on_worker(sessions)


@pytest.mark.parametrize("is_there", [True, False])
def test_a_worker_without_the_project_is_told_what_it_lacks(sessions, tmp_path, is_there):
    elsewhere = tmp_path / "elsewhere"
    if is_there:
        elsewhere.mkdir()
    conf = str(elsewhere / "conf") if is_there else sessions.conf
    told = (
        rf"^the worker on .* has no project in {elsewhere} with the configuration {conf}\. "
        r".* or train on this machine: --cluster 2$"
    )
    with pytest.raises(ConfigurationError, match=told):
        on_worker(sessions._replace(project=elsewhere, conf=conf))


def test_the_configuration_of_a_session_is_that_of_the_command_wherever_it_lies(project, tmp_path):
    conf = (project / "conf").rename(tmp_path / "of the desk")
    command = ProjectConfigLoader(str(conf), "second", **LOADER_OPTIONS)
    command.belong_to(project)
    with sessions_of(command, "training") as sessions:
        assert (sessions.project, sessions.mark.parent) == (project, project / "data/markets/other")
        with pytest.raises(NotReadyError, match="--env second"):
            on_worker(sessions)


def test_a_market_that_is_named_by_its_address_gets_the_mark(project):
    market = project / "data/markets/other"
    written = SECOND.replace("data/markets/other", market.as_uri())
    (project / "conf/second/globals.yml").write_text(written)
    with sessions_of(loader_of(project), "training") as sessions:
        assert sessions.mark.parent == market


@pytest.mark.parametrize(
    ("file", "text", "named"),
    [
        ("local/parameters.yml", "label: {horizon: 3}\n", "label"),
        ("second/globals.yml", SECOND.replace("markets/other", "markets/mine"), "globals:paths"),
        ("second/globals.yml", f"{SECOND}promotion: gated\nmine: 1\n", "globals:mine, globals:promotion"),
    ],
)
def test_a_worker_that_reads_another_configuration_is_refused(sessions, project, file, text, named):
    (project / "conf" / file).write_text(text)
    with pytest.raises(ConfigurationError, match=rf"reads other values of {named} in .*conf than the command"):
        on_worker(sessions)


def test_what_trainings_do_not_read_may_differ(sessions, project):
    (project / "conf/local/parameters.yml").write_text("strategy: {topk: 7}\n")
    with pytest.raises(NotReadyError):
        on_worker(sessions)


def test_a_worker_with_another_folder_at_the_same_path_is_refused(sessions):
    sessions.mark.unlink()
    with pytest.raises(ConfigurationError, match=r"has another folder .*markets/other than the command"):
        on_worker(sessions)


def test_nothing_is_left_in_the_market(project):
    with sessions_of(loader_of(project), "training") as sessions:
        assert sessions.mark.is_file()
    assert list((project / "data/markets/other").iterdir()) == []


def test_marks_of_killed_commands_are_removed_and_those_of_living_ones_stay(project):
    market = project / "data/markets/other"
    with sessions_of(loader_of(project), "training") as living:
        machine, number, _ = living.mark.read_text().splitlines()
        (market / ".cluster-killed").write_text(f"{machine}\n{number}\nearlier\n")
        recent, old = market / ".cluster-recent", market / ".cluster-old"
        for mark, days in ((recent, 6), (old, 8)):
            mark.write_text(f"elsewhere\n{number}\nearlier\n")
            os.utime(mark, times=(time.time() - days * 24 * 3600,) * 2)
        with sessions_of(loader_of(project), "training") as sessions:
            assert set(market.iterdir()) == {living.mark, sessions.mark, recent}


def test_a_worker_with_other_libraries_is_refused_before_anything_is_unpacked():
    home = this_installation()
    newer = Installation(home.host, home.versions | {"numpy": "99"}, home.processor)
    with pytest.raises(ConfigurationError, match="instead of 99"):
        run_session(newer, b"what another version has packed")


def test_sessions_on_the_threads_of_one_worker_run_one_after_the_other(sessions):
    with ThreadPoolExecutor(2) as threads:
        running = [threads.submit(on_worker, sessions, model) for model in (MODEL, OTHER)]
    assert {type(each.exception()) for each in running} == {NotReadyError}


def test_what_is_compared_is_what_trainings_read():
    read = {name.removeprefix("params:") for name in pipelines["training"].inputs() if name.startswith("params:")}
    assert {name.partition(".")[0] for name in read} == set(LEARNED_FROM)


@pytest.fixture
def cluster():
    """A cluster of one worker of two threads in this process."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None
    ) as cluster:
        yield cluster


@pytest.fixture
def client(cluster):
    distributed = pytest.importorskip("distributed")
    with distributed.Client(cluster, set_as_default=False) as client:
        yield client


def test_a_reason_is_given_once_for_all_sessions_that_failed_by_it(client, sessions, tmp_path):
    told = rf"^2 of 2 sessions failed\. {OTHER}, {MODEL}: the worker on .* has no project in .*: --cluster 2$"
    with pytest.raises(ModelError, match=told):
        run_namespaces(client, sessions._replace(project=tmp_path / "elsewhere"), [MODEL, OTHER])


def test_every_session_that_fails_is_named_with_its_reason(client, sessions):
    told = (
        rf"^2 of 2 sessions failed\. absent: Pipeline does not contain .*; {MODEL}: nothing was written, .*--env second"
    )
    with pytest.raises(ModelError, match=told):
        run_namespaces(client, sessions, [MODEL, "absent"])


def test_a_session_that_ends_its_workers_is_a_reason_without_the_names_of_tasks():
    distributed = pytest.importorskip("distributed")
    ended = distributed.KilledWorker("run_session-1", "tcp://127.0.0.1:1", 3)
    assert _reason(ended).startswith("a session ended every worker that ran it, most likely because it needs more")
