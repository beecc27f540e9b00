"""Options that the commands share; ``--params`` may hold factor expressions and lists.

Commas in brackets do not separate parameters.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import click

from quant_pipeline.common.places import require_local
from quant_pipeline.common.storage_errors import KnownErrorsInOneLine
from quant_pipeline.common.written_days import read_day

OPENING, CLOSING = "([{", ")]}"


def split_outside_brackets(text: str) -> list[str]:
    """Split at the commas that stand outside round, square and curly brackets.

    Parameters
    ----------
    text
        What was typed, for example ``as_of=2025-01-02,expression=Mean($close, 5)``.
    """
    parts, depth, start = [], 0, 0
    for index, character in enumerate(text):
        depth += (character in OPENING) - (character in CLOSING)
        if character == "," and depth == 0:
            parts.append(text[start:index])
            start = index + 1
    parts.append(text[start:])
    return [part.strip() for part in parts if part.strip()]


def read_parameters(context: click.Context, option: click.Parameter, value: Any) -> Any:
    """Turn ``--params`` into nested parameters, as Kedro does."""
    if isinstance(value, dict):
        return value
    items = split_outside_brackets(value)
    for item in items:
        key, equals, _ = item.partition("=")
        if not equals or not key.strip():
            context.fail(
                f"--{option.name}: '{item}' is no `key=value`. A comma separates parameters unless it stands in "
                "brackets; put quotes around what the shell would change."
            )
    return _with_date(context, nested_parameters(items))


def nested_parameters(items: list[str]) -> dict[str, Any]:
    """Return nested parameters from texts such as ``strategy.topk=20``."""
    from omegaconf import OmegaConf

    found: Any = OmegaConf.to_container(OmegaConf.from_dotlist([_tidy(item) for item in items]))
    return dict(found)


def flattened(params: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return nested parameters as ``--params`` writes them."""
    found: dict[str, str] = {}
    for name, value in params.items():
        if isinstance(value, Mapping) and value:
            found |= flattened(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = _written(value)
    return found


def _written(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{', '.join(map(_written, value))}]"
    return str(value)


def _with_date(context: click.Context, parameters: Any) -> Any:
    """Read ``as_of`` as a date: 20240524 is no number; ``latest`` is what the environment takes without it."""
    if "as_of" not in parameters:
        return parameters
    if str(parameters["as_of"]).strip().lower() == "latest":
        return {key: value for key, value in parameters.items() if key != "as_of"}
    try:
        return parameters | {"as_of": read_day(parameters["as_of"])}
    except ValueError:
        context.fail(f"--params: as_of={parameters['as_of']} is no date such as 2025-01-02, nor `latest`.")


def read_date(context: click.Context, option: click.Parameter, value: str) -> str:
    """Read an argument that is a date, also as 20250102."""
    try:
        return read_day(value)
    except ValueError:
        context.fail(f"'{value}' is no date such as 2025-01-02.")


def _tidy(item: str) -> str:
    key, _, value = item.partition("=")
    return f"{key.strip()}={value}"


env_option: Callable[[Any], Any] = click.option(
    "--env", "-e", help="Environment, which is the account; `sim` when it is not given."
)
"""Kedro's option, without Kedro's command line."""

params_option: Callable[[Any], Any] = click.option(
    "--params",
    default="",
    callback=read_parameters,
    help="Parameters of the run, such as as_of=2025-01-02, as for `kedro run`.",
)
"""The option of `kedro run`, for the other commands that open a session."""


def name_cluster(callback: Callable[..., Any]) -> Callable[..., Any]:
    """Make ``--cluster`` the parameter of that name; without the option the parameter is what it is.

    Raises
    ------
    click.UsageError
        When ``--params`` names a cluster, too.
    ConfigurationError
        When it is neither an address nor a number of processes.
    """

    @wraps(callback)
    def naming(*arguments: Any, cluster: str | None, params: dict[str, Any], **options: Any) -> Any:
        if cluster is not None:
            from quant_pipeline.project.cluster import require_cluster

            if params.get("cluster") is not None:
                raise click.UsageError("--cluster and `cluster` of --params name a cluster; leave one of them out")
            params = params | {"cluster": require_cluster(cluster)}
        return callback(*arguments, params=params, **options)

    return naming


class TypedPath(click.Path):
    """A path of this machine as it is typed: it begins at the folder of the shell, and with ``~`` at the user's home.

    Parameters
    ----------
    **conditions
        As for `click.Path`.
    """

    def __init__(self, **conditions: Any) -> None:
        super().__init__(**conditions, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path.

        Raises
        ------
        ConfigurationError
            When it is the address of a bucket or a database.
        """
        named = "" if param is None else param.opts[0]
        return super().convert(require_local(value, named) if isinstance(value, str) else value, param, ctx)


class ProjectCommand(click.Command):
    """A command whose errors of storage and of missing libraries are one line with the remedy."""

    def invoke(self, context: click.Context) -> Any:
        """Run the command.

        Raises
        ------
        StorageError
            When a file or folder cannot be written or read.
        """
        with KnownErrorsInOneLine():
            return super().invoke(context)


class ProjectGroup(ProjectCommand, click.Group):
    """A group of such commands."""


@contextmanager
def quiet() -> Iterator[None]:
    """Silence what every single session would say; the progress of the whole stays."""
    chatty = [logging.getLogger(name) for name in ("kedro", "quant_pipeline.project.hooks")]
    levels = [logger.level for logger in chatty]
    for logger in chatty:
        logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        for logger, level in zip(chatty, levels, strict=True):
            logger.setLevel(level)
