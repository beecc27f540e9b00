"""Configuration against pipelines: every environment resolves, nothing is unused, everything has its layer."""

import re
import shutil
import tarfile
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kedro.config import OmegaConfigLoader
from kedro.framework.project import pipelines
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.project import model_registry
from quant_pipeline.project.configuration import LOADER_OPTIONS, ProjectConfigLoader
from quant_pipeline.project.hooks import cluster

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
    assert set(configured) <= read | {cluster.PARAMETER}


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
    parameters = load_context(project_path, environment, **{name: "x"}).config_loader["parameters"]
    assert parameters[name] == "x"


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


class TestWhatIsWrongIsNamed:
    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _own_globals(cls, project_path):
        yield
        # A loader answers `${globals:…}` for the whole process: the project's own has to be the last one.
        load_context(project_path, "sim")

    @pytest.fixture
    def conf(self, tmp_path):
        for name in ("base", "local", "sim", "paper"):
            (tmp_path / "conf" / name).mkdir(parents=True)
        (tmp_path / "conf" / "base" / "parameters.yml").write_text("as_of: 2025-01-03\n")
        return tmp_path / "conf"

    @staticmethod
    def load(conf, env=None, **runtime):
        loader = ProjectConfigLoader(
            str(conf), env, base_env="base", default_run_env="sim", runtime_params=runtime or None
        )
        return loader["parameters"]

    def test_an_environment_that_is_not_there(self, conf):
        with pytest.raises(ConfigurationError) as refused:
            self.load(conf, "papre")
        assert str(refused.value).startswith("There is no environment 'papre' in conf/; there are paper, sim.")

    @pytest.mark.parametrize(
        ("kind", "present", "needed"),
        [
            ("trading_desk.AlpacaDesk", "trading_desk.BrokerDesk", "`broker: alpaca`"),
            ("trading_desk.SimulatedDesk", "trading_desk.BrokerDesk", "path: …"),
            ("market.SimulatedMarket", "market.Market", "`source: simulated`"),
            ("market.FilesMarket", "market.Market", "`source: files`, and `folder` within `parameters`"),
            ("market.AlpacaMarket", "market.Market", "`source: alpaca`, and `url` within `parameters`"),
        ],
    )
    def test_a_dataset_by_its_earlier_type(self, conf, kind, present, needed):
        (conf / "sim" / "catalog_entry.yml").write_text(f"entry: {{type: quant_pipeline.datasets.{kind}}}\n")
        with pytest.raises(ConfigurationError) as refused:
            _ = ProjectConfigLoader(str(conf), "sim", base_env="base", default_run_env="sim")["catalog"]
        assert f"{kind}` of entry" in refused.value.message
        assert f"is now `type: quant_pipeline.datasets.{present}` with" in refused.value.message
        assert needed in refused.value.message

    def test_a_file_that_is_no_yaml_with_its_line(self, conf):
        (conf / "sim" / "parameters_strategy.yml").write_text("strategy:\n  topk: [5\n  n_drop: 2\n")
        with pytest.raises(ConfigurationError, match=r"^conf/sim/parameters_strategy\.yml, line 3, column 9: expected"):
            self.load(conf)

    def test_a_file_that_is_no_yaml_leaves_the_catalog_that_refers_to_it(self, conf):
        (conf / "sim" / "parameters_strategy.yml").write_text("strategy: [\n")
        (conf / "sim" / "catalog_entry.yml").write_text('entry: {filepath: "signals/${evaluated_signal:}"}\n')
        loader = ProjectConfigLoader(str(conf), "sim", base_env="base", default_run_env="sim")
        assert loader["catalog"]["entry"]["filepath"] == "signals/"  # An account is halted by a catalog alone.
        with pytest.raises(ConfigurationError, match=r"^conf/sim/parameters_strategy\.yml, line 2"):
            _ = loader["parameters"]

    def test_a_key_that_stands_twice_in_a_file(self, conf):
        (conf / "base" / "parameters.yml").write_text("as_of: 2025-01-03\nas_of: 2025-01-06\n")
        with pytest.raises(ConfigurationError, match=r"^conf/base/parameters\.yml, line 2.*duplicate key as_of"):
            self.load(conf)

    def test_a_key_that_stands_in_two_files_of_an_environment(self, conf):
        (conf / "base" / "parameters_other.yml").write_text("as_of: 2025-01-06\n")
        with pytest.raises(ConfigurationError) as refused:
            self.load(conf)
        message = str(refused.value)
        assert all(part in message for part in ("conf/base/parameters.yml", "conf/base/parameters_other.yml", "as_of"))
        assert "Keep each key in one file" in message

    def test_a_reference_to_nothing(self, conf):
        (conf / "paper" / "parameters.yml").write_text("as_of: ${globals:as_off}\n")
        with pytest.raises(ConfigurationError, match=r"`as_of` of the parameters.*'as_off' not found.*conf/paper"):
            self.load(conf, "paper")

    def test_a_key_in_base_and_in_an_environment_is_no_mistake(self, conf):
        (conf / "sim" / "parameters.yml").write_text("as_of: 2025-01-06\n")
        assert str(self.load(conf)["as_of"]) == "2025-01-06"

    def test_a_parameter_that_nothing_reads(self, conf):
        (conf / "paper" / "parameters.yml").write_text("as_off: 2025-01-06\n")
        (conf / "base" / "catalog.yml").write_text("bars:\n  filepath: ${runtime_params:market_folder, data}\n")
        with pytest.raises(ConfigurationError) as refused:
            self.load(conf, "paper")
        assert str(refused.value) == "Nothing reads the parameter 'as_off' of conf/paper. Did you mean 'as_of'?"
        with pytest.raises(ConfigurationError, match=r"'wet_run' of --params\. Its name .* conf/base"):
            self.load(conf, wet_run=True)
        assert self.load(conf, market_folder="here")["market_folder"] == "here"

    def test_a_parameter_that_nothing_reads_where_there_is_no_folder_of_overrides(self, conf):
        (conf / "local").rmdir()
        with pytest.raises(ConfigurationError, match="Did you mean 'as_of'"):
            self.load(conf, as_off="2025-01-03")

    @pytest.mark.parametrize(
        ("file", "text"),
        [
            ("parameters_strategy.yml", '"strategy":\n  topk: 1\n'),
            ("parameters_strategy.yml", "{strategy: {topk: 1}}\n"),
            ("parameters_strategy.json", '{\n  "strategy": {"topk": 1}\n}\n'),
            ("parameters/strategy.yml", "strategy: {topk: 1}\n"),
        ],
        ids=["quoted", "in one line", "json", "folder"],
    )
    def test_a_parameter_is_known_in_whatever_form_it_is_written(self, conf, file, text):
        (conf / "base" / file).parent.mkdir(exist_ok=True)
        (conf / "base" / file).write_text(text)
        (conf / "sim" / "parameters.yml").write_text("_anchor: 1\nstrategy: {topk: 2}\n")
        assert self.load(conf, strategy={"topk": 3})["strategy"] == {"topk": 3}

    def test_a_configuration_in_an_archive(self, conf, tmp_path):
        (conf / "sim" / "parameters.yml").write_text("as_of: 2025-01-06\n")
        with tarfile.open(tmp_path / "conf.tar.gz", "w:gz") as archive:
            archive.add(conf, "conf")
        assert self.load(tmp_path / "conf.tar.gz", as_of="2025-01-07") == {"as_of": "2025-01-07"}
        with pytest.raises(ConfigurationError, match=r"'as_off' of --params\. Did you mean 'as_of'"):
            self.load(tmp_path / "conf.tar.gz", as_off="2025-01-07")

    def test_what_is_wrong_in_an_archive_has_the_name_of_its_file(self, conf, tmp_path):
        def loaded_from_archive():
            with tarfile.open(tmp_path / "conf.tar.gz", "w:gz") as archive:
                archive.add(conf, "conf")
            return self.load(tmp_path / "conf.tar.gz", "paper")

        (conf / "paper" / "parameters.yml").write_text("as_of: ${globals:as_off}\n")
        with pytest.raises(ConfigurationError, match=r"Correct it in conf/base or conf/paper\.$"):
            loaded_from_archive()
        (conf / "paper" / "parameters_strategy.yml").write_text("strategy:\n  topk: [5\n  n_drop: 2\n")
        with pytest.raises(ConfigurationError, match=r"^conf/paper/parameters_strategy\.yml, line 3, column 9: expect"):
            loaded_from_archive()
        (conf / "paper" / "parameters_strategy.yml").write_text("topk: 1\ntopk: 2\n")
        with pytest.raises(
            ConfigurationError, match=r"^conf/paper/parameters_strategy\.yml, line 2.*duplicate key topk"
        ):
            loaded_from_archive()

    @pytest.mark.parametrize("folder", ["base", "sim", "local"])
    @pytest.mark.parametrize("kind", ["catalog", "globals", "mlflow", "parameters"])
    def test_a_file_that_holds_a_list_is_named(self, conf, kind, folder):
        (conf / folder).mkdir(exist_ok=True)
        (conf / folder / f"{kind}.yml").write_text("- as_of: 2025-01-06\n")
        with pytest.raises(ConfigurationError) as refused:
            ProjectConfigLoader(str(conf), **LOADER_OPTIONS)[kind]
        assert refused.value.message == f"conf/{folder}/{kind}.yml holds a list; it has to hold `key: value` lines."

    @pytest.mark.parametrize(
        "text",
        ["as_of: ${runtime_params:wet_run, null}\n", "as_of: {key: 'of ${runtime_params: wet_run.kind, null}'}\n"],
        ids=["whole", "inside"],
    )
    @pytest.mark.parametrize("kind", ["catalog", "parameters", "credentials", "mlflow"])
    @pytest.mark.parametrize("environment", ["base", "sim"])
    def test_a_name_that_a_file_takes_from_the_command_line(self, conf, kind, environment, text):
        (conf / environment / f"{kind}.yml").write_text(text)
        assert self.load(conf, wet_run={"kind": "a"})["wet_run"] == {"kind": "a"}

    def test_a_secret_that_is_not_there_does_not_matter_yet(self, conf):
        (conf / "sim" / "credentials.yml").write_text("broker: '${oc.env:NOT_THERE} ${runtime_params:desk}'\n")
        assert self.load(conf, desk=1)["desk"] == 1

    @pytest.mark.parametrize(
        ("file", "text"),
        [
            ("base/catalog.yml", "# as runtime_params: dryrun does\nbars: {type: x}\n"),
            ("base/.ipynb_checkpoints/parameters-checkpoint.yml", "dryrun: false\n"),
            ("paper/catalog.yml", "bars: {filepath: '${runtime_params:dryrun}'}\n"),
        ],
        ids=["comment", "hidden backup", "other environment"],
    )
    def test_what_kedro_does_not_read_makes_no_name_known(self, conf, file, text):
        (conf / file).parent.mkdir(exist_ok=True)
        (conf / file).write_text(text)
        with pytest.raises(ConfigurationError, match="Nothing reads the parameter 'dryrun' of --params"):
            self.load(conf, dryrun=True)

    def test_files_of_other_accounts_and_locks_of_editors_do_not_matter(self, conf):
        (conf / "paper" / "credentials.yml").symlink_to("not/there")
        (conf / "paper" / "parameters.yml").write_bytes(b"# gr\xfc\xdfe\n")
        (conf / "base" / ".#parameters.yml").symlink_to("me@host.123")
        (conf / "base" / "catalog.yml").write_text("bars: {filepath: '${runtime_params:market_folder}'}\n")
        assert self.load(conf, market_folder="here")["market_folder"] == "here"

    def test_what_is_set_after_reading_counts(self, conf):
        (conf / "base" / "globals.yml").write_text("rate: 1\n")
        (conf / "base" / "parameters.yml").write_text("rate: ${globals:rate}\nday: ${runtime_params:day, 1}\n")
        loader = ProjectConfigLoader(str(conf), base_env="base", default_run_env="sim")
        assert loader["parameters"] == {"rate": 1, "day": 1}
        loader["globals"] = {"rate": 2}
        assert loader["parameters"] == {"rate": 2, "day": 1}
        loader.runtime_params = {"day": 2}
        assert loader["parameters"] == {"rate": 2, "day": 2}
        loader.runtime_params["day"] = 3
        assert loader["parameters"] == {"rate": 2, "day": 3}
        loader["parameters"] = {"anything": 1}
        assert loader["parameters"] == {"anything": 1}

    def test_a_model_that_cannot_be_understood(self, monkeypatch):
        entry = {"algorithm": "ridge", "features": "alpha158", "colour": "red", "hyper": {"alfa": 1}}
        monkeypatch.setattr(model_registry, "_session_loader", {"parameters": {"models": {"mine": entry}}})
        named = r"`models\.mine\.hyper\.alfa` of parameters_models\.yml \(did you mean 'alpha'\?\); .*mine\.colour"
        with pytest.raises(ConfigurationError, match=named):
            model_registry.load_model_registry()
