"""A copy of the project in which commands run as a user would run them."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

COPIED = ("benchmarks", "conf", "notebooks", "pyproject.toml", ".telemetry", "README.md")
SMALL_MARKET = {"seed": 7, "n_instruments": 14, "start": "2021-01-04", "end": "2025-03-31"}
SMALL_PARAMETERS = {
    "split": {
        "train": ["2021-06-01", "2023-06-30"],
        "valid": ["2023-07-01", "2024-03-29"],
        "test": ["2024-04-01", "2024-12-31"],
    },
    "rolling": {"start": "2021-06-01", "first_test": "2024-04-01"},
    "strategy": {"topk": 5, "n_drop": 1},
    "models": {"gru_alpha158": {"hyper": {"epochs": 2}}},
    "ensemble_search": {"first_training_periods": 10, "fold_periods": 6, "holdout_periods": 6},
}


class Project:
    """Runs commands in a copy of the project, as a person would."""

    def __init__(self, path: Path):
        self.path = path

    def run(self, command: str, *, ok: bool = True) -> subprocess.CompletedProcess:
        """Run one command line; `kedro` and `python` are those of this interpreter."""
        done = subprocess.run(
            self._arguments(command), **self._place, capture_output=True, text=True, timeout=1800, check=False
        )
        if ok and done.returncode != 0:
            pytest.fail(f"`{command}` ended with {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}")
        return done

    def start(self, command: str) -> subprocess.Popen:
        """Start one command line as the leader of a group of processes, and do not wait."""
        silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return subprocess.Popen(self._arguments(command), **self._place, **silent, start_new_session=True)

    @staticmethod
    def _arguments(command: str) -> list[str]:
        program, *rest = shlex.split(command)
        return [str(Path(sys.executable).parent / program), *rest]

    @property
    def _place(self) -> dict:
        environment = {**os.environ, "COLUMNS": "120", "PYTHONPATH": str(self.path / "src")}
        # Five consumers of jobs that nobody gives would start beside MLflow's pages, and outlive them.
        environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
        # A session in this process leaves its tracking store in the environment.
        for name in ("KEDRO_ENV", "COVERAGE_PROCESS_CONFIG", "MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID"):
            environment.pop(name, None)
        return {"cwd": self.path, "env": environment, "stdin": subprocess.DEVNULL}


def copy_project(source: Path, target: Path) -> Project:
    for name in COPIED:
        origin = source / name
        if origin.is_dir():
            shutil.copytree(origin, target / name, ignore=shutil.ignore_patterns("__pycache__", "credentials.yml"))
        else:
            shutil.copy(origin, target / name)
    # The sources themselves: what is compiled in one process serves all others, which spares minutes.
    (target / "src").mkdir()
    (target / "src" / "quant_pipeline").symlink_to(source / "src" / "quant_pipeline")
    return Project(target)
