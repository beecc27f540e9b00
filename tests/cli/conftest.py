"""A copy of the project on a small market, in which one run of the whole path has been made."""

import pytest
import yaml

from tests.helpers.project import SMALL_MARKET, SMALL_PARAMETERS, Project, copy_project


@pytest.fixture(scope="session")
def project(tmp_path_factory, project_path) -> Project:
    """The project on a market of fourteen instruments, after `kedro run`."""
    copy = copy_project(project_path, tmp_path_factory.mktemp("project"))
    catalog = copy.path / "conf" / "sim" / "catalog.yml"
    entries = yaml.safe_load(catalog.read_text())
    entries["market_source"]["parameters"] = SMALL_MARKET
    catalog.write_text(yaml.safe_dump(entries))
    (copy.path / "conf" / "sim" / "parameters_small.yml").write_text(yaml.safe_dump(SMALL_PARAMETERS))
    copy.first_run = copy.run("kedro run")
    return copy
