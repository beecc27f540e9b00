"""``kedro run`` with ``--cluster``, ``--params`` of expressions, one message for unknown names, and an exit status."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from functools import wraps
from typing import Any

import click
from kedro.framework.cli.project import run as kedro_run

from quant_pipeline.cli.options import name_cluster, read_parameters
from quant_pipeline.common.allocation import keep_large_blocks
from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.common.exit_status import ExitStatus
from quant_pipeline.common.storage_errors import KnownErrorsInOneLine

STATUS = "execution_status"
"""Output of the pipeline of execution that is the exit status of the command."""
WAITING = frozenset({"execution"})
"""Pipelines that wait for others: an execution waits for the fills of its broker."""
REFUSALS = {
    "Failed to find the pipeline": "`kedro registry list` names the pipelines.",
    "Pipeline does not contain": "`kedro registry list` names the pipelines, `kedro models list` the models.",
    "Pipeline contains no nodes": "`kedro registry describe` names nodes and their tags; correct what was asked for.",
    "Pipeline input(s)": "Correct the key of conf/ that refers to it.",
}
"""How Kedro begins to refuse a name before anything runs, and what to do about it."""


def tell_unknown_names(callback: Callable[..., Any]) -> Callable[..., Any]:
    """Turn Kedro's refusal of an unknown pipeline, namespace, tag or node into one message.

    Raises
    ------
    ConfigurationError
        When Kedro refuses; every other error is left as it is.
    """

    @wraps(callback)
    def reporting(*arguments: Any, **options: Any) -> Any:
        try:
            with KnownErrorsInOneLine():
                return callback(*arguments, **options)
        except ValueError as error:
            for beginning, remedy in REFUSALS.items():
                if str(error).startswith(beginning):
                    refusal = str(error).strip().rstrip(".")
                    raise ConfigurationError(f"{refusal}{_nearest(refusal)}. {remedy}") from error
            raise

    return reporting


def _nearest(refusal: str) -> str:
    """Suggest the pipeline or model that is nearest to what Kedro quotes."""
    from kedro.framework.project import pipelines

    from quant_pipeline.common.parameters import did_you_mean
    from quant_pipeline.project.model_registry import models_of_session

    known = {*pipelines, *models_of_session()}
    quoted = re.findall(r"'([\w-]+)'", refusal)
    return next((hint for name in quoted if name not in known and (hint := did_you_mean(name, known))), "")


def end_with_status(callback: Callable[..., Any]) -> Callable[..., Any]:
    """Let the command end with the status that a run of execution returns; without one it ends as Kedro's.

    Raises
    ------
    click.exceptions.Exit
        When the status is not 0; see `quant_pipeline.common.exit_status`.
    """

    @wraps(callback)
    def ending(*arguments: Any, **options: Any) -> Any:
        result = callback(*arguments, **options)
        status = result[STATUS].load() if STATUS in (result or {}) else ExitStatus.DONE
        if status != ExitStatus.DONE:
            raise click.exceptions.Exit(int(status))
        return result

    return ending


def keep_memory(callback: Callable[..., Any]) -> Callable[..., Any]:
    """Let the process of a run keep the memory of large results for the next ones; it ends with the run.

    A run of `WAITING` alone would hold memory while it waits.
    """

    @wraps(callback)
    def keeping(*arguments: Any, **options: Any) -> Any:
        named = {options.get("pipeline"), *(options.get("pipelines") or ())} - {None}
        if not named or named - WAITING:
            keep_large_blocks()
        return callback(*arguments, **options)

    return keeping


CLUSTER = click.Option(
    ["--cluster"],
    help="Compute on the workers of a Dask scheduler, tcp://host:8786, or on as many processes of this machine.",
)


def _adapted(command: click.Command) -> click.Command:
    own = copy.copy(command)
    if own.callback is not None:
        own.callback = keep_memory(end_with_status(tell_unknown_names(name_cluster(own.callback))))
    own.params = [*(copy.copy(option) for option in command.params), CLUSTER]
    for option in own.params:
        if option.name == "params":
            option.callback = read_parameters
    return own


run = _adapted(kedro_run)
