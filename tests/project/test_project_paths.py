"""Relative paths of the catalog begin at the folder of the project."""

import shutil
from pathlib import Path

import pytest
import yaml
from kedro.framework.session import KedroSession

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.project.configuration import LOADER_OPTIONS, ProjectConfigLoader
from quant_pipeline.project.project_paths import with_project_paths
from tests.helpers.project import bare_project

PROJECT = Path("/projects/mine")
BARS = Path(__file__).resolve().parents[1] / "market/sources/cases/05b_yf_not_adjusted"
"""Up to 2024-05-24."""


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("data/{model}/latest", "/projects/mine/data/{model}/latest"),
        ("/data/latest", "/data/latest"),
        ("s3://desk/latest", "s3://desk/latest"),
        ("file:///data/latest", "file:///data/latest"),
        ("s3:/desk/latest", "s3:/desk/latest"),
        ("~/latest", "/home/desk/latest"),
        (None, None),
    ],
)
def test_what_is_relative_is_of_the_project_and_addresses_stay(written, found, monkeypatch):
    monkeypatch.setenv("HOME", "/home/desk")
    catalog = {"earlier": {"type": "quant_pipeline.datasets.earlier.EarlierTables", "folder": written, "file": "a"}}
    assert with_project_paths(catalog, PROJECT)["earlier"] == {**catalog["earlier"], "folder": found}


def test_parameters_of_a_market_source_have_paths_and_datasets_of_others_have_none_of_ours(monkeypatch):
    monkeypatch.setenv("HOME", "/home/desk")
    market = {
        "type": "quant_pipeline.datasets.market.Market",
        "parameters": {"provider_uri": {"day": "mine"}, "folder": "~/bars", "path": "bars", "cache": "of theirs"},
    }
    catalog = {"market_source": market, "theirs": {"type": "others.Dataset", "folder": "Shared Documents"}}
    found = with_project_paths(catalog, PROJECT)
    assert found["theirs"] == catalog["theirs"]
    assert found["market_source"]["parameters"] == {
        **market["parameters"],
        "folder": "/home/desk/bars",
        "provider_uri": {"day": "/projects/mine/mine"},
        "path": "/projects/mine/bars",
    }


def test_the_home_of_the_user_is_none_of_the_project_in_what_kedro_knows_as_a_path(monkeypatch):
    monkeypatch.setenv("HOME", "/home/desk")
    entry = {"type": "pandas.CSVDataset", "filepath": "~/a.csv", "dataset": {"path": "~/b", "other": "~/c"}}
    assert with_project_paths({"theirs": entry}, PROJECT)["theirs"] == {
        **entry,
        "filepath": "/home/desk/a.csv",
        "dataset": {"path": "/home/desk/b", "other": "~/c"},
    }


def test_folders_of_an_account_may_begin_at_the_home_of_the_user(project_path, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    project = bare_project(project_path, tmp_path / "project")
    own = {"paths": {"market": "~/market", "account": "~/account"}}
    (project / "conf/local/globals.yml").write_text(yaml.safe_dump(own))
    bars = tmp_path / "home/bars"
    shutil.copytree(BARS, bars)
    loader = ProjectConfigLoader(
        str(project / "conf"), "files", runtime_params={"market_folder": "~/bars"}, **LOADER_OPTIONS
    )
    parameters, catalog = loader["parameters"], loader["catalog"]
    assert (parameters["as_of"], parameters["execution_folder"]) == (
        "2024-05-24",
        str(tmp_path / "home/account/execution"),
    )
    assert catalog["market_source"]["parameters"]["folder"] == str(bars)
    assert "'~/" not in str([catalog, loader["globals"]])
    assert (tmp_path / "home/market/01_raw/.cache/facts.json").is_file()
    assert sorted(path.name for path in project.iterdir() if path.name.startswith("~")) == []


@pytest.mark.parametrize("file", ["globals.yml", "catalog.yml"])
def test_the_home_of_a_user_that_there_is_not_is_one_line_and_no_folder_of_the_project(project_path, tmp_path, file):
    project = bare_project(project_path, tmp_path / "project")
    written = (
        {"paths": {"market": "~ghost/market"}}
        if file == "globals.yml"
        else {"theirs": {"type": "pandas.CSVDataset", "filepath": "~ghost/market/a.csv"}}
    )
    (project / "conf/local" / file).write_text(yaml.safe_dump(written))
    loader = ProjectConfigLoader(str(project / "conf"), "files", **LOADER_OPTIONS)
    with pytest.raises(ConfigurationError, match=r"^'~ghost/market.*' begins at the home of the user 'ghost', .*full"):
        loader["catalog"]
    assert sorted(path.name for path in project.iterdir() if path.name.startswith("~")) == []


@pytest.mark.usefixtures("_own_globals")
@pytest.mark.parametrize("named", [{}, {"market_folder": str(BARS)}])
def test_paths_are_of_the_project_where_its_configuration_lies_elsewhere(project_path, tmp_path, named):
    project = bare_project(project_path, tmp_path / "project")
    folder = project / "data/markets/files/01_raw"
    shutil.copytree(BARS, folder)
    conf = (project / "conf").rename(tmp_path / "conf")
    with KedroSession.create(project, env="files", conf_source=str(conf), runtime_params=named) as session:
        loader = session.load_context().config_loader
    entry = loader["catalog"]["market_source"]
    assert (entry["as_of"], entry["cache"]) == ("2024-05-24", str(folder / ".cache"))
    assert loader["parameters"]["split"]["test"] == ["2024-05-02", None]
    assert (folder / ".cache/facts.json").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["conf", "project"]
