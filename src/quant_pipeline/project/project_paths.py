"""Relative paths of the configuration begin at the folder of the project, and those with ``~`` at the user's home.

Kedro sees to the former for `filepath`, `path` and `filename` of the catalog. The datasets of the project have paths
under other names, too, and so have the parameters of market sources.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from quant_pipeline.common.places import at_home

OF_DATASETS: Final = ("cache", "folder")
"""Keys of the project's own datasets that hold a path, beside those that Kedro knows."""
OF_SOURCES: Final = ("filename", "filepath", "folder", "path", "provider_uri")
"""The same of the parameters of a market source, which is also asked without Kedro's catalog."""
OF_KEDRO: Final = ("filename", "filepath", "path")
"""Keys of every dataset that Kedro knows as paths; it takes ``~`` for the name of a folder."""
OWN_TYPES: Final = "quant_pipeline.datasets."
"""What the types of the project's own datasets begin with."""
_MARKET: Final = f"{OWN_TYPES}market.Market"
_ADDRESS: Final = re.compile(r"[A-Za-z][\w+.-]+:/")
"""An address, which is not relative; what is wrong with one is said by its reader."""


def with_home(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return globals whose folders, ``paths``, begin at the home of the user where they begin with ``~``."""
    paths = settings.get("paths")
    found = {"paths": {name: _at_home(path) for name, path in paths.items()}} if isinstance(paths, dict) else {}
    return {**settings, **found}


def with_project_paths(catalog: Mapping[str, Any], project: Path) -> dict[str, Any]:
    """Return a catalog in which the paths that Kedro does not know begin at the folder of the project, too."""
    return {name: _entry(entry, project) for name, entry in catalog.items()}


def source_parameters(parameters: Mapping[str, Any], project: Path) -> dict[str, Any]:
    """Return the parameters of a market source with paths that begin at the folder of the project."""
    return _with_paths(parameters, OF_SOURCES, project)


def _entry(entry: Any, project: Path) -> Any:
    entry = _kedros_at_home(entry)
    kind = str(entry.get("type", "")) if isinstance(entry, dict) else ""
    if not kind.startswith(OWN_TYPES):
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
    return str(project / _at_home(value)) if isinstance(value, str) and not _ADDRESS.match(value) else value


def _kedros_at_home(value: Any, key: str = "") -> Any:
    """Return an entry whose paths begin at the home of the user, at any depth, as Kedro looks for them."""
    if isinstance(value, dict):
        return {name: _kedros_at_home(inner, name) for name, inner in value.items()}
    return _at_home(value) if key in OF_KEDRO else value


def _at_home(path: Any) -> Any:
    return at_home(path) if isinstance(path, str) else path
