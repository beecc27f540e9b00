"""What a stored backtest says about itself: which parameters it is of, and whether they are those of an account."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import pandas as pd

from quant_pipeline.common.parameters import as_configured
from quant_pipeline.project.backtest_folder import DECISIVE


def decisive_parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return what decides a backtest of the same scores, as it was configured.

    Parameters
    ----------
    parameters
        Blocks by name, as models or as plain mappings; others than the decisive ones are left out.
    """
    blocks = {name: as_configured(parameters[name]) for name in DECISIVE if name in parameters}
    if isinstance(blocks.get("backtest"), dict):
        blocks["backtest"] = {key: value for key, value in blocks["backtest"].items() if key != "name"}
    return blocks


def hash_of_parameters(parameters: Mapping[str, Any]) -> str:
    """Return the first twelve digits of the SHA-256 of what decides a backtest."""
    text = json.dumps(decisive_parameters(parameters), sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def digest_of_nav(nav: pd.DataFrame) -> str:
    """Return the first twelve digits of the SHA-256 of a net asset value: facts state of which one they are."""
    return hashlib.sha256(nav["nav"].to_numpy(dtype="float64").tobytes()).hexdigest()[:12]


def differences(own: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Name the parameters of one backtest that differ from those of another: ``strategy.topk 10 (30)``."""
    return [f"{key} {ours} ({theirs})" for key, ours, theirs in changed_parameters(own, other)]


def changed_parameters(own: Mapping[str, Any], other: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return key and both values of every parameter in which two backtests differ."""
    ours, theirs = _flat(own), _flat(other)
    return [
        (key, _written(ours.get(key)), _written(theirs.get(key)))
        for key in sorted(ours.keys() | theirs.keys())
        if ours.get(key) != theirs.get(key)
    ]


def _flat(block: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in block.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def _written(value: Any) -> str:
    return "not set" if value is None else str(value)
