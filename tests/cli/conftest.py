"""Copies of a project on a small market, in which one run of the whole path has been made."""

import json

import pytest

from tests.helpers.finished_project import PRINTED, commands, finished
from tests.helpers.once import made_once
from tests.helpers.project import Project

__all__ = ["commands", "finished"]

NEXT_DAY = "kedro run --pipelines daily --params as_of=2025-01-02"


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
