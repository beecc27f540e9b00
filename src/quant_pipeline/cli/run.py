"""``kedro run`` with ``--params`` that may hold factor expressions and lists, and with one message for unknown names.

Commas in brackets do not separate parameters.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import wraps
from typing import Any

import click
from kedro.framework.cli.project import run as kedro_run
from omegaconf import OmegaConf

from quant_pipeline.exceptions import ConfigurationError

OPENING, CLOSING = "([{", ")]}"
REFUSALS = {
    "Failed to find the pipeline": "`kedro registry list` names the pipelines.",
    "Pipeline does not contain": "`kedro registry list` names the pipelines, `kedro models list` the models.",
    "Pipeline contains no nodes": "`kedro registry describe` names nodes and their tags; correct what was asked for.",
    "Pipeline input(s)": "Correct the key of conf/ that refers to it.",
}
"""How Kedro begins to refuse a name before anything runs, and what to do about it."""


def split_outside_brackets(text: str) -> list[str]:
    """Split at the commas that stand outside round, square and curly brackets.

    Parameters
    ----------
    text
        What was typed, for example ``as_of=2025-01-02,expression=Mean($close, 5)``.
    """
    parts, depth, start = [], 0, 0
    for place, character in enumerate(text):
        depth += (character in OPENING) - (character in CLOSING)
        if character == "," and depth == 0:
            parts.append(text[start:place])
            start = place + 1
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
    return OmegaConf.to_container(OmegaConf.from_dotlist([_tidy(item) for item in items]))


def _tidy(item: str) -> str:
    key, _, value = item.partition("=")
    return f"{key.strip()}={value}"


def tell_unknown_names(callback: Callable[..., Any]) -> Callable[..., Any]:
    """Turn Kedro's refusal of an unknown pipeline, namespace, tag or node into one message.

    Raises
    ------
    ConfigurationError
        When Kedro refuses; every other error is left as it is.
    """

    @wraps(callback)
    def told(*arguments: Any, **options: Any) -> Any:
        try:
            return callback(*arguments, **options)
        except ValueError as error:
            for beginning, remedy in REFUSALS.items():
                if str(error).startswith(beginning):
                    raise ConfigurationError(f"{str(error).strip().rstrip('.')}. {remedy}") from error
            raise

    return told


def _adapted(command: click.Command) -> click.Command:
    own = copy.copy(command)
    if own.callback is not None:
        own.callback = tell_unknown_names(own.callback)
    own.params = [copy.copy(option) for option in command.params]
    for option in own.params:
        if option.name == "params":
            option.callback = read_parameters
    return own


run = _adapted(kedro_run)
