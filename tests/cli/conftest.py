"""Copies of a project on a small market, in which one run of the whole path has been made."""

import json

import pytest

from tests.helpers.once import made_once
from tests.helpers.project import CommandServer, Project, small_project

PRINTED = "first_run.json"
NEXT_DAY = "kedro run --pipelines daily --params as_of=2025-01-02"


@pytest.fixture(scope="session")
def commands(tmp_path_factory, project_path):
    """The warm process that runs commands of this worker."""
    server = CommandServer(project_path / "src", tmp_path_factory.mktemp("commands"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def finished(tmp_path_factory, project_path, commands) -> Project:
    """The project after `kedro run` in a process of its own; made once for all workers, and never written again."""

    def make(folder):
        done = small_project(project_path, folder, commands).run_process("kedro run")
        (folder / PRINTED).write_text(json.dumps(done.stdout + done.stderr))

    return Project(made_once(tmp_path_factory, "finished-project", make), commands)


@pytest.fixture(scope="session")
def first_run(finished) -> str:
    """What the first `kedro run` printed."""
    return json.loads((finished.path / PRINTED).read_text())


@pytest.fixture(scope="session")
def next_day(tmp_path_factory, finished) -> Project:
    """The finished project after the daily run of the next session; made once, and never written again."""
    return Project(
        made_once(tmp_path_factory, "next-day", lambda folder: finished.copy(folder).run(NEXT_DAY)), finished.commands
    )


@pytest.fixture(scope="module")
def module_project(finished, tmp_path_factory) -> Project:
    """A copy for the tests of one module that leave each other's results alone."""
    return finished.copy(tmp_path_factory.mktemp("project") / "project")


@pytest.fixture
def project(finished, tmp_path) -> Project:
    """A copy for one test."""
    return finished.copy(tmp_path / "project")
