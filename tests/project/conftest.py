"""Sessions of Kedro in projects that a test has made."""

import pytest
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project


@pytest.fixture
def _own_globals(project_path):
    bootstrap_project(project_path)
    yield
    # A loader answers `${globals:…}` for the whole process: the project's own has to be the last one.
    with KedroSession.create(project_path, env="sim", save_on_close=False) as session:
        session.load_context()
