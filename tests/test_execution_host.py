"""A host that only executes is installed without the libraries of research, and does everything that trading needs."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pandas as pd
import pytest

from quant_pipeline.common.missing_libraries import LEFT_OUT
from quant_pipeline.project.opened_catalog import open_catalog
from quant_pipeline.testing.small_project import copy_files, make_small

LOCK = "requirements-execution.lock"
STAGES = ("ingestion", "post_trade", "order_generation", "shadow", "ranking", "execution")
"""What such a host runs, beside the commands of accounts, the live process and the service."""
PACKAGES = (
    *("quant_pipeline.trading", "quant_pipeline.live", "quant_pipeline.service", "quant_pipeline.client"),
    *("quant_pipeline.exchange", "quant_pipeline.strategy", "quant_pipeline.market", "quant_pipeline.common"),
    *("quant_pipeline.project", "quant_pipeline.reports"),
    *(f"quant_pipeline.pipelines.{stage}" for stage in STAGES),
    *("quant_pipeline.cli.account", "quant_pipeline.cli.live", "quant_pipeline.cli.service"),
)
IMPORTED = """
import importlib, pkgutil, sys
LEFT_OUT, PACKAGES = {left_out!r}, {packages!r}

class Refusing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in LEFT_OUT:
            raise ModuleNotFoundError(f"{{name}} is left out here", name=name)

sys.meta_path.insert(0, Refusing())
count = 0
for name in PACKAGES:
    package = importlib.import_module(name)
    within = pkgutil.walk_packages(getattr(package, "__path__", []), f"{{name}}.")
    for module in [name, *(each.name for each in within)]:
        importlib.import_module(module)
        count += 1
print(count)
"""


def lines_of(file):
    """Return what a lock pins; markers are as wide as what else asks for a package."""
    return {line.partition(";")[0].strip() for line in file.read_text().splitlines()}


def name_of(requirement):
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=~!; ]", requirement)[0]).lower()


def test_the_lock_of_the_host_is_the_lock_without_what_it_leaves_out(project_path):
    own, whole = lines_of(project_path / LOCK), lines_of(project_path / "requirements.lock")
    assert own <= whole
    names = {name_of(line) for line in own}
    assert names & set(LEFT_OUT.values()) == set()
    declared = tomllib.loads((project_path / "pyproject.toml").read_text())["project"]
    extras = (line for extra in ("buckets", "postgres", "service") for line in declared["optional-dependencies"][extra])
    needed = {name_of(line) for line in (*declared["dependencies"], *extras)} - set(LEFT_OUT.values())
    assert needed <= names


def test_no_module_that_trades_imports_what_the_host_leaves_out(tmp_path):
    script = IMPORTED.format(left_out=set(LEFT_OUT), packages=PACKAGES)
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout.split()[-1]) > 250


class Host:
    """An environment made from the lock, and a project in which its commands run."""

    def __init__(self, environment, project):
        self.python, self.project = environment / "bin" / "python", project

    def run(self, words, *, ok=(0,), **variables):
        hidden = ("PYTHONPATH", "KEDRO_ENV", "MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "VIRTUAL_ENV")
        shell = {name: value for name, value in os.environ.items() if name not in hidden} | variables
        command = [str(self.python), "-m", "quant_pipeline", *words.split()]
        done = subprocess.run(command, cwd=self.project, env=shell, capture_output=True, text=True, check=False)
        assert done.returncode in ok, f"{words}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def host(project_path, tmp_path_factory):
    place = tmp_path_factory.mktemp("host")
    environment = place / "environment"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    install = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", environment / "bin" / "python"]
    done = subprocess.run([*install, "-r", project_path / LOCK], capture_output=True, text=True, check=False)
    if re.search(r"error sending request|dns error|Failed to fetch|timed out", done.stderr):
        pytest.skip("the package index is not reachable")
    assert done.returncode == 0, done.stderr[-2000:]
    subprocess.run([*install, "--no-deps", "--editable", project_path], check=True)
    project = place / "project"
    copy_files(project_path, project)
    make_small(project)
    (project / "conf" / "sim" / "parameters_host.yml").write_text(
        "order_generation: {source: file}\n"
        "live: {daily_pipelines: [ingestion, post_trade, shadow, order_generation, ranking]}\n"
    )
    return Host(environment, project)


@pytest.mark.slow  # It installs an environment.
def test_a_host_without_research_books_plans_executes_and_lives(host):
    found = subprocess.run(
        [host.python, "-m", "pip", "list"], capture_output=True, text=True, check=True
    ).stdout.lower()
    assert [package for package in LEFT_OUT.values() if re.search(rf"^{package}\s", found, re.MULTILINE)] == []
    host.run("--pipelines ingestion --params as_of=2024-12-31")
    catalog = open_catalog(host.project, params={"as_of": "2024-12-31"})
    members = catalog.load("universe_members")
    members = members[members["date"] == members["date"].max()]
    sessions = [each for each in catalog.load("sessions")["date"] if each >= pd.Timestamp("2024-12-31")]
    scores = pd.concat(
        [
            members.assign(date=session, score=range(len(members)))[["date", "instrument", "score"]]
            for session in (
                *sessions,
                pd.Timestamp("2025-01-02"),
                pd.Timestamp("2025-01-03"),
                pd.Timestamp("2025-01-06"),
            )
        ]
    ).drop_duplicates(["date", "instrument"])
    place = Path(host.project / "data/accounts/sim/01_raw")
    place.mkdir(parents=True)
    scores.to_csv(place / "scores.csv", index=False)
    host.run("--pipelines post_trade,order_generation --params as_of=2024-12-31")
    executed = host.run("--pipelines execution --params as_of=2024-12-31", ok=(0, 3))
    assert "Traceback" not in executed
    host.run("live --speed 1000000 --sessions 2")
    shown = host.run("account show")
    assert "2025-01-03" in shown
    assert "holdings" in shown.lower() or "positions" in shown.lower()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "package"),
    [
        ("--pipelines features,training", "torch|lightgbm"),
        ("--pipelines tuning", "optuna"),
    ],
)
def test_what_needs_research_says_so_in_one_line(host, words, package):
    host.run("--pipelines ingestion --params as_of=2024-12-31")
    said = host.run(f"{words} --params as_of=2024-12-31", ok=(1,))
    assert "Traceback" not in said
    (line,) = [line for line in said.splitlines() if line.startswith("Error: ")]
    assert re.match(rf"Error: this needs ({package}), which is not installed here: an execution host ", line)
