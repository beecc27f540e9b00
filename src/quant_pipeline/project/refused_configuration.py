"""What a configuration may not say, each as one message: unknown names, former types, files that are no YAML."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from difflib import get_close_matches
from io import StringIO
from pathlib import Path
from typing import Any, NoReturn

from omegaconf import OmegaConf
from yaml import MarkedYAMLError, YAMLError

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.common.listing import first_of
from quant_pipeline.common.places import require_files, require_local

ONLY_IN_FILES = ("account", "risk", "execution.account_number", "execution.needs_arming", "market_rules.calendar")
"""Parameters that ``--params`` cannot set for an account with real money."""
_DESK = "quant_pipeline.datasets.trading_desk"
_MARKET = "quant_pipeline.datasets.market"
RENAMED_TYPES = {
    f"{_DESK}.AlpacaDesk": f"`type: {_DESK}.BrokerDesk` with `broker: alpaca`",
    f"{_DESK}.SimulatedDesk": f"`type: {_DESK}.BrokerDesk` with `broker: simulated` and `parameters: {{path: …}}`",
    f"{_MARKET}.SimulatedMarket": f"`type: {_MARKET}.Market` with `source: simulated`",
    f"{_MARKET}.FilesMarket": f"`type: {_MARKET}.Market` with `source: files`, and `folder` within `parameters`",
    f"{_MARKET}.AlpacaMarket": f"`type: {_MARKET}.Market` with `source: alpaca`, and `url` within `parameters`",
}
"""Types of datasets in earlier catalogs, and what is written in their place."""


def refuse_unknown_parameter(name: str, known: Collection[str], place: str) -> NoReturn:
    """Refuse a parameter that nothing reads: a misspelt ``dry_run`` would be no dry run.

    Parameters
    ----------
    name
        Of the parameter.
    known
        Names that are read.
    place
        What sets it: ``--params`` or a folder.

    Raises
    ------
    ConfigurationError
        Always, with the nearest known name.
    """
    near = get_close_matches(name, known, n=1)
    hint = f"Did you mean '{near[0]}'?" if near else "Its name and its default belong into conf/base."
    raise ConfigurationError(f"Nothing reads the parameter '{name}' of {place}. {hint}")


def limits_of_real_money(runtime_params: Mapping[str, Any]) -> list[str]:
    """Return the names of `ONLY_IN_FILES` that ``--params`` set."""
    return [name for name in ONLY_IN_FILES if leads_somewhere(runtime_params, name.split("."))]


def refuse_limits_of_real_money(named: Sequence[str], environment: str) -> NoReturn:
    """Refuse limits and identity of an account with real money in ``--params``.

    Raises
    ------
    ConfigurationError
        Always, with the names and the folder that they belong to.
    """
    raise ConfigurationError(
        f"--params sets {first_of(named)}, which account '{environment}' takes from its own files because it trades "
        f"real money. Write them into conf/{environment}, where a change leaves a trace."
    )


def refuse_unusable_folders(settings: Mapping[str, Any]) -> None:
    """Refuse globals whose folders can be none: an account anywhere but here, a market behind an unknown protocol.

    Raises
    ------
    ConfigurationError
        When ``paths.account`` is no path of this machine, or ``paths.market`` neither one nor a bucket.
    """
    paths = settings.get("paths")
    if isinstance(paths, Mapping):
        require_local(str(paths.get("account", "")), "`paths.account`")
        require_files(str(paths.get("market", "")))


def refuse_renamed_types(catalog: Mapping[str, Any], environment: str) -> None:
    """Refuse a dataset by its earlier type, and give the new one.

    Raises
    ------
    ConfigurationError
        When an entry of the catalog has a type of `RENAMED_TYPES`.
    """
    for name, entry in catalog.items():
        kind = entry.get("type") if isinstance(entry, dict) else None
        if isinstance(kind, str) and kind in RENAMED_TYPES:
            raise ConfigurationError(
                f"`type: {kind}` of {name} in the catalog of environment '{environment}' is now {RENAMED_TYPES[kind]}."
            )


def leads_somewhere(values: Any, path: Sequence[str]) -> bool:
    """Tell whether nested tables and lists have a value at a path of keys and positions."""
    for part in path:
        if isinstance(values, list) and part.isdecimal() and int(part) < len(values):
            values = values[int(part)]
        elif isinstance(values, dict) and part in values:
            values = values[part]
        else:
            return False
    return True


def own_message(error: BaseException | None) -> ConfigurationError | None:
    """Return what a resolver of the project has said, which OmegaConf wraps into an error of its own."""
    while error is not None and not isinstance(error, ConfigurationError):
        error = error.__cause__ or error.__context__
    return error


def describe_unreadable(files: Mapping[str, Path], read: Callable[[Path], str]) -> str | None:
    """Name the first file that cannot be read; Kedro's own error counts lines from 0, or names no file at all.

    OmegaConf's own loader says better what is wrong than the fast one.

    Parameters
    ----------
    files
        Files by the names that a user knows them by.
    read
        Returns the text of a file.

    Returns
    -------
    str or None
        The message; None when each can be read.
    """
    for name, file in sorted(files.items()):
        try:
            OmegaConf.load(StringIO(read(file)))
        except MarkedYAMLError as problem:
            mark = problem.problem_mark
            place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
            return f"{name}{place}: {problem.problem}. Correct the YAML there."
        except (YAMLError, OSError) as problem:
            return f"{name}: {problem}. The file has to hold `key: value` lines."
    return None
