"""The libraries that make a model: importing an optional one, and the versions that are installed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from types import ModuleType

from quant_pipeline.common.exceptions import ModelError

SHARED = ("numpy", "pandas")
"""Libraries that every model is made with."""


def import_optional(library: str, extra: str = "boosters") -> ModuleType:
    """Import an optional library.

    Parameters
    ----------
    library
        Name of the module.
    extra
        Extra of this project that brings it.

    Raises
    ------
    ModelError
        When it is not installed; the message says how to install it.
    """
    try:
        return import_module(library)
    except ImportError as error:
        raise ModelError(
            f"{library} is not installed; run: pip install 'quant_pipeline[{extra}]', or do without what needs it"
        ) from error


def versions_of(packages: Iterable[str]) -> dict[str, str]:
    """Return the installed versions of packages that a model is made with, and of `SHARED`.

    Parameters
    ----------
    packages
        Names as they are imported: ``lightgbm``, ``qlib``.

    Returns
    -------
    dict
        Name of the distribution (``pyqlib`` holds ``qlib``, ``xgboost-cpu`` may hold ``xgboost``) to version, sorted.
    """
    names = {name for package in (*SHARED, *packages) for name in _distributions_of(package)}
    return {name: version(name) for name in sorted(names)}


def packages_used_by(module: ModuleType) -> set[str]:
    """Return the installed packages whose modules, classes or functions a module has imported."""
    origins = {
        value.__name__ if isinstance(value, ModuleType) else str(getattr(value, "__module__", ""))
        for value in vars(module).values()
    }
    return {origin.partition(".")[0] for origin in origins} & _providers().keys()


def _distributions_of(package: str) -> list[str]:
    try:
        version(package)
    except PackageNotFoundError:
        return _providers()[package]
    return [package]


@cache
def _providers() -> Mapping[str, list[str]]:
    return packages_distributions()
