"""Fixtures: a project on a small market after one run of the whole path, and a warm process that runs its commands."""

import json

import pytest

from tests.helpers.once import made_once
from tests.helpers.project import CommandServer, Project, small_project

PRINTED = "first_run.json"


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
