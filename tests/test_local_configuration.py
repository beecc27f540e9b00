"""conf/local: applied last to every account, named at the start of a run, and kept away from real money."""

import logging
import shutil
import tarfile
from pathlib import Path

import pytest
from kedro.framework.project import settings
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from quant_pipeline.common.exceptions import ConfigurationError
from tests.helpers.project import bare_project


@pytest.fixture(scope="module", autouse=True)
def _project(project_path):
    bootstrap_project(project_path)
    yield
    # A loader answers `${globals:…}` for the whole process: the project's own has to be the last one.
    with KedroSession.create(project_path, env="sim", save_on_close=False) as session:
        session.load_context()


@pytest.fixture(scope="module")
def shipped(project_path, tmp_path_factory):
    """The configuration without keys and with an empty `local`; read only."""
    return bare_project(project_path, tmp_path_factory.mktemp("shipped") / "project") / "conf"


@pytest.fixture
def conf(shipped, tmp_path):
    return shutil.copytree(shipped, tmp_path / "conf")


@pytest.fixture
def open_session(project_path, conf):
    def create(env=None, source=conf, **runtime):
        return KedroSession.create(
            project_path, env=env, conf_source=str(source), runtime_params=runtime, save_on_close=False
        )

    return create


def load_from(source, key, env=None, **runtime):
    """Read one kind of configuration with the loader that Kedro makes from the settings."""
    loader = settings.CONFIG_LOADER_CLASS(
        conf_source=str(source), env=env, runtime_params=runtime, **settings.CONFIG_LOADER_ARGS
    )
    loader.belong_to(Path.cwd())  # As a session says, wherever its configuration lies.
    return loader[key]


@pytest.fixture
def load(conf):
    return lambda key, env=None, source=conf, **runtime: load_from(source, key, env, **runtime)


@pytest.fixture(scope="module")
def untouched(shipped):
    """What the account with real money takes from its own files, by kind."""
    return {key: load_from(shipped, key, "live") for key in ("parameters", "globals", "catalog")}


def write(conf, name, text):
    (conf / name).parent.mkdir(parents=True, exist_ok=True)
    (conf / name).write_text(text)


def test_local_wins_over_the_account_and_params_win_over_local(conf, load):
    write(conf, "paper/parameters.yml", "strategy: {topk: 10, n_drop: 1}\n")
    write(conf, "local/parameters.yml", "strategy: {topk: 7}\n")
    assert (load("parameters", "paper")["strategy"]["topk"], load("parameters", "paper")["strategy"]["n_drop"]) == (
        7,
        1,
    )
    assert load("parameters", "paper", strategy={"topk": 3})["strategy"]["topk"] == 3


def test_a_session_reads_local_into_its_parameters_and_paths(conf, open_session):
    write(conf, "local/parameters.yml", "strategy: {topk: 7}\n")
    write(conf, "local/globals.yml", "paths: {market: elsewhere}\n")
    with open_session(strategy={"n_drop": 2}) as session:
        context = session.load_context()
        assert (context.params["strategy"].topk, context.params["strategy"].n_drop) == (7, 2)
        assert "/elsewhere/" in str(context.catalog.get("bars"))


def test_every_account_sees_local(conf, load):
    write(conf, "local/parameters_mine.yml", "universe: {min_price: 17.5}\n")
    environments = ("sim", "files", "qlib", "paper", "live")
    assert {load("parameters", env)["universe"]["min_price"] for env in environments} == {17.5}


def test_globals_of_local_count_in_every_other_file(conf, load):
    write(conf, "local/globals.yml", 'as_of: "2024-06-28"\npaths: {market: elsewhere}\n')
    assert load("parameters")["as_of"] == "2024-06-28"
    assert load("catalog")["bars"]["filepath"].startswith("elsewhere/")
    assert load("globals")["paths"] == {"market": "elsewhere", "account": "data/accounts/sim"}


def test_catalog_credentials_and_tracking_of_local_come_last(conf, load):
    write(conf, "paper/credentials.yml", "alpaca_paper: {api_key: of_the_account, secret_key: a}\n")
    write(conf, "local/credentials.yml", "alpaca_paper: {api_key: mine, secret_key: b}\n")
    write(conf, "local/catalog.yml", "bars: {type: pandas.ParquetDataset, filepath: my.parquet}\n")
    write(conf, "local/mlflow.yml", "tracking: {experiment: {name: mine}}\n")
    assert load("credentials", "paper")["alpaca_paper"] == {"api_key": "mine", "secret_key": "b"}
    assert load("credentials", "paper")["alpaca_live"].keys() == {"api_key", "secret_key"}
    assert load("catalog")["bars"] == {"type": "pandas.ParquetDataset", "filepath": "my.parquet"}
    mlflow = load("mlflow")
    assert mlflow["tracking"]["experiment"]["name"] == "mine"
    assert mlflow["tracking"]["params"]["long_params_strategy"] == "truncate"


def test_keys_of_local_alone_open_an_account(conf, load):
    (conf / "base" / "credentials_environment.yml").unlink()
    write(conf, "local/credentials.yml", "alpaca_paper: {api_key: '${oc.env:MY_KEY, none}', secret_key: b}\n")
    assert load("credentials", "paper") == {"alpaca_paper": {"api_key": "none", "secret_key": "b"}}


def test_a_name_that_local_takes_from_the_command_line_is_known(conf, load):
    write(conf, "local/catalog.yml", "mine: {type: pandas.CSVDataset, filepath: '${runtime_params:my_file, a.csv}'}\n")
    assert load("catalog", my_file="b.csv")["mine"]["filepath"] == "b.csv"
    assert load("parameters", my_file="b.csv")["my_file"] == "b.csv"


def test_a_misspelt_parameter_of_local_is_refused_and_local_is_named(conf, load):
    write(conf, "local/parameters.yml", "dry_rnu: true\n")
    with pytest.raises(ConfigurationError, match=r"'dry_rnu' of conf/local\. Did you mean 'dry_run'"):
        load("parameters")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("strategy:\n  topk: [5\n  n_drop: 2\n", r"^conf/local/parameters\.yml, line 3, column 9: expected"),
        ("as_of: ${globals:as_off}\n", r"`as_of` of the parameters.*'as_off' not found.*conf/local"),
    ],
)
def test_what_is_wrong_in_local_is_named_with_its_file(conf, load, text, message):
    write(conf, "local/parameters.yml", text)
    with pytest.raises(ConfigurationError, match=message):
        load("parameters")


def test_a_key_in_two_files_of_local_is_refused(conf, load):
    write(conf, "local/parameters.yml", "strategy: {topk: 1}\n")
    write(conf, "local/parameters_mine.yml", "strategy: {topk: 2}\n")
    with pytest.raises(ConfigurationError, match=r"conf/local/parameters\S*\.yml.*strategy\.topk"):
        load("parameters")


def test_local_is_no_account(load):
    with pytest.raises(ConfigurationError, match="conf/local is no account"):
        load("parameters", "local")


def test_an_archive_carries_no_local_and_works(conf, tmp_path, load):
    write(conf, "local/parameters.yml", "strategy: {topk: 7}\n")
    with tarfile.open(tmp_path / "conf.tar.gz", "w:gz") as archive:
        archive.add(conf, "conf", filter=lambda entry: None if entry.name.endswith("local/parameters.yml") else entry)
    base = load("parameters", source=tmp_path / "conf.tar.gz")
    assert base["strategy"]["topk"] != 7


@pytest.fixture
def run_without_keys(open_session, monkeypatch):
    """Start a run of a real account; without keys it is refused after the line about conf/local."""
    for part in ("API_KEY", "SECRET_KEY"):
        for account in ("PAPER", "LIVE"):
            monkeypatch.delenv(f"ALPACA_{account}_{part}", raising=False)

    def run(env):
        with open_session(env) as session, pytest.raises(ConfigurationError) as refused:
            session.run(pipeline_names=["ingestion"])
        return str(refused.value)

    return run


def test_a_run_names_the_files_of_local(conf, run_without_keys, caplog):
    write(conf, "local/parameters_mine.yml", "strategy: {topk: 7}\n")
    write(conf, "local/globals.yml", "feed: sip\n")
    write(conf, "local/parameters_empty.yml", "# nothing yet\n")
    write(conf, "local/notes.yml", "read: by nothing\n")
    with caplog.at_level(logging.INFO, "quant_pipeline"):
        assert "is not set" in run_without_keys("paper")
    told = [record.getMessage() for record in caplog.records if "conf/local" in record.getMessage()]
    assert told == ["conf/local overrides: globals.yml, parameters_mine.yml"]


def test_an_empty_local_is_not_mentioned(run_without_keys, caplog):
    with caplog.at_level(logging.INFO, "quant_pipeline"):
        run_without_keys("paper")
    assert not [record for record in caplog.records if "conf/local" in record.getMessage()]


REAL_MONEY = {
    "limits": ("parameters.yml", "risk: {max_order_weight: 1.0}\n", "risk (parameters)"),
    "pinned number": ("parameters_execution.yml", "execution: {account_number: OTHER}\n", "execution (parameters)"),
    "arming": ("parameters_execution.yml", "execution: {needs_arming: false}\n", "execution (parameters)"),
    "account block": ("parameters.yml", "account: {filled_by: statements}\n", "account (parameters)"),
    "identity": ("globals.yml", "account: mine\n", "account (globals)"),
    "folder": ("globals.yml", "paths: {account: data/accounts/paper}\n", "paths (globals)"),
    "broker": ("catalog.yml", "trading_desk: {type: pandas.CSVDataset, filepath: a}\n", "trading_desk (catalog)"),
    "ledger": ("catalog.yml", "ledger_booked: {type: pandas.CSVDataset, filepath: a}\n", "ledger_booked (catalog)"),
}


@pytest.mark.parametrize(("file", "text", "named"), REAL_MONEY.values(), ids=REAL_MONEY)
def test_local_does_not_touch_real_money(conf, load, run_without_keys, untouched, file, text, named):
    write(conf, f"local/{file}", text + "strategy: {topk: 21}\n" * file.startswith("parameters"))
    refusal = run_without_keys("live")
    assert refusal.startswith(f"conf/local sets {named}, which account 'live' takes from its own files")
    # Commands that are no run, such as an emergency stop, go on with the account's own files.
    # Only globals reach into files of another kind.
    kinds = untouched if file == "globals.yml" else [file.partition("_")[0].removesuffix(".yml")]
    for kind in kinds:
        touched = load(kind, "live")
        if kind == "parameters":
            touched["strategy"] = untouched[kind]["strategy"]
        assert touched == untouched[kind]


def test_local_may_change_the_limits_of_an_account_without_real_money(conf, load, run_without_keys):
    write(conf, "local/parameters.yml", "risk: {max_order_weight: 0.123}\n")
    assert load("parameters", "paper")["risk"]["max_order_weight"] == 0.123
    assert "is not set" in run_without_keys("paper")


def test_a_former_name_of_a_limit_is_refused_with_the_file_that_sets_it(conf, open_session):
    write(conf, "paper/parameters_risk.yml", "risk: {maximum_order_weight: 0.05, external_position_weight: 0.01}\n")
    with open_session("paper") as session, pytest.raises(ConfigurationError) as refused:
        _ = session.load_context().params
    file = "conf/paper/parameters_risk.yml"
    assert refused.value.message == (
        f"`risk.maximum_order_weight` of {file} is called `max_order_weight` now, rename it; "
        f"`risk.external_position_weight` of {file} is called `max_external_position_weight` now, rename it. "
        "Correct it there."
    )


def test_an_account_replaces_the_symbols_and_adds_to_the_sectors(conf, load):
    write(conf, "paper/globals.yml", "symbols: [AAPL, TSM]\nsectors: {TSM: Information Technology}\n")
    own = load("globals", "paper")
    assert own["symbols"] == ["AAPL", "TSM"]
    assert (own["sectors"]["TSM"], own["sectors"]["XOM"]) == ("Information Technology", "Energy")


@pytest.mark.parametrize(
    ("key", "params"),
    [
        ("risk", {"risk": {"max_order_value": None}}),
        ("account", {"account": {"name": "other"}}),
        ("execution.account_number", {"execution": {"account_number": "PA9"}}),
        ("execution.needs_arming", {"execution": {"needs_arming": False}}),
        ("market_rules.calendar", {"market_rules": {"calendar": "24/7"}}),
    ],
)
def test_params_do_not_touch_real_money(load, key, params):
    with pytest.raises(
        ConfigurationError, match=rf"--params sets {key}, which account 'live' takes from its own files"
    ):
        load("parameters", "live", **params)
    load("parameters", "paper", **params)


def test_other_params_of_an_account_with_real_money_pass(load):
    assert load("parameters", "live", execution={"poll_seconds": 9})["execution"]["poll_seconds"] == 9
