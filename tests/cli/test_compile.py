"""What `kedro compile` compiles is all that commands call.

Compiling twice to see that the second time compiles nothing would take minutes. A kernel is compiled for the types that
it is called with, so the test compares what was called: every kernel and every type of a run is one of `kedro compile`.
"""

import json
import subprocess
import sys

import pytest

from tests.helpers.project import Project

CALLED = """
import atexit, gc, json, sys
from pathlib import Path

_, file, *sys.argv = sys.argv

def write():
    from numba.core.dispatcher import Dispatcher
    kernels = [each for each in gc.get_objects() if isinstance(each, Dispatcher)]
    ours = [each for each in kernels if each.py_func.__module__.startswith("quant_pipeline.")]
    called = {f"{each.py_func.__module__}.{each.py_func.__name__}{types}" for each in ours for types in each.signatures}
    Path(file).write_text(json.dumps(sorted(called)))

atexit.register(write)
from kedro.framework.cli import main
main()
"""
COMMANDS = {
    "run": "kedro run --pipelines prediction,backtest,post_trade,order_generation",
    "research": "kedro run --pipelines features,ensemble_search,factor_evaluation,model_report",
    "replay": "kedro replay --from 2024-12-27 --to 2024-12-31",
}
SLOW = ("research", "replay")


def called_by(project: Project, words: str) -> set[str]:
    """Return kernels with the types that a command called, in a process of its own."""
    file = project.path / "called.json"
    started = [sys.executable, "-c", CALLED, str(file), *words.split()]
    done = subprocess.run(started, **project.place, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return set(json.loads(file.read_text()))


@pytest.fixture(scope="module")
def compiled(module_project) -> set[str]:
    """Kernels that `kedro compile` calls."""
    return called_by(module_project, "kedro compile")


@pytest.mark.parametrize(
    "words", [pytest.param(COMMANDS[name], id=name, marks=[pytest.mark.slow] * (name in SLOW)) for name in COMMANDS]
)
def test_a_command_after_kedro_compile_compiles_nothing(module_project, compiled, words):
    called = called_by(module_project, words)
    assert called
    assert called - compiled == set()
