"""What a test may change in its process, put back for the next one: the order of tests must not matter.

Libraries that are not loaded are left alone. This module imports none: some read the environment when they are loaded.
"""

from __future__ import annotations

import logging
import os
import random
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def isolated() -> Iterator[None]:
    """Begin with the same random numbers and quiet loggers, end with the state of the process as it was found."""
    environment, folder = dict(os.environ), os.getcwd()
    arguments, paths = list(sys.argv), list(sys.path)
    floats, threads = _floating_point_errors(), _torch_threads()
    _begin_random_numbers()
    _leave_levels_to_the_root()
    root, disabled, levels = logging.getLogger(), logging.root.manager.disable, _levels_of_libraries()
    level, handlers = root.level, list(root.handlers)
    yield
    _set_level(root, level)
    root.handlers[:] = handlers
    _forget_whole_lists()
    if logging.root.manager.disable != disabled:
        logging.disable(disabled)
    for name, found in _levels_of_libraries().items():
        if found != levels.get(name, found):
            logging.getLogger(name).setLevel(levels[name])
    _end_tracking()
    _restore_environment(environment)
    os.chdir(folder)
    sys.argv[:], sys.path[:] = arguments, paths
    if floats is not None:
        sys.modules["numpy"].seterr(**floats)
    _restore_torch(threads)


def _begin_random_numbers() -> None:
    random.seed(0)
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed(0)  # Qlib draws from the global generator.
    if torch := sys.modules.get("torch"):
        torch.default_generator.manual_seed(0)  # The one of processors; `torch.manual_seed` asks for devices too.


def _leave_levels_to_the_root() -> None:
    """Undo what a configuration of Kedro or a silenced command has set."""
    for name, logger in list(logging.root.manager.loggerDict.items()):
        if isinstance(logger, logging.Logger) and name.partition(".")[0] == "quant_pipeline":
            logger.disabled, logger.propagate = False, True
            _set_level(logger, logging.NOTSET)


def _forget_whole_lists() -> None:
    """Let no log of a run get the whole lists of what the next test says in short."""
    if listing := sys.modules.get("quant_pipeline.common.listing"):
        logging.getLogger(listing.WHOLE_LISTS).handlers.clear()


def _set_level(logger: logging.Logger, level: int) -> None:
    """Set a level that is another one: each time all loggers forget what they have worked out."""
    if logger.level != level:
        logger.setLevel(level)


def _levels_of_libraries() -> dict[str, int]:
    """Levels by logger, also of `urllib3`, whose requests a notification keeps out of the log for the whole process."""
    loggers = logging.root.manager.loggerDict.items()
    return {"urllib3": logging.NOTSET} | {
        name: logger.level for name, logger in list(loggers) if isinstance(logger, logging.Logger)
    }


def _end_tracking() -> None:
    """Close MLflow's runs, and forget its store, registry and experiment."""
    if (mlflow := sys.modules.get("mlflow")) is None:
        return
    while mlflow.active_run():
        mlflow.end_run()
    mlflow.set_tracking_uri(None)
    mlflow.set_registry_uri(None)
    sys.modules["mlflow.tracking.fluent"]._active_experiment_id = None


def _restore_environment(before: dict[str, str]) -> None:
    current = os.environ.get("PYTEST_CURRENT_TEST")
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    for name, value in before.items():
        if os.environ.get(name) != value:
            os.environ[name] = value
    if current is not None:
        os.environ["PYTEST_CURRENT_TEST"] = current
    time.tzset()


def _floating_point_errors() -> dict[str, str] | None:
    numpy = sys.modules.get("numpy")
    return numpy.geterr() if numpy else None


def _torch_threads() -> int | None:
    torch = sys.modules.get("torch")
    return torch.get_num_threads() if torch else None


def _restore_torch(threads: int | None) -> None:
    if torch := sys.modules.get("torch"):
        if torch.are_deterministic_algorithms_enabled():
            torch.use_deterministic_algorithms(False)
        if threads is not None:
            torch.set_num_threads(threads)
