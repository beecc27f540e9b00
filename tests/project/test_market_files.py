"""What the configuration of the environments ``files`` and ``qlib`` takes from the folder that it names."""

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml

from quant_pipeline.common.exceptions import ConfigurationError, MarketDataError
from quant_pipeline.datasets.market import Market
from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.market.sources.files import FilesMarketParameters
from quant_pipeline.market.sources.files.observation import observe
from quant_pipeline.market.sources.folder_state import states_of
from quant_pipeline.project import market_files
from quant_pipeline.project.configuration import LOADER_OPTIONS, ProjectConfigLoader
from quant_pipeline.project.market_files import last_bar
from tests.helpers.qlib_dump import chinese_provider

ROOT = Path(__file__).resolve().parents[2]
CASES = ROOT / "tests/market/sources/cases"


@pytest.fixture
def load(tmp_path, monkeypatch):
    shutil.copytree(ROOT / "conf", tmp_path / "conf", ignore=shutil.ignore_patterns("local"))
    (tmp_path / "conf/local").mkdir()
    monkeypatch.chdir(tmp_path)

    def configuration(environment="files", **params):
        return ProjectConfigLoader(str(tmp_path / "conf"), environment, runtime_params=params, **LOADER_OPTIONS)

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


@pytest.mark.parametrize(("environment", "case"), [("files", "05b_yf_not_adjusted"), ("cn", "24_tushare")])
def test_a_folder_that_is_named_by_its_address_is_that_folder(load, environment, case):
    folder = CASES / case
    configuration = load(environment, market_folder=f"file://{folder}")  # Blanks as they are, as datasets read it.
    parameters = configuration["parameters"]
    assert parameters["as_of"] == "2024-05-24"
    by_path = load(environment, market_folder=str(folder))["parameters"]
    assert parameters == by_path | {name: parameters[name] for name in ("market_folder", "report")}
    market = Market(
        **{name: value for name, value in configuration["catalog"]["market_source"].items() if name != "type"}
    )
    assert market.load().as_of == pd.Timestamp("2024-05-24")


def test_a_folder_in_a_bucket_has_no_facts_and_is_refused_by_its_reader(load):
    configuration = load("cn", market_folder="s3://desk/bars")
    assert configuration["parameters"]["as_of"] == "2024-12-31"
    entry = configuration["catalog"]["market_source"]
    with pytest.raises(ConfigurationError, match=r"^`folder` cannot lie at s3://desk/bars"):
        Market(entry["source"], entry["as_of"], entry["parameters"])


def test_references_that_are_resolved_together_look_at_the_folder_once(load, tmp_path, monkeypatch):
    folder = tmp_path / "market"
    shutil.copytree(CASES / "05b_yf_not_adjusted", folder)
    configuration, looked = load(market_folder=str(folder)), []
    for name in ("parameters", "catalog"):
        with monkeypatch.context() as watched:
            watched.setattr(market_files, "states_of", lambda *asked: looked.append(asked) or states_of(*asked))
            assert configuration[name]
        assert 1 <= len(looked) <= 2  # Globals are resolved first, by themselves.
        looked.clear()
    # What asks later sees what has changed meanwhile.
    assert last_bar(configuration) == "2024-05-24"
    for file in folder.glob("*.csv"):
        file.write_text("".join(file.read_text().splitlines(keepends=True)[:-1]))
    assert last_bar(configuration) == "2024-05-23"


def test_segments_that_the_user_writes_are_kept_and_nothing_is_derived(load, tmp_path, caplog):
    file = tmp_path / "conf/files/parameters.yml"
    own = {"train": ["2024-01-10", "2024-03-01"], "valid": ["2024-03-04", "2024-04-01"], "test": ["2024-04-02", None]}
    file.write_text(re.sub(r"split:\n(?: .*\n)+", yaml.safe_dump({"split": own}), file.read_text()))
    parameters = load(market_folder=str(CASES / "05b_yf_not_adjusted"))["parameters"]
    assert parameters["split"] == own
    assert parameters["rolling"] == {**parameters["rolling"], "start": "2001-01-01", "first_test": "2017-01-01"}
    assert "does not fit" not in caplog.text


def test_segments_fit_the_bars_up_to_the_session_of_the_account(load, tmp_path):
    folder = str(CASES / "05b_yf_not_adjusted")
    named = load(market_folder=folder, as_of="2024-04-30")["parameters"]
    local = tmp_path / "conf/local/globals.yml"
    for written in ("2024-04-30", "20240430", "'20240430'", "${last_booked_session:'2024-04-30'}"):
        local.write_text(f"as_of: {written}\n")
        configuration = load(market_folder=folder)
        assert configuration["parameters"]["split"] == named["split"]
        assert configuration["catalog"]["market_source"]["as_of"] == "2024-04-30"
    assert named["split"]["test"] == ["2024-04-11", None]
    local.write_text("as_of: 2024-05-15\n")
    assert load(market_folder=folder, as_of="2024-04-30")["parameters"]["split"] == named["split"]
    assert load(market_folder=folder, as_of=20240430)["parameters"]["split"] == named["split"]
    local.write_text("as_of: ${latest_closed_session:XNYS}\n")
    assert (
        load(market_folder=folder)["parameters"]["split"]
        == load(market_folder=folder, as_of="2024-05-24")["parameters"]["split"]
    )


def test_an_as_of_and_a_calendar_that_are_given_are_taken(load):
    given = {"as_of": "2024-04-30", "market_rules": {"calendar": "XLON"}}
    configuration = load(market_folder=str(CASES / "05b_yf_not_adjusted"), **given)
    assert configuration["parameters"]["as_of"] == "2024-04-30"
    assert configuration["catalog"]["market_source"]["parameters"]["calendar"] == "XLON"


def test_china_is_the_embedded_market_until_a_folder_is_named(load):
    configuration = load("cn")
    parameters, entry = configuration["parameters"], configuration["catalog"]["market_source"]
    assert (parameters["as_of"], entry["parameters"]["folder"]) == ("2024-12-31", None)
    assert configuration["globals"]["paths"] == {"market": "data/markets/cn_simulated", "account": "data/accounts/cn"}
    assert len(parameters["market_rules"]["special_limits"]) == 3
    assert entry["parameters"]["simulated"]["special_treatment"] == parameters["market_rules"]["special_limits"]


@pytest.mark.parametrize("names_it", ["command", "environment"])
def test_exports_of_chinese_shares_have_tables_and_an_account_of_their_own(load, tmp_path, names_it):
    params = {"market_folder": str(CASES / "24_tushare")}
    if names_it == "environment":
        file = tmp_path / "conf/cn/globals.yml"
        file.write_text(
            file.read_text().replace("market_folder: null", f"market_folder: {params.pop('market_folder')}")
        )
    configuration = load("cn", **params)
    parameters, entry = configuration["parameters"], configuration["catalog"]["market_source"]
    assert (parameters["as_of"], entry["parameters"]["folder"]) == ("2024-05-24", str(CASES / "24_tushare"))
    paths = {"market": "data/markets/cn_files", "account": "data/accounts/cn_files"}
    assert configuration["globals"]["paths"] == paths
    assert entry["cache"] == str(tmp_path / "data/markets/cn_files/01_raw/.cache")
    # The shares that the embedded market has under special treatment are others.
    assert parameters["market_rules"]["special_limits"] == []
    assert parameters["split"]["train"][0] > "2024-01-01"


def test_the_rules_of_the_environment_cn_are_the_presets(load):
    parameters = load("cn")["parameters"]
    rules = MarketRules.model_validate(parameters["market_rules"])
    assert rules.model_copy(update={"special_limits": ()}) == MarketRules.preset("CN")
    assert CostRules.model_validate(parameters["cost_rules"]) == CostRules.preset("CN")


def test_a_market_that_never_closes_has_its_calendar(load):
    parameters = load(market_folder=str(CASES / "18_binance_noheader"))["parameters"]
    assert parameters["market_rules"]["calendar"] == "24/7"


def test_facts_are_known_to_commands_that_name_no_folder(load):
    load(market_folder=str(CASES / "05b_yf_not_adjusted"))["parameters"]
    assert load()["parameters"]["as_of"] == "2024-05-24"


@pytest.mark.parametrize("named", [{}, {"market_folder": "data/markets/files/01_raw"}])
def test_paths_begin_at_the_project_wherever_the_process_was_started(load, tmp_path, monkeypatch, named):
    folder = tmp_path / "data/markets/files/01_raw"
    shutil.copytree(CASES / "05b_yf_not_adjusted", folder)
    split = load()["parameters"]["split"]
    assert split["train"] == ["2024-01-31", "2024-04-09"]
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    configuration = load(**named)
    assert configuration["parameters"]["split"] == split
    entry = configuration["catalog"]["market_source"]
    assert (entry["parameters"]["folder"], entry["cache"]) == (str(folder), str(folder / ".cache"))
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        '"x"',
        "{",
        "null",
        '{"key": "x"}',
        {"as_of": 20240524},
        {"as_of": "soon"},
        {"sessions": [1]},
        {"sessions": []},
        {"as_of": "2024-02-31"},
        {"sessions": ["2024-02-31"]},
        {"sessions": ["2024-01-02"]},
        {"calendar": "nowhere"},
        pytest.param("[" * 5_000, id="deep list"),
        pytest.param('{"key": ' * 5_000, id="deep table"),
    ],
)
def test_facts_that_are_damaged_are_none_and_found_anew(load, tmp_path, content):
    named = {"market_folder": str(CASES / "05b_yf_not_adjusted")}
    split = load(**named)["parameters"]["split"]
    file = tmp_path / "data/markets/files/01_raw/.cache/facts.json"
    kept = file.read_text()
    file.write_text(content if isinstance(content, str) else json.dumps(json.loads(kept) | content))
    assert load()["parameters"]["split"]["train"] == ["2001-01-01", "2014-12-31"]
    assert load(**named)["parameters"]["split"] == split
    assert file.read_text() == kept


@pytest.mark.parametrize("day", ["2024-02-31", "20240524", "2024-W21-5", ""])
def test_facts_of_an_earlier_version_have_no_sum_and_are_taken_where_their_days_are_some(load, tmp_path, day):
    load(market_folder=str(CASES / "05b_yf_not_adjusted"))["parameters"]
    file = tmp_path / "data/markets/files/01_raw/.cache/facts.json"
    written = {name: value for name, value in json.loads(file.read_text()).items() if name != "sum"}
    file.write_text(json.dumps(written))
    assert load()["parameters"]["as_of"] == "2024-05-24"
    file.write_text(json.dumps(written | {"as_of": day}))
    assert load()["parameters"]["as_of"] == f"{pd.Timestamp.now('UTC'):%Y-%m-%d}"


def test_facts_read_the_files_of_a_kind_once(load, monkeypatch):
    configuration, read = load(market_folder=str(CASES / "05b_yf_not_adjusted")), []

    class Noted(dict):
        def __setitem__(self, kind, files):
            read.append(kind)
            super().__setitem__(kind, files)

    monkeypatch.setattr(configuration, "_raw", Noted())
    assert configuration["parameters"]["as_of"] == "2024-05-24"
    assert "parameters" in read
    assert len(read) == len(set(read))


def test_facts_are_of_the_bars_wherever_they_lie(load, tmp_path):
    elsewhere = Path(shutil.copytree(CASES / "05b_yf_not_adjusted", tmp_path / "elsewhere"))
    folder = tmp_path / "market"
    folder.mkdir()
    (folder / "linked").symlink_to(elsewhere)
    catalog = tmp_path / "conf/files/catalog.yml"
    text, days = catalog.read_text(), ["2024-05-24", "2024-05-23", "2024-05-22", "2024-05-21"]
    for bars, day in zip(("linked", "linked/*.csv", "../elsewhere", f"{elsewhere}/*.csv"), days, strict=True):
        catalog.write_text(text.replace("  parameters:\n", f'  parameters:\n    bars: "{bars}"\n'))
        assert load(market_folder=str(folder))["parameters"]["as_of"] == day
        for file in elsewhere.glob("*.csv"):
            file.write_text("".join(line for line in file.read_text().splitlines(keepends=True) if day not in line))


def test_a_wrong_pattern_of_bars_stops_what_reads_the_market_and_not_the_configuration(load, tmp_path):
    catalog = tmp_path / "conf/files/catalog.yml"
    catalog.write_text(catalog.read_text().replace("  parameters:\n", '  parameters:\n    bars: "**.csv"\n'))
    assert load(market_folder=str(CASES / "05b_yf_not_adjusted"))["parameters"]["split"]
    with pytest.raises(MarketDataError, match=r"`bars: \*\*\.csv` .* is no pattern of files .* write `\*\.csv`"):
        observe(CASES / "05b_yf_not_adjusted", FilesMarketParameters(bars="**.csv"))


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


class TestOfAProvider:
    @pytest.fixture(scope="class")
    @classmethod
    def provider(cls, tmp_path_factory):
        return chinese_provider(tmp_path_factory.mktemp("qlib") / "cn_data").folder

    @pytest.fixture
    def load_qlib(self, load, tmp_path):
        def configuration(**params):
            return ProjectConfigLoader(str(tmp_path / "conf"), "qlib", runtime_params=params, **LOADER_OPTIONS)

        return configuration

    def test_the_command_of_the_guide_names_provider_universe_and_session(self, load_qlib, provider):
        configuration = load_qlib(provider_uri=str(provider), universe="csi300")
        source = configuration["catalog"]["market_source"]
        assert source["as_of"] == configuration["parameters"]["as_of"] == "2019-12-31"
        assert source["parameters"] == {
            "provider_uri": str(provider),
            "universe": "csi300",
            "benchmark": None,
            "calendar": "XSHG",
        }
        universe = configuration["parameters"]["universe"]
        assert universe["name"] == "csi300"
        assert universe["min_price"] == universe["min_median_traded_value"] == universe["min_listing_sessions"] == 0

    def test_shanghai_has_the_rules_and_costs_of_china(self, load_qlib, provider):
        parameters = load_qlib(provider_uri=str(provider), market_rules={"deal_price": "close"})["parameters"]
        china = MarketRules.preset("CN").model_copy(update={"deal_price": "close"})
        assert MarketRules.model_validate(parameters["market_rules"]) == china
        assert CostRules.model_validate(parameters["cost_rules"]) == CostRules.preset("CN")

    def test_another_exchange_has_those_of_base(self, load_qlib, provider):
        parameters = load_qlib(provider_uri=str(provider), market_rules={"calendar": "XNYS"})["parameters"]
        assert MarketRules.model_validate(parameters["market_rules"]) == MarketRules()
        assert CostRules.model_validate(parameters["cost_rules"]) == CostRules.preset("US")

    def test_segments_fit_the_calendar_of_the_provider(self, load_qlib, provider):
        split = load_qlib(provider_uri=str(provider))["parameters"]["split"]
        assert split["train"] == ["2018-04-03", "2019-04-22"]
        assert split["test"] == ["2019-08-26", None]

    def test_facts_are_known_to_commands_that_name_no_provider(self, load_qlib, provider):
        load_qlib(provider_uri=str(provider))["parameters"]
        assert load_qlib(provider_uri="/nowhere")["parameters"]["as_of"] == "2019-12-31"

    def test_a_provider_in_the_project_is_found_wherever_the_process_was_started(
        self, load_qlib, provider, tmp_path, monkeypatch
    ):
        (tmp_path / "mine").symlink_to(provider)
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        configuration = load_qlib(provider_uri="mine")
        assert configuration["parameters"]["as_of"] == "2019-12-31"
        assert configuration["catalog"]["market_source"]["parameters"]["provider_uri"] == str(tmp_path / "mine")
        assert list((tmp_path / "elsewhere").iterdir()) == []

    def test_a_rule_that_does_not_exist_is_refused(self, load_qlib, provider, tmp_path):
        file = tmp_path / "conf/qlib/parameters.yml"
        file.write_text(file.read_text().replace("market_rules.lot}", "market_rules.lotz}"))
        with pytest.raises(ConfigurationError, match=r"exchange_rules:market_rules\.lotz"):
            load_qlib(provider_uri=str(provider))["parameters"]


def test_conditions_in_yaml_stay_beside_a_universe_that_params_name(load, tmp_path):
    (tmp_path / "conf/local/parameters.yml").write_text("universe: {min_price: 2.0}\n")
    parameters = ProjectConfigLoader(
        str(tmp_path / "conf"), "qlib", runtime_params={"universe": "csi500"}, **LOADER_OPTIONS
    )["parameters"]
    assert parameters["universe"] == {**parameters["universe"], "name": "csi500", "min_price": 2.0}
