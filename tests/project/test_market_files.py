"""What the configuration of the environment ``files`` takes from the folder that it names."""

import re
import shutil
from pathlib import Path

import pytest
import yaml

from quant_pipeline.project.configuration import LOADER_OPTIONS, ProjectConfigLoader

ROOT = Path(__file__).resolve().parents[2]
CASES = ROOT / "tests/market/sources/cases"


@pytest.fixture
def load(tmp_path, monkeypatch):
    shutil.copytree(ROOT / "conf", tmp_path / "conf", ignore=shutil.ignore_patterns("local"))
    (tmp_path / "conf/local").mkdir()
    monkeypatch.chdir(tmp_path)

    def configuration(**params):
        return ProjectConfigLoader(str(tmp_path / "conf"), "files", runtime_params=params, **LOADER_OPTIONS)

    return configuration


def test_the_last_bar_is_the_session_and_segments_fit_the_bars(load, caplog):
    parameters = load(market_folder=str(CASES / "05b_yf_not_adjusted"))["parameters"]
    assert parameters["as_of"] == "2024-05-24"
    assert parameters["market_rules"]["calendar"] == "XNYS"
    assert parameters["split"] == {
        "train": ["2024-01-31", "2024-04-09"],
        "valid": ["2024-04-10", "2024-05-01"],
        "test": ["2024-05-02", None],
    }
    assert parameters["rolling"]["first_test"] == "2024-05-02"
    assert "`split` of conf/files does not fit the bars (2024-01-02 to 2024-05-24)" in caplog.text


def test_segments_that_the_user_writes_are_kept_and_nothing_is_derived(load, tmp_path, caplog):
    file = tmp_path / "conf/files/parameters.yml"
    own = {"train": ["2024-01-10", "2024-03-01"], "valid": ["2024-03-04", "2024-04-01"], "test": ["2024-04-02", None]}
    file.write_text(re.sub(r"split:\n(?: .*\n)+", yaml.safe_dump({"split": own}), file.read_text()))
    parameters = load(market_folder=str(CASES / "05b_yf_not_adjusted"))["parameters"]
    assert parameters["split"] == own
    assert parameters["rolling"] == {**parameters["rolling"], "start": "2001-01-01", "first_test": "2017-01-01"}
    assert "does not fit" not in caplog.text


def test_an_as_of_and_a_calendar_that_are_given_are_taken(load):
    given = {"as_of": "2024-04-30", "market_rules": {"calendar": "XLON"}}
    configuration = load(market_folder=str(CASES / "05b_yf_not_adjusted"), **given)
    assert configuration["parameters"]["as_of"] == "2024-04-30"
    assert configuration["catalog"]["market_source"]["parameters"]["calendar"] == "XLON"


def test_a_market_that_never_closes_has_its_calendar(load):
    parameters = load(market_folder=str(CASES / "18_binance_noheader"))["parameters"]
    assert parameters["market_rules"]["calendar"] == "24/7"


def test_facts_are_known_to_commands_that_name_no_folder(load):
    load(market_folder=str(CASES / "05b_yf_not_adjusted"))["parameters"]
    assert load()["parameters"]["as_of"] == "2024-05-24"


def test_options_of_the_catalog_count_for_the_facts(load, tmp_path):
    catalog = tmp_path / "conf/files/catalog.yml"
    text = catalog.read_text()
    catalog.write_text(text.replace("  parameters:\n", '  parameters:\n    exclude: [{from: "2024-05-20"}]\n'))
    assert load(market_folder=str(CASES / "05b_yf_not_adjusted"))["parameters"]["as_of"] == "2024-05-17"


def test_a_folder_that_cannot_be_read_does_not_stop_the_configuration(load):
    parameters = load(market_folder=str(CASES / "41_inf_price" / "nowhere"))["parameters"]
    assert parameters["split"]["train"] == ["2001-01-01", "2014-12-31"]


def test_real_stocks_keep_the_configured_segments(load, real_market):
    parameters = load(market_folder=str(real_market))["parameters"]
    assert parameters["as_of"] == "2020-06-30"
    assert parameters["split"]["test"] == ["2017-01-01", None]
    assert parameters["split"]["train"] == ["2001-01-01", "2014-12-31"]
