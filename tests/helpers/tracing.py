"""Trace for coverage what tells something new: tracing doubles the time of Python code before 3.12.

- What workers import of other libraries is imported before their tracing begins.
- A property that holds for hundreds of examples has run its lines after the first few, a test of many cases mostly too.
- Years of real bars and pages in a browser run lines that small cases run too.
- Processes that tests start are not traced; `test_kernels_uncompiled.py` asks for it.

So what coverage reports as missing can be a line of a later case. `make test-all` traces everything.
"""

from __future__ import annotations

import functools
import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

import pytest

TRACED_CASES, TRACED_EXAMPLES = 2, 5
UNTRACED_FIXTURES = {"chromium", "real_market"}
TRACES_PROCESSES = "COVERAGE_PROCESS_CONFIG"
"""Name of the variable by which coverage traces every Python process that is started below."""
LIBRARIES = (
    "alpaca.trading.client",
    "arch.bootstrap",
    "kedro.framework.session",
    "lightgbm",
    "mlflow.store.tracking.sqlalchemy_store",
    "pandas",
    "pandera.pandas",
    "plotly.io",
    "qlib.workflow",
    "scipy.stats",
    "sklearn.linear_model",
    "statsmodels.api",
    "torch",
)
_traced: dict[str, str] = {}
_cases: dict[str, list[str]] = {}


def import_libraries_untraced() -> None:
    """Import in a worker what most test modules import, before it traces; Qlib is not there on every Python."""
    leave_processes_untraced()
    if "PYTEST_XDIST_WORKER" in os.environ:
        for name in LIBRARIES:
            with suppress(ModuleNotFoundError):
                importlib.import_module(name)


def leave_processes_untraced() -> None:
    """Keep for those who ask what would trace every process that a test starts."""
    if (config := os.environ.pop(TRACES_PROCESSES, None)) is not None:
        _traced[TRACES_PROCESSES] = config


def tracing_environment() -> dict[str, str]:
    """Return what a process needs in its environment to be traced: nothing where coverage is not measured."""
    return dict(_traced)


@contextmanager
def tracing_what_is_new(item: pytest.Item) -> Iterator[None]:
    """Pause coverage in a phase of a test that compares at length or repeats, and in a property after some examples."""
    controller = getattr(item.config.pluginmanager.getplugin("_cov"), "cov_controller", None)
    property_ = getattr(getattr(item, "function", None), "hypothesis", None)
    if controller is None or not item.config.option.markexpr:
        yield
    elif UNTRACED_FIXTURES.isdisjoint(item.fixturenames) and _number_of_case(item.nodeid) < TRACED_CASES:
        with _traced_at_first(property_, controller) if property_ else nullcontext():
            yield
    else:
        controller.pause()
        try:
            yield
        finally:
            controller.resume()


def _number_of_case(nodeid: str) -> int:
    """Return how many other cases of the same test came before."""
    cases = _cases.setdefault(nodeid.partition("[")[0], [])
    if nodeid not in cases:
        cases.append(nodeid)
    return cases.index(nodeid)


@contextmanager
def _traced_at_first(handle: Any, controller: Any) -> Iterator[None]:
    examples, body = 0, handle.inner_test

    @functools.wraps(body)
    def counted(*arguments, **named):
        nonlocal examples
        examples += 1
        if examples == TRACED_EXAMPLES + 1:
            controller.pause()
        return body(*arguments, **named)

    handle.inner_test = counted
    try:
        yield
    finally:
        handle.inner_test = body
        if examples > TRACED_EXAMPLES:
            controller.resume()
