"""The service of a project in which the whole path has run."""

import pytest

from tests.helpers.finished_project import commands, finished
from tests.helpers.http_service import running_service

__all__ = ["commands", "finished"]


@pytest.fixture(scope="module")
def service(finished, tmp_path_factory):
    """A running service on a copy of the project."""
    with running_service(finished.copy(tmp_path_factory.mktemp("service") / "project").path) as running:
        yield running


@pytest.fixture(scope="module")
def client(service):
    return service.client


@pytest.fixture(scope="module")
def table(service):
    """Returns a table of the catalog as the pipelines have written it."""
    return service.served.project.project.catalog.load
