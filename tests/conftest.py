"""Fixtures that several rooms share."""

import gc
import os
import sys
from pathlib import Path

import pytest

from tests.helpers.buckets import Bucket
from tests.helpers.isolation import isolated
from tests.helpers.project import PROJECT
from tests.helpers.properties import register_profiles
from tests.helpers.tracing import leave_processes_untraced

# Workers of the suite share the cores: threads of torch and LightGBM that wait for each other by spinning make it four
# times slower. Libraries read this when they are loaded, and child processes inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")
leave_processes_untraced()

register_profiles()

MARKET_DATA_VARIABLE = "QUANT_PIPELINE_MARKET_DATA"

# What takes longest, in the order in which workers take it. The first one makes the project that all of `tests/cli`
# begin with; a worker beside it would wait for that, so it takes what needs no such project.
LONGEST = (
    "tests/cli/test_acceptance.py",
    "tests/pipelines/",
    "tests/cli/",
    "tests/backtest/test_qlib_topk_dropout.py",
    "tests/test_installation.py",
    "tests/test_kernels_uncompiled.py",
)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Keep together what shares something; without xdist there is only one worker."""
    if config.getvalue("dist") == "loadfile":
        from tests.helpers.scheduling import FolderScheduling

        return FolderScheduling(config, log)
    return None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Let the longest begin first, so that workers end together."""
    order = [*LONGEST, ""]
    items.sort(key=lambda item: next(index for index, name in enumerate(order) if item.nodeid.startswith(name)))


def pytest_collection_finish():
    """Leave what is imported out of every later collection of garbage, which would look through it again and again."""
    leave_processes_untraced()
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def project_path() -> Path:
    return PROJECT


@pytest.fixture(scope="session")
def real_market() -> Path:
    """Folder with real bars; a machine without it skips, the gate of the project does not."""
    folder = os.environ.get(MARKET_DATA_VARIABLE)
    if folder and (Path(folder) / "us_daily.parquet").is_file():
        return Path(folder)
    if os.environ.get("CI") == "true":
        pytest.fail(f"{MARKET_DATA_VARIABLE} must name the folder with us_daily.parquet when CI=true")
    pytest.skip(f"{MARKET_DATA_VARIABLE} names no folder with us_daily.parquet")


@pytest.fixture(autouse=True)
def _isolated():
    """No test finds what another one has left in the process: see `tests/helpers/isolation.py`."""
    with isolated():
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item):
    return (yield from _skipped_without_qlib())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    return (yield from _skipped_without_qlib())


def _skipped_without_qlib():
    """Skip what asks for Qlib on a Python for which Qlib has no release; everywhere else it has to be there."""
    try:
        return (yield)
    except Exception as error:
        cause = error
        while cause is not None:
            if isinstance(cause, ModuleNotFoundError) and sys.version_info >= (3, 13):
                if str(cause.name).partition(".")[0] == "qlib":
                    pytest.skip("Qlib has no release for this Python")
            cause = cause.__cause__
        raise


@pytest.fixture
def bucket(tmp_path_factory, monkeypatch):
    """An empty bucket in memory."""
    made = Bucket(tmp_path_factory.mktemp("machines"), monkeypatch)
    yield made
    made.remove()
