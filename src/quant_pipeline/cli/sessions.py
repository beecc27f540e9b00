"""Kedro sessions for commands."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click
from kedro.framework.session import KedroSession
from kedro.framework.startup import ProjectMetadata

from quant_pipeline.cli.run import read_parameters

params_option: Callable[[Any], Any] = click.option(
    "--params",
    default="",
    callback=read_parameters,
    help="Parameters of the run, such as as_of=2025-01-02, as for `kedro run`.",
)
"""The option of `kedro run`, for the other commands that open a session."""


@contextmanager
def open_session(metadata: ProjectMetadata, env: str | None, **parameters: Any) -> Iterator[KedroSession]:
    """Open a session of an environment; ``parameters`` are those of ``--params``."""
    session = KedroSession.create(metadata.project_path, env=env, runtime_params=parameters, save_on_close=False)
    with session:
        yield session


@contextmanager
def quiet() -> Iterator[None]:
    """Silence what every single session would say; the progress of the whole stays."""
    chatty = [logging.getLogger(name) for name in ("kedro", "quant_pipeline.hooks")]
    levels = [logger.level for logger in chatty]
    for logger in chatty:
        logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        for logger, level in zip(chatty, levels, strict=True):
            logger.setLevel(level)
