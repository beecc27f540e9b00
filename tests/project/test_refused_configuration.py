"""What is wrong with a configuration is named, with its file, and what is not read does not matter."""

import tarfile

import pytest
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.project import model_registry
from quant_pipeline.project.configuration import LOADER_OPTIONS, ProjectConfigLoader


@pytest.fixture(scope="module", autouse=True)
def _own_globals(project_path):
    bootstrap_project(project_path)
    yield
    # A loader answers `${globals:…}` for the whole process: the project's own has to be the last one.
    with KedroSession.create(project_path, env="sim", save_on_close=False) as session:
        session.load_context()


@pytest.fixture
def conf(tmp_path):
    for name in ("base", "local", "sim", "paper"):
        (tmp_path / "conf" / name).mkdir(parents=True)
    (tmp_path / "conf" / "base" / "parameters.yml").write_text("as_of: 2025-01-03\n")
    return tmp_path / "conf"


def load(conf, env=None, **runtime):
    loader = ProjectConfigLoader(str(conf), env, base_env="base", default_run_env="sim", runtime_params=runtime or None)
    return loader["parameters"]


def test_an_environment_that_is_not_there(conf):
    with pytest.raises(ConfigurationError) as refused:
        load(conf, "papre")
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
def test_a_dataset_by_its_earlier_type(conf, kind, present, needed):
    (conf / "sim" / "catalog_entry.yml").write_text(f"entry: {{type: quant_pipeline.datasets.{kind}}}\n")
    with pytest.raises(ConfigurationError) as refused:
        _ = ProjectConfigLoader(str(conf), "sim", base_env="base", default_run_env="sim")["catalog"]
    assert f"{kind}` of entry" in refused.value.message
    assert f"is now `type: quant_pipeline.datasets.{present}` with" in refused.value.message
    assert needed in refused.value.message


def test_a_file_that_is_no_yaml_with_its_line(conf):
    (conf / "sim" / "parameters_strategy.yml").write_text("strategy:\n  topk: [5\n  n_drop: 2\n")
    with pytest.raises(ConfigurationError, match=r"^conf/sim/parameters_strategy\.yml, line 3, column 9: expected"):
        load(conf)


def test_a_file_that_is_no_yaml_leaves_the_catalog_that_refers_to_it(conf):
    (conf / "sim" / "parameters_strategy.yml").write_text("strategy: [\n")
    (conf / "sim" / "catalog_entry.yml").write_text('entry: {filepath: "signals/${evaluated_signal:}"}\n')
    loader = ProjectConfigLoader(str(conf), "sim", base_env="base", default_run_env="sim")
    assert loader["catalog"]["entry"]["filepath"] == "signals/"  # An account is halted by a catalog alone.
    with pytest.raises(ConfigurationError, match=r"^conf/sim/parameters_strategy\.yml, line 2"):
        _ = loader["parameters"]


def test_a_key_that_stands_twice_in_a_file(conf):
    (conf / "base" / "parameters.yml").write_text("as_of: 2025-01-03\nas_of: 2025-01-06\n")
    with pytest.raises(ConfigurationError, match=r"^conf/base/parameters\.yml, line 2.*duplicate key as_of"):
        load(conf)


def test_a_key_that_stands_in_two_files_of_an_environment(conf):
    (conf / "base" / "parameters_other.yml").write_text("as_of: 2025-01-06\n")
    with pytest.raises(ConfigurationError) as refused:
        load(conf)
    message = str(refused.value)
    assert all(part in message for part in ("conf/base/parameters.yml", "conf/base/parameters_other.yml", "as_of"))
    assert "Keep each key in one file" in message


def test_a_reference_to_nothing(conf):
    (conf / "paper" / "parameters.yml").write_text("as_of: ${globals:as_off}\n")
    with pytest.raises(ConfigurationError, match=r"`as_of` of the parameters.*'as_off' not found.*conf/paper"):
        load(conf, "paper")


@pytest.mark.parametrize("written", ["null", "''", "latest", "[2024, 6]", "2024-6-28", "2024-06-28T16:00", "20241301"])
def test_a_session_that_is_no_day_is_refused_with_its_file(conf, written):
    (conf / "local" / "globals.yml").write_text(f"as_of: {written}\n")
    with pytest.raises(ConfigurationError, match=r"^`as_of` of conf/local/globals\.yml is .*, which is no date such"):
        load(conf)
    assert load(conf, as_of="20250103")["as_of"] == "2025-01-03"
    with pytest.raises(ConfigurationError, match=r"^`as_of` of --params is 'soon', which is no date such as"):
        load(conf, as_of="soon")


def test_a_session_that_leads_nowhere_is_not_needed_where_the_command_names_one(conf):
    (conf / "local/globals.yml").write_text("as_of: ${nothing}\n")
    with pytest.raises(ConfigurationError, match=r"`as_of` of the globals of .*'nothing' not found.*conf/local"):
        load(conf)
    assert load(conf, as_of="20250103")["as_of"] == "2025-01-03"


@pytest.mark.parametrize("file", ["sim/globals.yml", "sim/parameters.yml"])
def test_a_timestamp_at_midnight_is_that_session(conf, file):
    for each in ("sim/globals.yml", "sim/parameters.yml"):
        (conf / each).write_text(f"as_of: 2024-06-28{' 00:00:00' if each == file else ''}\n")
    assert load(conf)["as_of"] == "2024-06-28"
    assert load(conf, as_of="2024-06-28T00:00:00Z")["as_of"] == "2024-06-28"


CATALOG = """
bars:
  type: quant_pipeline.datasets.point_in_time.PointInTimeTable
  filepath: bars
  {key}: {written}
theirs: {{type: others.Dataset, as_of: 2020-01-02}}
"{{model}}_scores": {{type: quant_pipeline.datasets.score_file.ScoreFile, filepath: scores}}
"""


@pytest.mark.parametrize(
    ("key", "written"),
    [("as_of", "2024-06-27"), ("as_of", "latest"), ("as_of", "2024-06-28 15:00"), ("before", "20240701")],
)
def test_a_dataset_that_is_cut_at_another_session_is_refused(conf, key, written):
    (conf / "sim/globals.yml").write_text("as_of: 2024-06-28\n")
    file = conf / "sim/catalog.yml"
    file.write_text(CATALOG.format(key=key, written=written))
    loader = ProjectConfigLoader(str(conf), "sim", base_env="base", default_run_env="sim")
    told = rf"^`{key}` of bars in conf/sim/catalog\.yml is '?{written}'?, and the session of this run is 2024-06-28\. "
    with pytest.raises(ConfigurationError, match=told):
        _ = loader["catalog"]
    emergency = ProjectConfigLoader(str(conf), "sim", base_env="base", default_run_env="sim")
    emergency.reduces_risk = True
    assert str(emergency["catalog"]["bars"][key]) == written
    of_none = ProjectConfigLoader(str(conf), "sim", base_env="base", default_run_env="sim")
    of_none.is_of_session = False
    assert str(of_none["catalog"]["bars"][key]) == written
    for same in ("2024-06-28", "20240628", "2024-06-28 00:00:00", "${globals:as_of}"):
        file.write_text(CATALOG.format(key=key, written=same))
        assert ProjectConfigLoader(str(conf), "sim", base_env="base", default_run_env="sim")["catalog"]


@pytest.mark.parametrize(
    ("globals_", "session"),
    [
        ("2025-01-03", {"as_of": "2025-01-03"}),
        *[
            (written, {})
            for written in (
                "2025-01-03 15:00", "soon", "null", "${nothing}", "${runtime_params:nothing, null}",
                "${globals:nothing}", "${oc.env:QUANT_PIPELINE_NOTHING}", "${latest_closed_session:NOWHERE}",
                "'{today}'", "'${'", "${no_such:1}",
            )
        ],
    ],
)  # fmt: skip
def test_a_command_that_reduces_risk_goes_on_with_the_session_of_the_account(conf, caplog, globals_, session):
    (conf / "sim/globals.yml").write_text(f"as_of: {globals_}\n")
    (conf / "local/parameters.yml").write_text("as_of: 2024-03-28\n")
    with pytest.raises(ConfigurationError):
        load(conf)
    loader = ProjectConfigLoader(str(conf), "sim", base_env="base", default_run_env="sim")
    loader.reduces_risk = True
    assert loader["parameters"] == session
    (said,) = {record.getMessage() for record in caplog.records}
    assert "`as_of` of conf/" in said


@pytest.mark.parametrize("written", ["${nothing}", "${globals:nothing}", "${runtime_params:nothing, null}", "'${'"])
def test_a_reference_to_nothing_among_parameters_keeps_no_command_from_reducing_risk(conf, caplog, written):
    (conf / "sim/globals.yml").write_text("as_of: 2025-01-03\n")
    (conf / "local/parameters.yml").write_text(f"as_of: {written}\n")
    with pytest.raises(ConfigurationError, match="`as_of` of "):
        load(conf)
    loader = ProjectConfigLoader(str(conf), "sim", base_env="base", default_run_env="sim")
    loader.reduces_risk = True
    assert loader["parameters"] == {"as_of": "2025-01-03"}
    (said,) = {record.getMessage() for record in caplog.records}
    assert said.startswith("`as_of` of conf/")


def test_a_command_that_stands_for_no_session_has_the_parameters_as_they_are(conf, caplog):
    (conf / "sim/globals.yml").write_text("as_of: 2025-01-03\n")
    (conf / "local/parameters.yml").write_text("as_of: 2024-03-28\n")
    loader = ProjectConfigLoader(str(conf), "sim", base_env="base", default_run_env="sim")
    loader.is_of_session = False
    assert str(loader["parameters"]["as_of"]) == "2024-03-28"
    assert caplog.records == []


def test_a_session_that_is_no_day_leaves_the_catalog(conf):
    """An account is halted by a catalog alone."""
    (conf / "sim" / "globals.yml").write_text("as_of: soon\n")
    (conf / "sim" / "catalog_entry.yml").write_text('entry: {filepath: "${globals:as_of}"}\n')
    loader = ProjectConfigLoader(str(conf), "sim", base_env="base", default_run_env="sim")
    assert loader["catalog"]["entry"]["filepath"] == "soon"


@pytest.mark.parametrize("written", ["2024-03-28", "${last_booked_session:'2024-03-28'}", "latest"])
def test_another_session_among_the_parameters_is_refused_as_the_catalog_has_that_of_the_globals(conf, written):
    (conf / "sim" / "globals.yml").write_text("as_of: 20250103\npaths: {account: account, market: market}\n")
    (conf / "local" / "parameters.yml").write_text(f"as_of: {written}\n")
    told = (
        r"^`as_of` of conf/local/parameters\.yml is '.*', and the session of this account is 2025-01-03\. .* write it "
        r"into conf/sim/globals\.yml,"
    )
    with pytest.raises(ConfigurationError, match=told):
        load(conf)
    assert load(conf, as_of="2024-12-31")["as_of"] == "2024-12-31"
    (conf / "local" / "parameters.yml").write_text("as_of: 20250103\n")
    assert load(conf)["as_of"] == "2025-01-03"


def test_a_key_in_base_and_in_an_environment_is_no_mistake(conf):
    (conf / "sim" / "parameters.yml").write_text("as_of: 2025-01-06\n")
    assert str(load(conf)["as_of"]) == "2025-01-06"


def test_a_parameter_that_nothing_reads(conf):
    (conf / "paper" / "parameters.yml").write_text("as_off: 2025-01-06\n")
    (conf / "base" / "catalog.yml").write_text("bars:\n  filepath: ${runtime_params:market_folder, data}\n")
    with pytest.raises(ConfigurationError) as refused:
        load(conf, "paper")
    assert str(refused.value) == "Nothing reads the parameter 'as_off' of conf/paper. Did you mean 'as_of'?"
    with pytest.raises(ConfigurationError, match=r"'wet_run' of --params\. Its name .* conf/base"):
        load(conf, wet_run=True)
    assert load(conf, market_folder="here")["market_folder"] == "here"


def test_a_parameter_that_nothing_reads_where_there_is_no_folder_of_overrides(conf):
    (conf / "local").rmdir()
    with pytest.raises(ConfigurationError, match="Did you mean 'as_of'"):
        load(conf, as_off="2025-01-03")


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
def test_a_parameter_is_known_in_whatever_form_it_is_written(conf, file, text):
    (conf / "base" / file).parent.mkdir(exist_ok=True)
    (conf / "base" / file).write_text(text)
    (conf / "sim" / "parameters.yml").write_text("_anchor: 1\nstrategy: {topk: 2}\n")
    assert load(conf, strategy={"topk": 3})["strategy"] == {"topk": 3}


def test_a_configuration_in_an_archive(conf, tmp_path):
    (conf / "sim" / "parameters.yml").write_text("as_of: 2025-01-06\n")
    with tarfile.open(tmp_path / "conf.tar.gz", "w:gz") as archive:
        archive.add(conf, "conf")
    assert load(tmp_path / "conf.tar.gz", as_of="2025-01-07") == {"as_of": "2025-01-07"}
    with pytest.raises(ConfigurationError, match=r"'as_off' of --params\. Did you mean 'as_of'"):
        load(tmp_path / "conf.tar.gz", as_off="2025-01-07")


def test_what_is_wrong_in_an_archive_has_the_name_of_its_file(conf, tmp_path):
    def loaded_from_archive():
        with tarfile.open(tmp_path / "conf.tar.gz", "w:gz") as archive:
            archive.add(conf, "conf")
        return load(tmp_path / "conf.tar.gz", "paper")

    (conf / "paper" / "parameters.yml").write_text("as_of: ${globals:as_off}\n")
    with pytest.raises(ConfigurationError, match=r"Correct it in conf/base or conf/paper\.$"):
        loaded_from_archive()
    (conf / "paper" / "parameters_strategy.yml").write_text("strategy:\n  topk: [5\n  n_drop: 2\n")
    with pytest.raises(ConfigurationError, match=r"^conf/paper/parameters_strategy\.yml, line 3, column 9: expect"):
        loaded_from_archive()
    (conf / "paper" / "parameters_strategy.yml").write_text("topk: 1\ntopk: 2\n")
    with pytest.raises(ConfigurationError, match=r"^conf/paper/parameters_strategy\.yml, line 2.*duplicate key topk"):
        loaded_from_archive()


@pytest.mark.parametrize("folder", ["base", "sim", "local"])
@pytest.mark.parametrize("kind", ["catalog", "globals", "mlflow", "parameters"])
def test_a_file_that_holds_a_list_is_named(conf, kind, folder):
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
def test_a_name_that_a_file_takes_from_the_command_line(conf, kind, environment, text):
    (conf / environment / f"{kind}.yml").write_text(text)
    assert load(conf, wet_run={"kind": "a"})["wet_run"] == {"kind": "a"}


def test_a_secret_that_is_not_there_does_not_matter_yet(conf):
    (conf / "sim" / "credentials.yml").write_text("broker: '${oc.env:NOT_THERE} ${runtime_params:desk}'\n")
    assert load(conf, desk=1)["desk"] == 1


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("base/catalog.yml", "# as runtime_params: dryrun does\nbars: {type: x}\n"),
        ("base/.ipynb_checkpoints/parameters-checkpoint.yml", "dryrun: false\n"),
        ("paper/catalog.yml", "bars: {filepath: '${runtime_params:dryrun}'}\n"),
    ],
    ids=["comment", "hidden backup", "other environment"],
)
def test_what_kedro_does_not_read_makes_no_name_known(conf, file, text):
    (conf / file).parent.mkdir(exist_ok=True)
    (conf / file).write_text(text)
    with pytest.raises(ConfigurationError, match="Nothing reads the parameter 'dryrun' of --params"):
        load(conf, dryrun=True)


def test_files_of_other_accounts_and_locks_of_editors_do_not_matter(conf):
    (conf / "paper" / "credentials.yml").symlink_to("not/there")
    (conf / "paper" / "parameters.yml").write_bytes(b"# gr\xfc\xdfe\n")
    (conf / "base" / ".#parameters.yml").symlink_to("me@host.123")
    (conf / "base" / "catalog.yml").write_text("bars: {filepath: '${runtime_params:market_folder}'}\n")
    assert load(conf, market_folder="here")["market_folder"] == "here"


def test_what_is_set_after_reading_counts(conf):
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


def test_a_model_that_cannot_be_understood(monkeypatch):
    entry = {"algorithm": "ridge", "features": "alpha158", "colour": "red", "hyper": {"alfa": 1}}
    monkeypatch.setattr(model_registry, "_session_loader", {"parameters": {"models": {"mine": entry}}})
    named = r"`models\.mine\.hyper\.alfa` of parameters_models\.yml \(did you mean 'alpha'\?\); .*mine\.colour"
    with pytest.raises(ConfigurationError, match=named):
        model_registry.load_model_registry()
