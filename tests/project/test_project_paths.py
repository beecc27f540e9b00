"""Relative paths of the catalog begin at the folder of the project."""

import shutil
from pathlib import Path

import pytest
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from quant_pipeline.project.project_paths import with_project_paths
from tests.helpers.project import bare_project

PROJECT = Path("/projects/mine")
BARS = Path(__file__).resolve().parents[1] / "market/sources/cases/05b_yf_not_adjusted"
"""Up to 2024-05-24."""


@pytest.fixture
def _own_globals(project_path):
    bootstrap_project(project_path)
    yield
    # A loader answers `${globals:…}` for the whole process: the project's own has to be the last one.
    with KedroSession.create(project_path, env="sim", save_on_close=False) as session:
        session.load_context()


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("data/{model}/latest", "/projects/mine/data/{model}/latest"),
        ("/data/latest", "/data/latest"),
        ("s3://desk/latest", "s3://desk/latest"),
        ("file:///data/latest", "file:///data/latest"),
        ("s3:/desk/latest", "s3:/desk/latest"),
        (None, None),
    ],
)
def test_what_is_relative_is_of_the_project_and_addresses_stay(written, found):
    catalog = {"earlier": {"type": "quant_pipeline.datasets.earlier.EarlierTables", "folder": written, "file": "a"}}
    assert with_project_paths(catalog, PROJECT)["earlier"] == {**catalog["earlier"], "folder": found}


def test_parameters_of_a_market_source_have_paths_and_datasets_of_others_have_none_of_ours():
    market = {
        "type": "quant_pipeline.datasets.market.Market",
        "parameters": {"provider_uri": {"day": "mine"}, "folder": "~/bars", "path": "bars", "cache": "of theirs"},
    }
    catalog = {"market_source": market, "theirs": {"type": "others.Dataset", "folder": "Shared Documents"}}
    found = with_project_paths(catalog, PROJECT)
    assert found["theirs"] == catalog["theirs"]
    assert found["market_source"]["parameters"] == {
        **market["parameters"],
        "provider_uri": {"day": "/projects/mine/mine"},
        "path": "/projects/mine/bars",
    }


@pytest.mark.usefixtures("_own_globals")
def test_paths_are_of_the_project_where_its_configuration_lies_elsewhere(project_path, tmp_path):
    project = bare_project(project_path, tmp_path / "project")
    folder = project / "data/markets/files/01_raw"
    shutil.copytree(BARS, folder)
    conf = (project / "conf").rename(tmp_path / "conf")
    with KedroSession.create(project, env="files", conf_source=str(conf)) as session:
        loader = session.load_context().config_loader
    entry = loader["catalog"]["market_source"]
    assert (entry["as_of"], entry["cache"]) == ("2024-05-24", str(folder / ".cache"))
    assert loader["parameters"]["split"]["test"] == ["2024-05-02", None]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["conf", "project"]
