"""A copy of the project with a small market, for tests and rehearsals that run its commands as a user would."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Container
from pathlib import Path
from typing import Any, Final

import yaml

from quant_pipeline.common.atomic import write_text

COPIED: Final = ("benchmarks", "conf", "notebooks", "pyproject.toml", ".telemetry", "README.md")
SMALL_MARKET: Final[dict[str, Any]] = {"seed": 7, "n_instruments": 14, "start": "2021-01-04", "end": "2025-03-31"}
SMALL_PARAMETERS: Final[dict[str, Any]] = {
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


def copy_files(source: Path, target: Path) -> None:
    """Copy what belongs to the project and nothing that runs have written; the sources stay the same ones."""
    target.mkdir(parents=True, exist_ok=True)
    for name in COPIED:
        origin = source / name
        if origin.is_dir():
            shutil.copytree(origin, target / name, ignore=shutil.ignore_patterns("__pycache__", "credentials.yml"))
        else:
            shutil.copy(origin, target / name)
    # What is compiled in one process serves all others, which spares minutes.
    (target / "src").mkdir()
    (target / "src" / "quant_pipeline").symlink_to(source / "src" / "quant_pipeline")


def make_small(project: Path) -> None:
    """Give a copy a market of fourteen instruments and parameters that suit it."""
    conf = project / "conf" / "sim"
    entries = yaml.safe_load((conf / "catalog.yml").read_text())
    entries["market_source"]["parameters"] = SMALL_MARKET
    write_text(conf / "catalog.yml", yaml.safe_dump(entries))
    write_text(conf / "parameters_small.yml", yaml.safe_dump(SMALL_PARAMETERS))


def plain_shell() -> dict[str, str]:
    """Return the shell's variables without what would lead to another account or tracking server."""
    hidden = ("KEDRO_ENV", "MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if name not in hidden}


def run_kedro(project: Path, words: str, accepted: Container[int] = (0,)) -> int:
    """Run a command of Kedro in a copy, with the copy's sources, and return its exit status.

    Parameters
    ----------
    project
        The copy.
    words
        What follows ``kedro``, as in a shell: paths are quoted.
    accepted
        Exit statuses that are none of an error.

    Raises
    ------
    RuntimeError
        When it is none of those that are accepted, with the end of what was printed.
    """
    sys.stderr.write(f"kedro {words} …\n")
    command = [str(Path(sys.executable).parent / "kedro"), *shlex.split(words)]
    environment = {**plain_shell(), "PYTHONPATH": str(project / "src")}
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - the words are ours
    if done.returncode not in accepted:
        raise RuntimeError(f"kedro {words} ended with {done.returncode}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.returncode


def keep_ledger_at(folder: Path, url: str) -> None:
    """Name a database in every entry of the catalog that names the file of the ledger, with anchors beside it."""
    place, anchors = "${globals:paths.account}/ledger.sqlite", '{filepath: "${globals:paths.account}/ledger.anchors"}'
    for catalog in (folder / "conf").rglob("catalog*.yml"):
        text = catalog.read_text()
        text = text.replace(f'ledger: {{filepath: "{place}"}}', f'ledger: {{filepath: "{url}", anchors: {anchors}}}')
        catalog.write_text(text.replace(f"  filepath: {place}\n", f'  filepath: "{url}"\n  anchors: {anchors}\n'))
