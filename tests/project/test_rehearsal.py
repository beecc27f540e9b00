"""What a fake broker says never meets an account, a model or a bar that is real."""

import pandas as pd
import pytest
import yaml
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from kedro.io import DataCatalog

from quant_pipeline.common.exceptions import ConfigurationError, MarketDataError, ModelError
from quant_pipeline.datasets.atomic import ParquetTable
from quant_pipeline.exchange.rules import MarketRules
from quant_pipeline.market.data import said_to_come_from, source_of
from quant_pipeline.market.sources.source import find_source
from quant_pipeline.pipelines.prediction.nodes import score_latest
from quant_pipeline.project.configuration import LOADER_OPTIONS, ProjectConfigLoader
from quant_pipeline.project.hooks.source import MarketSourceHooks
from quant_pipeline.testing.chaos import rehearsal
from quant_pipeline.trading.brokers.adapter import NO_MARKET
from quant_pipeline.trading.brokers.alpaca.adapter import AlpacaAdapter
from quant_pipeline.trading.brokers.gateway import DeskRules, Gateway

FAKE = "http://127.0.0.1:8765"


def configuration(project_path, env, **params):
    return ProjectConfigLoader(str(project_path / "conf"), env, runtime_params=params, **LOADER_OPTIONS)


def places(loader):
    """Return every path of the catalog."""
    return {str(value) for entry in loader["catalog"].values() for value in flat(entry) if "data/" in str(value)}


def flat(value):
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [value] if not inner else [leaf for each in inner for leaf in flat(each)]


@pytest.mark.parametrize("env", ["paper", "live"])
def test_a_rehearsal_shares_no_file_with_the_account_that_it_rehearses(project_path, env):
    real, rehearsed = configuration(project_path, env), configuration(project_path, env, alpaca_url=FAKE)
    assert rehearsed["globals"]["paths"] == {
        "market": "data/markets/alpaca-rehearsal-8765",
        "account": f"data/accounts/{env}-rehearsal-8765",
    }
    assert real["globals"]["paths"] == {"market": "data/markets/alpaca", "account": f"data/accounts/{env}"}
    assert not places(real) & places(rehearsed)
    assert all("rehearsal-8765" in place for place in places(rehearsed))
    assert rehearsed["parameters"]["account"]["name"] == f"{env}-rehearsal"
    # MLflow's experiment too, unless the shell or mlflow.yml names one.
    assert rehearsed["globals"]["account"] == f"{env}-rehearsal"
    assert rehearsed["catalog"]["market_source"]["parameters"]["url"] == FAKE


def test_two_servers_have_folders_of_their_own(project_path):
    one, other = (
        configuration(project_path, "paper", alpaca_url=url)["globals"]["paths"]
        for url in (FAKE, "http://localhost:8766")
    )
    assert other == {"market": "data/markets/alpaca-rehearsal-8766", "account": "data/accounts/paper-rehearsal-8766"}
    assert not set(one.values()) & set(other.values())


@pytest.mark.parametrize("url", ["http://LocalHost:8765", "HTTP://LOCALHOST:8765/"])
def test_an_address_of_this_machine_in_capitals_is_a_rehearsal_too(project_path, url):
    paths = configuration(project_path, "live", alpaca_url=url)["globals"]["paths"]
    assert paths == {"market": "data/markets/alpaca-rehearsal-8765", "account": "data/accounts/live-rehearsal-8765"}


@pytest.mark.parametrize(
    "url",
    [
        "http://paper.example\\@127.0.0.1:8765",  # A client connects to paper.example, `urllib.parse` reads 127.0.0.1.
        "http://127.0.0.1:8765\\@paper.example",
        "http://127.0.0.1@paper.example",
        "http://user:pass@localhost.example.com",
        "http://user:pass@localhost:8765",
        "https://api.alpaca.markets.localhost.evil",
        "http://127.1:8080",
        "http://2130706433",
        "http://0.0.0.0",
        "http://localhost.:80",
        "http://127.0.0.1:8765/v3",
        "http://127.0.0.1:8765?host=evil",
        "http://127.0.0.1\t:8765",
        " http://localhost:8765",
        "http://127.0.0.1:0",
        "http://127.0.0.1:99999",
        "http://127.0.0.1:port",
        "http://[::1",
        "http://[::ffff:127.0.0.1]:8765",
        "ftp://localhost",
    ],
)
def test_an_address_that_may_be_elsewhere_is_no_rehearsal_and_takes_no_key(project_path, url):
    paths = configuration(project_path, "live", alpaca_url=url)["globals"]["paths"]
    assert paths == {"market": "data/markets/alpaca", "account": "data/accounts/live"}
    with pytest.raises(ConfigurationError, match="is not allowed for a live account"):
        _ = AlpacaAdapter(kind="live", url=url).address
    assert not AlpacaAdapter(kind="live", url=url).has_own_time


@pytest.mark.parametrize("url", ["http://[::1]", "http://[::1]:8765/", "https://localhost:5", "http://127.0.0.1"])
def test_an_address_of_this_machine_takes_keys_for_rehearsals(url):
    assert AlpacaAdapter(url=url).address == url.rstrip("/")
    assert AlpacaAdapter(url=url).has_own_time


@pytest.mark.parametrize(
    ("kind", "url", "account", "said"),
    [
        ("live", FAKE, "live", "'live' is a real account, but its broker is on this machine"),
        ("live", None, "live-rehearsal", "'live-rehearsal' is a rehearsal, but its broker is Alpaca itself"),
        ("paper", None, "paper-rehearsal", "'paper-rehearsal' is a rehearsal, but its broker is Alpaca itself"),
    ],
    ids=["an address that was put together", "only the market is invented", "the same of a paper account"],
)
def test_no_desk_is_opened_at_a_broker_that_its_account_is_not_of(tmp_path, kind, url, account, said):
    gateway = Gateway("alpaca", {"kind": kind, "url": url}, str(tmp_path / "ledger.sqlite"), tmp_path / "STOP")
    rules = DeskRules(account, rehearsal.LIMITS, rehearsal.RULES)
    with pytest.raises(ConfigurationError, match=said):
        gateway.open(rehearsal.SESSION, rules, NO_MARKET)
    assert not list(tmp_path.iterdir())


def test_an_address_written_into_a_file_is_a_rehearsal_too(project_path, tmp_path):
    conf = tmp_path / "conf"
    for name in ("base", "paper"):
        (conf / name).mkdir(parents=True)
        for file in (project_path / "conf" / name).glob("*.yml"):
            (conf / name / file.name).write_text(file.read_text())
    execution = yaml.safe_load((conf / "paper/catalog_execution.yml").read_text())
    execution["trading_desk"]["parameters"]["url"] = "http://[::1]:9000"
    (conf / "paper/catalog_execution.yml").write_text(yaml.safe_dump(execution))
    paths = configuration(tmp_path, "paper")["globals"]["paths"]
    assert paths == {"market": "data/markets/alpaca", "account": "data/accounts/paper-rehearsal-9000"}


def test_the_address_can_change_within_a_process(project_path):
    loader = configuration(project_path, "paper", alpaca_url=FAKE)
    assert "rehearsal-8765" in loader["catalog"]["bars"]["filepath"]
    loader.runtime_params = {}
    assert loader["catalog"]["bars"]["filepath"] == "data/markets/alpaca/02_intermediate/bars.parquet"


@pytest.mark.parametrize(
    ("source", "parameters", "origin"),
    [
        ("simulated", {}, "simulated"),
        ("alpaca", {"symbols": ["KO"]}, "alpaca at https://data.alpaca.markets"),
        ("alpaca", {"symbols": ["KO"], "url": FAKE + "/"}, "alpaca at http://127.0.0.1:8765"),
    ],
)
def test_bars_say_which_source_and_which_server_made_them(source, parameters, origin):
    record = find_source(source)
    assert record.origin_of(source, record.parameters.model_validate(parameters)) == origin


def test_a_table_keeps_its_source_in_its_file(tmp_path):
    table = said_to_come_from("alpaca at http://127.0.0.1:8765", pd.DataFrame({"close": [1.0]}))
    dataset = ParquetTable(filepath=str(tmp_path / "bars.parquet"))
    dataset.save(table)
    assert source_of(dataset.load()) == "alpaca at http://127.0.0.1:8765"
    assert source_of(pd.DataFrame()) == ""


@pytest.fixture
def live(project_path, tmp_path, monkeypatch):
    """Return a project whose market folder of `live` holds bars of a fake."""
    monkeypatch.setenv("ALPACA_LIVE_API_KEY", "k")
    monkeypatch.setenv("ALPACA_LIVE_SECRET_KEY", "s")
    monkeypatch.chdir(tmp_path)
    bars = pd.DataFrame({"date": pd.to_datetime(["2025-03-03"]), "close": [1.0]})
    file = tmp_path / "data/markets/alpaca/02_intermediate/bars.parquet"
    file.parent.mkdir(parents=True)
    said_to_come_from("alpaca at http://127.0.0.1:8765", bars).to_parquet(file)
    return file


@pytest.mark.parametrize("url", [None, FAKE])
def test_bars_of_another_source_are_refused_with_the_remedy(project_path, live, url):
    bootstrap_project(project_path)
    with KedroSession.create(project_path, env="live") as session:
        context = session.load_context()
        entries = context.config_loader["catalog"]
        entries["bars"]["filepath"] = str(live)
        entries["market_source"]["parameters"]["url"] = url
        catalog = DataCatalog.from_config(entries, context.config_loader["credentials"])
        hooks = MarketSourceHooks()
        hooks.after_context_created(context)
        if url:
            hooks.before_pipeline_run(catalog)
            return
        with pytest.raises(MarketDataError) as refused:
            hooks.before_pipeline_run(catalog)
    assert str(refused.value) == (
        "data/markets/alpaca holds bars of alpaca at http://127.0.0.1:8765, and models trained on them; environment "
        "'live' reads alpaca at https://data.alpaca.markets. Name another folder as `paths.market` in "
        "conf/live/globals.yml, or move data/markets/alpaca away."
    )


def test_a_champion_of_the_fake_scores_no_real_bars():
    class Facts:
        source = "alpaca at http://127.0.0.1:8765"
        spec = type("Spec", (), {"title": "ridge_alpha158"})
        label = "Ref($open, -2)/Ref($open, -1) - 1"

    bundle = type("Bundle", (), {"facts": Facts})
    features = said_to_come_from("alpaca at https://data.alpaca.markets", pd.DataFrame())
    with pytest.raises(ModelError, match=r"ridge_alpha158 was trained on bars of alpaca at http://127.0.0.1:8765, but"):
        score_latest(bundle, features, pd.DataFrame(), MarketRules(), "2025-03-03")
