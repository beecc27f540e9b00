"""Relative paths of the configuration begin at the folder of the project, wherever the process was started.

Kedro sees to it for `filepath`, `path` and `filename` of the catalog. The datasets of the project have paths under
other names, too, and so have the parameters of market sources.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

OF_DATASETS: Final = ("cache", "folder")
"""Keys of the project's own datasets that hold a path, beside those that Kedro knows."""
OF_SOURCES: Final = ("filename", "filepath", "folder", "path", "provider_uri")
"""The same of the parameters of a market source, which is also asked without Kedro's catalog."""
_OWN_TYPES: Final = "quant_pipeline.datasets."
_MARKET: Final = f"{_OWN_TYPES}market.Market"
_ADDRESS: Final = re.compile(r"~|[A-Za-z][\w+.-]+:/")
"""A path of the user's home, or an address: neither is relative, and what is wrong with one is said by its reader."""


def with_project_paths(catalog: Mapping[str, Any], project: Path) -> dict[str, Any]:
    """Return a catalog in which the paths that Kedro does not know begin at the folder of the project, too."""
    return {name: _entry(entry, project) for name, entry in catalog.items()}


def source_parameters(parameters: Mapping[str, Any], project: Path) -> dict[str, Any]:
    """Return the parameters of a market source with paths that begin at the folder of the project."""
    return _with_paths(parameters, OF_SOURCES, project)


def _entry(entry: Any, project: Path) -> Any:
    kind = str(entry.get("type", "")) if isinstance(entry, dict) else ""
    if not kind.startswith(_OWN_TYPES):
        return entry
    found = _with_paths(entry, OF_DATASETS, project)
    if kind == _MARKET and isinstance(found.get("parameters"), dict):
        found["parameters"] = source_parameters(found["parameters"], project)
    return found


def _with_paths(values: Mapping[str, Any], names: tuple[str, ...], project: Path) -> dict[str, Any]:
    return {name: _in_project(value, project) if name in names else value for name, value in values.items()}


def _in_project(value: Any, project: Path) -> Any:
    if isinstance(value, dict):
        # Qlib has a folder for each frequency.
        return {name: _in_project(inner, project) for name, inner in value.items()}
    return str(project / value) if isinstance(value, str) and not _ADDRESS.match(value) else value
