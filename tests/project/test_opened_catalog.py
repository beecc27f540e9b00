"""A catalog that Kedro refuses is one line, in a session of Kedro and without one."""

import pytest
from kedro.framework.session import KedroSession

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.project.opened_catalog import open_catalog
from tests.helpers.project import bare_project


def by_session(project):
    with KedroSession.create(project, env="paper") as session:
        return session.load_context().catalog


def by_script(project):
    return open_catalog(project, "paper")


@pytest.fixture
def project(project_path, tmp_path):
    return bare_project(project_path, tmp_path / "project")


@pytest.mark.usefixtures("_own_globals")
@pytest.mark.parametrize("opened", [by_session, by_script])
def test_a_session_in_braces_is_refused_as_one_that_is_no_day(project, opened):
    (project / "conf/local/globals.yml").write_text("as_of: '{today}'\n")
    with pytest.raises(ConfigurationError) as refused:
        opened(project)
    assert refused.value.message == (
        "`as_of` of conf/local/globals.yml is '{today}', which is no date such as 2025-01-02. Correct it there."
    )


@pytest.mark.usefixtures("_own_globals")
@pytest.mark.parametrize("opened", [by_session, by_script])
def test_an_entry_that_kedro_refuses_is_one_line(project, opened):
    (project / "conf/local/catalog.yml").write_text('"{name}_table": {type: pandas.CSVDataset, filepath: "{other}"}\n')
    with pytest.raises(
        ConfigurationError, match=r"^Kedro can make no catalog of environment 'paper': .*\{name\}_table"
    ):
        opened(project)
