"""Signals that are used become models of the registry: whatever takes a model takes a signal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.common.parameters import describe_faults

FEATURE_SET: Final = "signals"
"""Feature set whose factors are the signals that are used."""


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
    used = {name: entry for name, entry in block.items() if name in _named(parameters) or _is_enabled(entry)}
    if not used:
        return parameters
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


def expression_of(name: str, entry: Mapping[str, Any] | None) -> str:
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
