"""The service of a project in which the whole path has run."""

import pytest

from tests.helpers.finished_project import commands, finished
from tests.helpers.http_service import service

__all__ = ["commands", "finished", "service"]


@pytest.fixture(scope="module")
def client(service):
    return service.client


@pytest.fixture(scope="module")
def table(service):
    """Returns a table of the catalog as the pipelines have written it."""
    return service.served.project.project.catalog.load
