"""A warm process that runs every ``kedro`` command line in a fork of itself.

Importing Kedro, MLflow, torch and the pipelines takes seconds; most tests on the command line are about what a command
does, not about how its process starts. The server imports once, before any thread is started, and forks for each
command: the command has a process, arguments, environment, folder, streams and exit status of its own, and ends as any
interpreter ends.

It reads one JSON object a line from its standard input and answers each with the exit status on its standard output.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import sys
import threading
import time
from pathlib import Path
from typing import Any

WARM = (
    "IPython.display",
    "alembic",
    "alpaca.trading.client",
    "kedro.framework.cli.cli",
    "kedro.framework.session",
    "kedro.runner",
    "kedro_mlflow.framework.hooks",
    "kedro_viz.launchers.cli",
    "lightgbm",
    "mlflow.store.tracking.sqlalchemy_store",
    "numba",
    "pandas",
    "pandera.pandas",
    "plotly.io",
    "pyarrow.parquet",
    "quant_pipeline.cli.account",
    "quant_pipeline.cli.models",
    "quant_pipeline.cli.replay",
    "quant_pipeline.hooks",
    "quant_pipeline.pipeline_registry",
    "torch",
    "yaml",
)


def serve() -> None:
    """Import what commands need, then run commands until the standard input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for name in WARM:
        importlib.import_module(name)
    for stage in pkgutil.iter_modules(importlib.import_module("quant_pipeline.pipelines").__path__):
        importlib.import_module(f"quant_pipeline.pipelines.{stage.name}")
    assert threading.active_count() == 1, "a process with threads must not be forked"
    assert "quant_pipeline.settings" not in sys.modules, "settings hold the folder of one project"
    for line in sys.stdin:
        if (child := os.fork()) == 0:
            answers.close()
            _become(json.loads(line))
            return
        _, status = os.waitpid(child, 0)
        answers.write(f"{os.waitstatus_to_exitcode(status)}\n")
        answers.flush()


def _become(order: dict[str, Any]) -> None:
    """Be the command: its streams, its folder, its environment, its arguments."""
    for stream, (file, flags) in enumerate(
        [
            (os.devnull, os.O_RDONLY),
            (order["stdout"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
            (order["stderr"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
        ]
    ):
        opened = os.open(file, flags, 0o600)
        os.dup2(opened, stream)
        os.close(opened)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - lives as long as the process
    os.environ.clear()
    os.environ.update(order["environment"])
    time.tzset()
    os.chdir(order["folder"])
    _belong_to(Path(order["folder"]) / "src")
    sys.argv = order["arguments"]
    sys.modules["kedro.framework.cli.cli"].main()


def _belong_to(sources: Path) -> None:
    """Let the package be that of a project: its modules lie there, and those to come are found there."""
    origin = Path(sys.modules["quant_pipeline"].__file__).parents[1]
    for name, module in sys.modules.items():
        if name.partition(".")[0] == "quant_pipeline":
            module.__file__ = str(sources / Path(module.__file__).relative_to(origin))
    sys.modules["quant_pipeline"].__path__ = [str(sources / "quant_pipeline")]
    sys.path.insert(0, str(sources))


if __name__ == "__main__":
    serve()
