"""Seconds of the commands that people type all day: user and system time of whole processes, the median of five.

They run in a copy of the project: on the project's own state where a run has been made, else on a small market, on
which the whole path is run once first. Runs that are measured write into the copy.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).parents[1]
REPEATS = 5
COPIED = ("conf", "data", "mlflow.db", "mlruns", "pyproject.toml", ".telemetry")
STATE = "data/accounts/sim/ledger.sqlite"
SMALL = """market_source:
  parameters: {seed: 7, n_instruments: 14, start: "2021-01-04", end: "2025-03-31"}
"""
SMALL_PARAMETERS = """split:
  train: ["2021-06-01", "2023-06-30"]
  valid: ["2023-07-01", "2024-03-29"]
  test: ["2024-04-01", "2024-12-31"]
strategy: {topk: 5, n_drop: 1}
models:
  gru_alpha158: {hyper: {epochs: 2}}
"""
COMMANDS = {
    "kedro_help_seconds": ("kedro", "--help"),
    "registry_list_seconds": ("kedro", "registry", "list"),
    "account_show_seconds": ("kedro", "account", "show"),
    "quant_pipeline_account_show_seconds": ("quant-pipeline", "account", "show"),
    "models_list_seconds": ("kedro", "models", "list"),
    "models_plan_seconds": ("kedro", "models", "plan"),
}
RUN = ("kedro", "run", "--pipelines", "order_generation")
UNTIL_FIRST_NODE = """
import resource
from quant_pipeline.testing.first_node import run_until_first_node

def say():
    used = resource.getrusage(resource.RUSAGE_SELF)
    print("until the first node:", used.ru_utime + used.ru_stime, flush=True)

run_until_first_node({words!r}, say)
"""


def main() -> None:
    """Measure, print a table, and a JSON object as last line."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        copy_project(project)
        if not (project / STATE).exists():
            run_small_market(project)
        figures = {name: median_of(lambda w=words: seconds_of(project, w)) for name, words in COMMANDS.items()}
        figures["run_overhead_seconds"] = median_of(lambda: seconds_until_first_node(project))
    lines = {**{name: " ".join(words) for name, words in COMMANDS.items()}}
    lines["run_overhead_seconds"] = f"{' '.join(RUN)}, until its first node"
    print(f"{'command':62}seconds (user + system, median of {REPEATS})")
    for name, seconds in figures.items():
        print(f"{lines[name]:62}{seconds:7.2f}")
    print(json.dumps({name: round(seconds, 2) for name, seconds in figures.items()}))


def copy_project(target: Path) -> None:
    """Copy configuration and state; the sources are the project's own, so that compiled kernels count."""
    for name in COPIED:
        origin = PROJECT / name
        if origin.is_dir():
            shutil.copytree(origin, target / name)
        elif origin.exists():
            shutil.copy(origin, target / name)
    (target / "src").mkdir()
    (target / "src" / "quant_pipeline").symlink_to(PROJECT / "src" / "quant_pipeline")


def run_small_market(project: Path) -> None:
    """Run the whole path on fourteen instruments."""
    print("no run has been made here: running the whole path on a small market first", flush=True)
    (project / "conf" / "local").mkdir(exist_ok=True)
    (project / "conf" / "local" / "catalog_bench.yml").write_text(small_source(project))
    (project / "conf" / "local" / "parameters_bench.yml").write_text(SMALL_PARAMETERS)
    subprocess.run(arguments(("kedro", "run")), **place(project), check=True)


def small_source(project: Path) -> str:
    """Return the entry of the simulated market with fewer instruments."""
    import yaml

    entries = yaml.safe_load((project / "conf" / "sim" / "catalog.yml").read_text())
    source = entries["market_source"] | yaml.safe_load(SMALL)["market_source"]
    return yaml.safe_dump({"market_source": source})


def median_of(measure) -> float:
    """Measure several times; the first time warms the caches of the file system and does not count."""
    measure()
    return statistics.median(measure() for _ in range(REPEATS))


def seconds_of(project: Path, words: tuple[str, ...]) -> float:
    """Return user and system seconds of one command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(arguments(words), **place(project), check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def seconds_until_first_node(project: Path) -> float:
    """Return user and system seconds that a run takes before it does anything."""
    script = UNTIL_FIRST_NODE.format(words=list(RUN))
    done = subprocess.run([sys.executable, "-c", script], **place(project) | {"stdout": subprocess.PIPE}, text=True)
    _, found, seconds = done.stdout.rpartition("until the first node: ")
    if not found:
        raise SystemExit(f"`{' '.join(RUN)}` did not reach a node:\n{done.stdout}")
    return float(seconds.splitlines()[0])


def arguments(words: tuple[str, ...]) -> list[str]:
    """Return a command line of this interpreter's environment."""
    return [str(Path(sys.executable).parent / words[0]), *words[1:]]


def place(project: Path) -> dict:
    """Return where and how a command is started."""
    environment = {**os.environ, "PYTHONPATH": str(project / "src"), "OMP_NUM_THREADS": "1", "COLUMNS": "120"}
    # Commands of users find the bytecode of the last call, whatever the shell of this one says.
    for name in ("KEDRO_ENV", "PYTHONDONTWRITEBYTECODE"):
        environment.pop(name, None)
    return {"cwd": project, "env": environment, "stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}


if __name__ == "__main__":
    main()
