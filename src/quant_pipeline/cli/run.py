"""``kedro run`` with ``--params`` that may hold factor expressions and lists: commas in brackets do not separate."""

from __future__ import annotations

import copy
from typing import Any

import click
from kedro.framework.cli.project import run as kedro_run
from omegaconf import OmegaConf

OPENING, CLOSING = "([{", ")]}"


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


def _with_bracketed_parameters(command: click.Command) -> click.Command:
    own = copy.copy(command)
    own.params = [copy.copy(option) for option in command.params]
    for option in own.params:
        if option.name == "params":
            option.callback = read_parameters
    return own


run = _with_bracketed_parameters(kedro_run)
