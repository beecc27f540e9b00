"""The page of a paper account in the middle of a session at a fake Alpaca, and one Chromium for all tests."""

import pytest

from tests.helpers.browser import chromium
from tests.helpers.paper_service import pages_of, paper_service


@pytest.fixture(scope="module")
def paper(tmp_path_factory, project_path):
    with paper_service(project_path, tmp_path_factory.mktemp("page") / "project") as running:
        yield running


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture
def opened(browser):
    with pages_of(browser) as open_page:
        yield open_page
