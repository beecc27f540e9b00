"""Configuration against pipelines: every environment resolves, nothing is unused, everything has its layer."""

import re
import shutil
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kedro.config import OmegaConfigLoader
from kedro.framework.project import pipelines
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.project.cluster import PARAMETER
from quant_pipeline.project.configuration import LOADER_OPTIONS, ProjectConfigLoader

ENVIRONMENTS = ("sim", "files", "qlib", "cn", "paper", "live")


@pytest.fixture(scope="module", autouse=True)
def _project(project_path):
    bootstrap_project(project_path)


def load_context(project_path, environment, **runtime):
    with KedroSession.create(project_path, env=environment, runtime_params=runtime, save_on_close=False) as session:
        return session.load_context()


def datasets_of_all_pipelines():
    return {name for pipeline in pipelines.values() for name in pipeline.datasets()}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_environment_resolves(project_path, environment):
    context = load_context(project_path, environment)
    catalog = context.catalog
    for name in sorted(datasets_of_all_pipelines()):
        assert catalog.get(name) is not None, name


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_accounts_keep_their_state_apart_and_markets_are_shared(project_path, environment):
    globals_ = load_context(project_path, environment).config_loader["globals"]
    assert globals_["paths"]["account"] == f"data/accounts/{globals_['account']}"
    assert globals_["paths"]["market"] == f"data/markets/{globals_['market']}"
    assert globals_["account"] == environment


@pytest.mark.parametrize(
    ("key", "address", "message"),
    [
        (
            "account",
            "s3://desk/sim",
            r"`paths\.account` cannot lie at s3://desk/sim: it needs a folder of this machine",
        ),
        (
            "account",
            "postgresql+psycopg://me:secret@host/sim",
            r"`paths\.account` cannot lie at postgresql\S+:\*\*\*@host",
        ),
        ("market", "postgresql+psycopg://me:secret@host/us", r"postgresql\S+:\*\*\*@host/us is neither a path of this"),
        ("market", "s4://desk/us", r"^s4://desk/us is neither a path of this machine nor one of a bucket"),
    ],
)
def test_folders_are_refused_where_nothing_can_lie(project_path, tmp_path, key, address, message):
    shutil.copytree(project_path / "conf", tmp_path / "conf")
    (tmp_path / "conf" / "local" / "globals.yml").write_text(f"paths:\n  {key}: {address}\n")
    with pytest.raises(ConfigurationError, match=message):
        ProjectConfigLoader(str(tmp_path / "conf"), "sim", **LOADER_OPTIONS)["globals"]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_persisted_dataset_is_in_a_layer_and_is_used(project_path, environment):
    configured = load_context(project_path, environment).config_loader["catalog"]
    patterns = {name for name in configured if "{" in name}
    used = datasets_of_all_pipelines()
    assert set(configured) - patterns - used == set()
    for name, entry in configured.items():
        assert entry["metadata"]["kedro-viz"]["layer"], name


def test_a_catalog_file_writes_no_type_and_no_metadata_twice(project_path):
    for file in (project_path / "conf/base").glob("catalog*.yml"):
        written = re.findall(r"\b(type: [\w.]+|metadata: \{.*?\}\})", file.read_text(encoding="utf-8"))
        assert [text for text, times in Counter(written).items() if times > 1] == [], file.name


def test_only_the_outcome_of_one_run_lives_in_memory_only(project_path):
    catalog = load_context(project_path, "sim").catalog
    stored = {name for name in datasets_of_all_pipelines() if not name.startswith("param")}
    in_memory = {name for name in stored if type(catalog.get(name)).__name__ == "MemoryDataset"}
    # What a run has just done at the broker, said once at its end: the ledger is the lasting record of it.
    assert in_memory == {"execution_outcome", "execution_status"}


def test_every_parameter_is_read_by_a_node_a_command_a_process_or_a_hook(project_path):
    configured = load_context(project_path, "sim").config_loader["parameters"]
    used = {name.removeprefix("params:") for name in datasets_of_all_pipelines() if name.startswith("params:")}
    read = {name.partition(".")[0] for name in used}
    programs = [(project_path / "src/quant_pipeline" / package).glob("*.py") for package in ("cli", "live", "service")]
    commands = "".join(file.read_text() for files in programs for file in files)
    read |= {name for name in configured if f'rules("{name}"' in commands}
    assert set(configured) <= read | {PARAMETER}


def test_an_environment_that_sets_one_key_keeps_the_siblings(project_path):
    parameters = load_context(project_path, "files").config_loader["parameters"]
    base = load_context(project_path, "sim").config_loader["parameters"]
    assert parameters["strategy"].keys() == base["strategy"].keys()


@pytest.mark.parametrize(
    ("params", "horizon", "frequency"),
    [({}, 1, "daily"), ({"rhythm": "daily"}, 1, "daily"), ({"rhythm": "weekly"}, 5, "weekly")],
)
def test_one_switch_sets_label_and_schedule(project_path, params, horizon, frequency):
    parameters = load_context(project_path, "sim", **params).config_loader["parameters"]
    assert parameters["label"]["horizon"] == horizon
    assert parameters["strategy"]["schedule"] == {"frequency": frequency}


def test_an_unknown_rhythm_is_named_with_those_there_are(project_path):
    with pytest.raises(ConfigurationError, match=r"rhythm is 'monthly' .*; it is one of daily, weekly"):
        load_context(project_path, "sim", rhythm="monthly").config_loader["parameters"]


@pytest.mark.parametrize(("key", "value"), [("strategy.topkk", 3), ("universe.min_pric", 1.0)])
def test_a_misspelt_parameter_is_refused(project_path, key, value):
    block, name = key.split(".")
    with (
        KedroSession.create(project_path, env="sim", runtime_params={block: {name: value}}) as session,
        pytest.raises(ConfigurationError, match=rf"^nothing reads `{block}\.{name}` of --params \(did you mean"),
    ):
        session.run(pipeline_names=["ingestion", "backtest"])


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        ("sim", "as_of"),
        ("sim", "statements"),
        ("sim", "scores"),
        ("sim", "expression"),
        ("sim", "factor_file"),
        ("sim", "run_name"),
        ("files", "market_folder"),
        ("qlib", "provider_uri"),
        ("qlib", "benchmark"),
        ("paper", "alpaca_url"),
    ],
)
def test_every_documented_runtime_parameter_is_known(project_path, environment, name):
    parameters = load_context(project_path, environment, **{name: "2025-01-02"}).config_loader["parameters"]
    assert parameters[name] == "2025-01-02"


def test_a_misspelt_dry_run_does_not_run(project_path):
    with (
        KedroSession.create(project_path, env="sim", runtime_params={"dry_rnu": True}) as session,
        pytest.raises(ConfigurationError, match=r"'dry_rnu' of --params\. Did you mean 'dry_run'"),
    ):
        session.run(pipeline_names=["execution"])


def test_runtime_as_of_moves_every_dated_path(project_path):
    catalog = load_context(project_path, "sim", as_of="2025-01-03").catalog
    assert "2025-01-03" in str(catalog.get("orders"))
    assert "2025-01-03" in str(catalog.get("report_page"))


@pytest.mark.parametrize("environment", ["paper", "live"])
def test_real_accounts_refuse_politely_without_keys(project_path, environment, monkeypatch):
    for part in ("API_KEY", "SECRET_KEY"):
        monkeypatch.delenv(f"ALPACA_{environment.upper()}_{part}", raising=False)
    from quant_pipeline.common.exceptions import ConfigurationError

    with (
        KedroSession.create(project_path, env=environment) as session,
        pytest.raises(ConfigurationError, match=f"ALPACA_{environment.upper()}_API_KEY"),
    ):
        session.run(pipeline_names=["ingestion"])


scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.text("ab?"), st.just("???"))
lists = st.fixed_dictionaries({}, optional={"list": st.one_of(st.none(), st.lists(scalars))})
# Where one has a list and the other a table, OmegaConf ends in a TypeError.
tables = st.recursive(
    scalars,
    lambda inner: st.builds(lambda a, b: a | b, st.dictionaries(st.sampled_from("abcd"), inner), lists),
    max_leaves=12,
).filter(lambda value: isinstance(value, dict))


@given(tables, tables)
def test_environments_are_merged_as_kedro_merges_them(base, own):
    assert ProjectConfigLoader._soft_merge(base, own) == OmegaConfigLoader._soft_merge(base, own)


def test_a_project_may_lie_in_a_folder_whose_name_has_signs_of_a_pattern(project_path, tmp_path):
    shutil.copytree(project_path / "conf", tmp_path / "a[1] *?" / "conf")
    here, there = (
        ProjectConfigLoader(str(project / "conf"), "sim", **LOADER_OPTIONS)
        for project in (project_path, tmp_path / "a[1] *?")
    )
    assert there["globals"]["paths"] == here["globals"]["paths"]
    assert there.raw_files("catalog") == here.raw_files("catalog") != []
