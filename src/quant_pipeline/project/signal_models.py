"""Signals that are used become models of the registry: whatever takes a model takes a signal."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from omegaconf.errors import OmegaConfBaseException
from pydantic import ValidationError
from yaml import YAMLError

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.common.parameters import describe_faults
from quant_pipeline.project.backtest_folder import RHYTHM, RULES, changed_in, name_of
from quant_pipeline.project.unresolved import plain

if TYPE_CHECKING:
    from quant_pipeline.project.configuration import ProjectConfigLoader

FEATURE_SET: Final = "signals"
"""Feature set whose factors are the signals that are used."""
BLOCK: Final = "signal_evaluation"
"""Block of the parameters that says which signal is evaluated."""
RESOLVER: Final = "evaluated_signal"
"""Name of `evaluated_signal` in the configuration."""


def with_signals(parameters: dict[str, Any]) -> dict[str, Any]:
    """Add the signals that are enabled, or named where a score is asked for, to the registered models.

    Parameters
    ----------
    parameters
        All parameters, as the files and ``--params`` say.

    Returns
    -------
    dict
        The same while no signal is used. Else ``models`` has an entry for each, and ``feature_sets`` has `FEATURE_SET`
        with their expressions.

    Raises
    ------
    ConfigurationError
        When a signal cannot be read, or has the name of a model.
    """
    block = parameters.get("signals") or {}
    if not isinstance(block, Mapping):
        raise ConfigurationError("`signals` should hold `name: {...}` lines. Correct it in parameters_signals.yml.")
    used = {name: entry for name, entry in block.items() if name in _named(parameters) or _is_enabled(entry)}
    if not used:
        return parameters
    if wrong := sorted(name for name in used if not re.fullmatch(r"\w[\w-]*", str(name))):
        raise ConfigurationError(
            f"{wrong} are no names of signals, which folders have too; take letters, digits, underscores and hyphens. "
            "Correct them in parameters_signals.yml."
        )
    expressions = {name: expression_of(name, entry) for name, entry in used.items()}
    models, sets = parameters.get("models") or {}, parameters.get("feature_sets") or {}
    if taken := sorted(models.keys() & used.keys()):
        raise ConfigurationError(f"{taken} are models (parameters_models.yml) and signals (parameters_signals.yml)")
    own = (sets.get(FEATURE_SET) or {}).get("expressions") or {}
    entries = {name: {"algorithm": "signal", "features": FEATURE_SET, "factors": [name], "tags": []} for name in used}
    return parameters | {
        "models": models | entries,
        "feature_sets": sets | {FEATURE_SET: {"expressions": own | expressions}},
    }


def evaluated_signal(loader: ProjectConfigLoader, _: str = "") -> str:
    """Return the folder of the results of the signal that a run evaluates, which has the name of the signal.

    ``conf/base/catalog_signals.yml`` refers to it, so that results never lie in the folder of another signal, whichever
    of the keys and files names it. A run whose ``--params`` change the rules of the account, the formula or the span
    gets a folder of its own below, named by them: it never takes the place of the evaluation that the account's files
    give. Where a file cannot be read there is none: commands that read no parameters, such as those that halt an
    account, work beside it, and what evaluates signals reads the parameters itself and refuses.
    """
    try:
        files = [*loader.raw_files("parameters"), loader.runtime_params]
    except (YAMLError, OmegaConfBaseException, OSError, ValueError):
        return ""
    blocks = [file.get(BLOCK) for file in files]
    named = [block["signal"] for block in blocks if isinstance(block, Mapping) and "signal" in block]
    if not named:
        return ""
    signal = str(plain(loader, named[-1]))
    changed = _changed(signal, loader.runtime_params)
    return f"{signal}/{name_of(changed)}" if changed else signal


def _changed(signal: str, given: Mapping[str, Any]) -> list[str]:
    """Return what ``--params`` change of what the evaluation of a signal depends on."""
    block, formulas = given.get(BLOCK), given.get("signals")
    own = {f"signals.{signal}": formulas[signal]} if isinstance(formulas, Mapping) and signal in formulas else {}
    if isinstance(block, Mapping):
        own[BLOCK] = {key: value for key, value in block.items() if key != "signal"}
    return [*changed_in(given, (*RULES, RHYTHM)), *changed_in(own, own)]


def expression_of(name: str, entry: object) -> str:
    """Return the expression of one entry of the ``signals`` block.

    Raises
    ------
    ConfigurationError
        When it cannot be read.
    """
    from quant_pipeline.factors.signals import read_signal

    try:
        return read_signal(name, entry).formula
    except ValidationError as error:
        found = describe_faults(error, block=f"signals.{name}")
    except ValueError as error:
        found = f"`signals.{name}`: {error}"
    raise ConfigurationError(f"{found}. Correct it in parameters_signals.yml or --params.")


def _named(parameters: Mapping[str, Any]) -> set[str]:
    """Names of models that combinations in force, the source of orders and the search ask for."""
    combinations = ((parameters.get("ensemble") or {}).get("combinations") or {}).values()
    members = [c.get("models") or [] for c in combinations if isinstance(c, dict) and c.get("enabled", True)]
    searched = (parameters.get("ensemble_search") or {}).get("models") or []
    source = (parameters.get("order_generation") or {}).get("source")
    return {str(name) for group in (*members, searched, [source]) if isinstance(group, list) for name in group}


def _is_enabled(entry: Any) -> bool:
    return isinstance(entry, dict) and bool(entry.get("enabled"))
