"""The packaged project: no keys inside, and it runs from an empty folder."""

import os
import subprocess
import sys
import tarfile
import zipfile

import pytest
import yaml

from quant_pipeline.cli.package import pack_configuration
from tests.helpers.project import SMALL_MARKET, copy_project


@pytest.fixture
def conf(tmp_path):
    for name in (
        "base/credentials_environment.yml",
        "base/parameters.yml",
        "live/credentials.yml",
        "live/my_Credentials_2.yaml",
        "live/credentials/keys.yml",
        "live/.ipynb_checkpoints/credentials-checkpoint.yml",
        "local/parameters.yml",
        "local/.gitkeep",
        "logging.yml",
    ):
        (tmp_path / "conf" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "conf" / name).write_text("key: secret\n")
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
        "live/my_Credentials_2.yaml",
        "local/parameters.yml",
    ]
    assert [file.name for file in (tmp_path / "dist").iterdir()] == ["conf.tar.gz"]


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
    done = copy.run("kedro package")
    assert "left out conf/paper/credentials.yml" in done.stdout
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
