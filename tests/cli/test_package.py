"""The packaged project: no keys inside, and it runs from an empty folder."""

import os
import subprocess
import sys
import tarfile
import zipfile

import pytest
import yaml

from quant_pipeline.cli.package import pack_configuration
from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.testing.small_project import SMALL_MARKET
from tests.helpers.project import copy_project


@pytest.fixture
def conf(tmp_path):
    for name in (
        "base/credentials_environment.yml",
        "base/parameters.yml",
        "live/credentials.yml",
        "live/my_Credentials_2.yaml",
        "live/credentials/keys.yml",
        "live/.ipynb_checkpoints/credentials-checkpoint.yml",
        "live/local/parameters.yml",
        "live/keys.pem",
        "local/parameters.yml",
        "local/.gitkeep",
        "logging.yml",
    ):
        (tmp_path / "conf" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "conf" / name).write_text("key: value\n")
    return tmp_path / "conf"


def test_the_archive_holds_neither_keys_nor_personal_overrides(conf, tmp_path):
    left_out = pack_configuration(conf, tmp_path / "dist" / "conf.tar.gz")
    with tarfile.open(tmp_path / "dist" / "conf.tar.gz") as archive:
        assert sorted(archive.getnames()) == [
            "conf/base/credentials_environment.yml",
            "conf/base/parameters.yml",
            "conf/logging.yml",
        ]
    assert sorted(file.as_posix() for file in left_out) == [
        "live/credentials.yml",
        "live/credentials/keys.yml",
        "live/keys.pem",
        "live/local/parameters.yml",
        "live/my_Credentials_2.yaml",
        "local/parameters.yml",
    ]
    assert [file.name for file in (tmp_path / "dist").iterdir()] == ["conf.tar.gz"]


@pytest.mark.parametrize(
    ("file", "text", "key"),
    [
        ("base/credentials_environment.yml", "alpaca_live:\n  api_key: PKSECRET\n", "alpaca_live.api_key"),
        ("base/credential.yml", "Secret_Key: 'PKSECRET'\n", "Secret_Key"),
        ("secrets/alpaca.yaml", "accounts:\n- name: x\n- password: 123456\n", "accounts.password"),
        ("live/keys.json", '{"brokers": [{"apiToken": "PKSECRET"}]}', "brokers.apiToken"),
        ("live/keys.yml", "secrets:\n  alpaca: [PKSECRET]\n", "secrets.alpaca"),
        ("live/keys.yml", "ALPACA_API_KEY: PKSECRET\nALPACA_API_KEY: ${oc.env:KEY}\n", "ALPACA_API_KEY"),
        ("live/keys.yml", "api_key: ${oc.env:KEY, PKSECRET}\n", "api_key"),
        ("live/keys.yml", "a: 1\n---\naccess-key: PKSECRET\n", "access-key"),
        ("live/catalog.yml", "ledger:\n  url: postgresql://me:PKSECRET@host/ledger\n", "ledger.url"),
    ],
)
def test_a_key_that_is_spelt_out_is_not_packed(conf, tmp_path, file, text, key):
    (conf / file).parent.mkdir(exist_ok=True)
    (conf / file).write_text(text)
    with pytest.raises(ConfigurationError) as refused:
        pack_configuration(conf, tmp_path / "dist" / "conf.tar.gz")
    assert refused.value.message.startswith(f"conf/{file} spells out `{key}`, which would be packed. Move it into cred")
    assert "\n" not in refused.value.message
    assert "PKSECRET" not in refused.value.message
    assert not (tmp_path / "dist").exists()


def test_references_and_what_is_no_secret_are_packed(conf, tmp_path):
    (conf / "live" / "catalog.yml").write_text(
        "trading_desk: {credentials: alpaca_live, url: 'postgresql://me:${oc.env:PASSWORD}@host/ledger'}\n"
        "again: &again\n  api_key: '${oc.env:KEY, null}'\n  secret_key: ${oc.env:A, ${oc.env:B}}\n  token: null\n"
        "  header_token: Bearer ${oc.env:KEY}\n  password: ''\n  secret: ???\n  use_token: true\n  itself: *again\n"
    )
    assert pack_configuration(conf, tmp_path / "dist" / "conf.tar.gz")
    with tarfile.open(tmp_path / "dist" / "conf.tar.gz") as archive:
        assert "conf/live/catalog.yml" in archive.getnames()


@pytest.mark.parametrize("content", [b"a: [1\n", b"\xff\xfe", b"a: b: c\n"])
def test_a_file_that_cannot_be_looked_through_is_not_packed(conf, tmp_path, content):
    (conf / "live" / "keys.yml").write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"^conf/live/keys\.yml is no YAML or JSON that can be looked through"):
        pack_configuration(conf, tmp_path / "dist" / "conf.tar.gz")


def test_the_archive_holds_what_a_link_leads_to(conf, tmp_path):
    outside = tmp_path / "shared.yml"
    outside.write_text("topk: 7\n")
    (conf / "live" / "parameters.yml").symlink_to(outside)
    (conf / "live" / "parameters_same.yml").hardlink_to(outside)
    pack_configuration(conf, tmp_path / "dist" / "conf.tar.gz")
    with tarfile.open(tmp_path / "dist" / "conf.tar.gz") as archive:
        assert {entry.type for entry in archive} == {tarfile.REGTYPE}
        for name in ("parameters", "parameters_same"):
            assert archive.extractfile(f"conf/live/{name}.yml").read() == b"topk: 7\n"


def test_a_key_behind_a_link_is_found(conf, tmp_path):
    (conf / "live" / "credentials.yml").write_text("api_key: PKSECRET\n")
    (conf / "live" / "other.yml").symlink_to("credentials.yml")
    with pytest.raises(ConfigurationError, match=r"^conf/live/other\.yml spells out `api_key`"):
        pack_configuration(conf, tmp_path / "dist" / "conf.tar.gz")


@pytest.mark.parametrize(
    ("name", "target"), [("live/more", "elsewhere"), ("live/more.yml", "elsewhere"), ("live/more.yml", "nothing")]
)
def test_a_link_to_a_folder_or_to_nothing_is_named(conf, tmp_path, name, target):
    (tmp_path / "elsewhere").mkdir()
    (conf / name).symlink_to(tmp_path / target)
    with pytest.raises(ConfigurationError, match=rf"^conf/{name} is a link to a folder or to nothing"):
        pack_configuration(conf, tmp_path / "dist" / "conf.tar.gz")


def test_the_shipped_configuration_is_packed_whole(project_path, tmp_path):
    left_out = pack_configuration(project_path / "conf", tmp_path / "dist" / "conf.tar.gz")
    assert [file for file in left_out if file.parts[0] != "local" and "credentials" not in file.name] == []


def test_git_ignores_what_is_packed_and_every_file_with_keys(project_path):
    for name in ("dist/conf-quant_pipeline.tar.gz", "conf/live/credentials.yml", "conf/local/credentials.yml"):
        assert subprocess.run(["git", "check-ignore", "-q", name], cwd=project_path).returncode == 0, name


@pytest.fixture(scope="module")
def packaged(project_path, tmp_path_factory):
    """A copy of the project with keys, after `kedro package`."""
    copy = copy_project(project_path, tmp_path_factory.mktemp("packaged"))
    catalog = copy.path / "conf" / "sim" / "catalog.yml"
    entries = yaml.safe_load(catalog.read_text())
    entries["market_source"]["parameters"] = SMALL_MARKET
    catalog.write_text(yaml.safe_dump(entries))
    (copy.path / "conf" / "paper" / "credentials.yml").write_text("alpaca_paper: {api_key: PKSECRET, secret_key: x}\n")
    (copy.path / "build" / "results").mkdir(parents=True)
    (copy.path / "build" / "lib" / "quant_pipeline").mkdir(parents=True)
    (copy.path / "build" / "lib" / "quant_pipeline" / "deleted.py").write_text("")
    done = copy.run("kedro package")
    assert "left out conf/paper/credentials.yml" in done.stdout
    assert (copy.path / "build" / "results").is_dir(), "what `make results` has trained"
    return copy.path / "dist"


@pytest.fixture(scope="module")
def run_installed(packaged, tmp_path_factory):
    """Run the console script of the unpacked wheel in a folder; the source tree is not on the path."""
    place = tmp_path_factory.mktemp("site")
    (wheel,) = packaged.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place)

    def run(folder, *arguments):
        environment = {**os.environ, "PYTHONPATH": str(place), "COLUMNS": "200"}
        for name in ("KEDRO_ENV", "MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "COVERAGE_PROCESS_CONFIG"):
            environment.pop(name, None)
        script = "import sys; from quant_pipeline.__main__ import main; sys.exit(main())"
        return subprocess.run(
            [sys.executable, "-c", script, *map(str, arguments)],
            cwd=folder, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip

    run.site = place
    return run


def test_a_package_contains_no_key(packaged):
    (wheel,) = packaged.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        contents = [archive.read(name) for name in archive.namelist()]
        assert not [name for name in archive.namelist() if "deleted" in name]
    with tarfile.open(packaged / "conf-quant_pipeline.tar.gz") as archive:
        contents += [archive.extractfile(entry).read() for entry in archive if entry.isfile()]
    assert len(contents) > 300
    assert not [content for content in contents if b"PKSECRET" in content]


def test_the_wheel_runs_from_an_empty_folder_with_the_archive_and_with_an_unpacked_conf(
    packaged, run_installed, tmp_path
):
    folder = tmp_path / "empty folder"
    folder.mkdir()
    archive = packaged / "conf-quant_pipeline.tar.gz"
    before = {path.name for path in run_installed.site.iterdir()}
    done = run_installed(folder, "--conf-source", archive, "--pipelines", "ingestion")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert (folder / "data/markets/simulated/02_intermediate/bars.parquet").is_file()
    written = {path.name for path in folder.iterdir()}
    assert written >= {"data", "logs", "mlflow.db"}
    assert not {name for name in written if name not in ("data", "logs") and not name.startswith("ml")}
    assert {path.name for path in run_installed.site.iterdir()} == before
    # logging.yml of the archive silences Kedro's own narration.
    assert "Loading data from" not in done.stdout + done.stderr
    assert "[ 1/" in done.stdout + done.stderr

    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    again = run_installed(folder, "--pipelines", "ingestion", "--only-missing-outputs")
    assert again.returncode == 0, again.stdout[-2000:] + again.stderr[-2000:]


def test_without_conf_the_console_script_says_one_clear_line(run_installed, tmp_path):
    done = run_installed(tmp_path, "--pipelines", "ingestion")
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1] == (
        f"Error: There is no conf/ in {tmp_path}; start in the project or pass --conf-source."
    )
    assert "Traceback" not in done.stdout + done.stderr
    assert [path.name for path in tmp_path.iterdir()] == []
