"""A warm process that runs every ``kedro`` command line in a fork of itself.

Importing Kedro, MLflow, torch and the pipelines takes seconds; most tests on the command line are about what a command
does, not about how its process starts. The server imports once, before any thread is started, and forks for each
command: the command has a process, arguments, environment, folder, streams and exit status of its own, and ends as any
interpreter ends.

It reads one JSON object a line from its standard input and answers each on its standard output: with the exit status,
or, where the order names a file for the status, at once with the number of the process, which leads a group of its own.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import pkgutil
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TextIO

WARM = (
    "IPython.display",
    "alembic.command",
    "alpaca.data",
    "alpaca.trading.client",
    "fsspec.implementations.local",
    "git",
    "kedro.framework.cli.cli",
    "kedro.framework.cli.project",
    "kedro.framework.session",
    "kedro.runner",
    "kedro_datasets.json.json_dataset",
    "kedro_datasets.matplotlib.matplotlib_dataset",
    "kedro_datasets.pandas.csv_dataset",
    "kedro_datasets.pandas.parquet_dataset",
    "kedro_datasets.text.text_dataset",
    "kedro_mlflow.framework.hooks",
    "kedro_viz.integrations.kedro.run_hooks",
    "kedro_viz.launchers.cli.main",
    "lightgbm",
    "matplotlib.backends.backend_agg",
    "matplotlib.pyplot",
    "mlflow.lightgbm",
    "mlflow.store.model_registry.sqlalchemy_workspace_store",
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.store.tracking.sqlalchemy_workspace_store",
    "mlflow.tracing.processor.otel",
    "numba",
    "pandas",
    "pandera.accessors.pandas_accessor",
    "pandera.api.pandas.container",
    "pandera.backends.pandas.register",
    "pandera.pandas",
    "pandera.strategies.pandas_strategies",
    "plotly.graph_objects",
    "plotly.io",
    "pyarrow.dataset",
    "pyarrow.parquet",
    "quant_pipeline.cli.account",
    "quant_pipeline.cli.account_picture",
    "quant_pipeline.cli.models",
    "quant_pipeline.cli.opened_models",
    "quant_pipeline.cli.replay",
    "quant_pipeline.cli.run_command",
    "quant_pipeline.market.schemas",
    "quant_pipeline.market.sources.simulated",
    "quant_pipeline.models.algorithms.boosted_trees",
    "quant_pipeline.models.algorithms.double_ensemble",
    "quant_pipeline.models.algorithms.lightgbm",
    "quant_pipeline.models.algorithms.linear",
    "quant_pipeline.models.algorithms.networks",
    "quant_pipeline.models.gbdt",
    "quant_pipeline.models.networks.recurrent",
    "quant_pipeline.models.networks.scoring",
    "quant_pipeline.project.hooks",
    "quant_pipeline.pipeline_registry",
    "quant_pipeline.reports.theme",
    "quant_pipeline.tracking.records",
    "quant_pipeline.tracking.run",
    "quant_pipeline.trading.brokers.simulated.adapter",
    "safetensors.torch",
    "sqlalchemy.dialects.sqlite",
    "torch",
    "yaml",
)
PACKAGES = ("quant_pipeline.pipelines", "quant_pipeline.datasets")


def serve() -> None:
    """Import what commands need, then run commands until the standard input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for name in WARM:
        importlib.import_module(name)
    for package in PACKAGES:
        for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
            importlib.import_module(f"{package}.{module.name}")
    _prepare()
    gc.collect()
    gc.freeze()
    assert threading.active_count() == 1, "a process with threads must not be forked"
    assert "quant_pipeline.settings" not in sys.modules, "settings hold the folder of one project"
    for line in sys.stdin:
        order = json.loads(line)
        if "status" in order:
            if os.fork() == 0:
                _watch(order, answers)
        else:
            _answer(answers, _exit_code(_fork(order, answers)))


def _prepare() -> None:
    """Make what every process makes once: the calendar, what kernels need to be loaded, what figures are checked by."""
    importlib.import_module("quant_pipeline.market.calendar").TradingCalendar.of("XNYS", "2021-01-04", "2025-03-31")
    target = importlib.import_module("numba.core.registry").cpu_target
    target.typing_context.refresh()
    target.target_context.refresh()
    figure = importlib.import_module("quant_pipeline.reports.theme").blank_figure("title", "description")
    table = importlib.import_module("pandas").DataFrame({"x": [1.0]})
    graphs = importlib.import_module("plotly.graph_objects")
    figure.add_traces([graphs.Scatter(x=table["x"]), graphs.Bar(x=table["x"]), graphs.Heatmap(z=table)])
    figure.to_json()


def _watch(order: dict[str, Any], answers: TextIO) -> NoReturn:
    """Run a command while the server goes on, and write its exit status when it has ended."""
    child = _fork(order, answers)
    _answer(answers, child)
    status = Path(order["status"])
    status.with_suffix(".new").write_text(str(_exit_code(child)))
    status.with_suffix(".new").rename(status)
    os._exit(0)


def _fork(order: dict[str, Any], answers: TextIO) -> int:
    if (child := os.fork()) == 0:
        answers.close()
        if "status" in order:
            os.setsid()
        _become(order)
    return child


def _exit_code(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _answer(answers: TextIO, number: int) -> None:
    answers.write(f"{number}\n")
    answers.flush()


def _become(order: dict[str, Any]) -> NoReturn:
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
    if "kernels" in order:
        atexit.register(_write_called_kernels, Path(order["kernels"]))
    _end(_status_of(sys.modules["kedro.framework.cli.cli"].main))


def _write_called_kernels(file: Path) -> None:
    """Write every kernel of the project with the types that it was called with."""
    from numba.core.dispatcher import Dispatcher

    gc.unfreeze()
    kernels = [each for each in gc.get_objects() if isinstance(each, Dispatcher)]
    ours = [each for each in kernels if each.py_func.__module__.startswith("quant_pipeline.")]
    called = {f"{each.py_func.__module__}.{each.py_func.__name__}{types}" for each in ours for types in each.signatures}
    file.write_text(json.dumps(sorted(called)))


def _status_of(command: Callable[[], object]) -> int:
    """Run the command as an interpreter runs its main program, and return the exit status."""
    try:
        command()
    except SystemExit as ended:
        if ended.code is None or isinstance(ended.code, int):
            return ended.code or 0
        sys.stderr.write(f"{ended.code}\n")
        return 1
    except BaseException:  # noqa: BLE001 - an interpreter reports whatever ends its program
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


def _end(status: int) -> NoReturn:
    """End as an interpreter does, but leave its memory to the system: freeing what was forked takes seconds."""
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


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
