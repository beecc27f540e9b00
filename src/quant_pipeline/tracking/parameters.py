"""Parameters as MLflow can compare and search them: one key each, within its limits of length and count."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import mlflow
from mlflow.utils import validation
from pydantic import BaseModel

LARGEST_BLOCK = 200
"""Keys of one block beyond which it is logged as a file: tables of formats are no settings that runs differ by."""


def as_plain(value: Any) -> Any:
    """Return a block of typed parameters as mappings, lists and scalars, defaults included."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {str(key): as_plain(inner) for key, inner in value.items()}
    return value


def flatten(mapping: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Give every value of a nested mapping one key: ``strategy.topk``.

    Parameters
    ----------
    mapping
        Plain values, see `as_plain`.
    prefix
        What every key begins with.

    Returns
    -------
    dict
        Keys that MLflow takes, to scalars and texts; a list is JSON.
    """
    flat: dict[str, Any] = {}
    for key, value in mapping.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[key_of(f"{prefix}{key}")] = json.dumps(value) if isinstance(value, list | tuple) else value
    return flat


def key_of(name: str) -> str:
    """Return a name as MLflow takes it: other signs become ``_``, and one that is too long ends in its hash."""
    name = re.sub(r"[^\w. -]", "_", name)
    if len(name) <= validation.MAX_ENTITY_KEY_LENGTH:
        return name
    return f"{name[: validation.MAX_ENTITY_KEY_LENGTH - 9]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def log_parameters(values: Mapping[str, Any]) -> None:
    """Log flat parameters with the active run, in as few transactions as MLflow allows; a long text is cut."""
    cut = [(name, str(value)[: validation.MAX_PARAM_VAL_LENGTH]) for name, value in values.items()]
    for batch in slices(cut, validation.MAX_PARAMS_TAGS_PER_BATCH):
        mlflow.log_params(dict(batch))


def slices(items: Sequence[Any], size: int) -> list[Sequence[Any]]:
    """Cut a sequence into pieces of at most a size."""
    return [items[start : start + size] for start in range(0, len(items), size)]
