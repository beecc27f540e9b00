"""Parts that are chosen by name: a shipped one by its short name, one of the user's own by its dotted path."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import TypeVar

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.common.listing import first_of

Part = TypeVar("Part")


class ExtensionError(ConfigurationError, ValueError):
    """A named part cannot be used; a `ValueError` too, so that pydantic reports the key that names it."""


def find_part(name: str, shipped: Mapping[str, str], kind: type[Part], what: str) -> Part:
    """Import a part and check its type; only the module of the part that is named is imported.

    Parameters
    ----------
    name
        Short name of a shipped part, or the dotted path of any other one: ``package.module.NAME``.
    shipped
        Short names and the dotted paths behind them.
    kind
        Type that the part must have.
    what
        What messages call it: ``algorithm``.

    Raises
    ------
    ExtensionError
        When there is no such part, its module cannot be imported, or it is of another type.
    """
    path = shipped.get(name, name)
    module, dot, attribute = path.rpartition(".")
    if not dot:
        near = get_close_matches(name, shipped, n=1)
        hint = f"Did you mean '{near[0]}'?" if near else f"There are {first_of(shipped)}."
        raise ExtensionError(f"there is no {what} '{name}'. {hint} One of your own is named by its path: module.NAME")
    try:
        found = getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        missing = str(error.name)
        if f"{module}.".startswith(f"{missing}."):
            raise ExtensionError(
                f"{what} '{name}': there is no module '{missing}'; put it into src/ of the project or "
                "install its package"
            ) from error
        raise ExtensionError(f"{what} '{name}': '{module}' needs '{missing}', which is not installed") from error
    except AttributeError as error:
        raise ExtensionError(f"{what} '{name}': module '{module}' has no '{attribute}'") from error
    if not isinstance(found, kind):
        raise ExtensionError(
            f"{what} '{name}' is of type {type(found).__name__}; it has to be of type {kind.__module__}.{kind.__name__}"
        )
    return found
