"""The session of a run, ``as_of``: ``--params`` names it, else the globals, for parameters and catalog alike.

What is no day, or names another session beside it, is refused where parameters and catalog are read, and not with the
globals; commands that only reduce the risk of an account go on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.common.written_days import read_day
from quant_pipeline.project.project_paths import OWN_TYPES

logger = logging.getLogger(__name__)

SESSION: Final = "as_of"
"""Name of the session among globals and parameters."""
OF_DATASETS: Final = (SESSION, "before")
"""Keys of the project's own datasets that hold it."""


def with_day(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return globals, or what ``--params`` say, with their session as ``YYYY-MM-DD``, where it is a day."""
    found = dict(values)
    with suppress(ValueError):
        found |= {SESSION: read_day(found[SESSION])} if SESSION in found else {}
    return found


def without_session(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a table of globals or parameters without the session that it names."""
    return {name: value for name, value in values.items() if name != SESSION}


def named_session(params: Mapping[str, Any], settings: Mapping[str, Any], place_of: Callable[[str], str]) -> str | None:
    """Return the session of a run.

    Parameters
    ----------
    params
        What ``--params`` say.
    settings
        The globals.
    place_of
        Returns the file that sets a global.

    Returns
    -------
    str or None
        ``YYYY-MM-DD``; None where neither names one.

    Raises
    ------
    ConfigurationError
        When it is no day.
    """
    source = params if SESSION in params else settings
    if SESSION not in source:
        return None
    try:
        return read_day(source[SESSION])
    except ValueError:
        place = "--params" if source is params else place_of(SESSION)
        raise ConfigurationError(
            f"`{SESSION}` of {place} is {source[SESSION]!r}, which is no date such as 2025-01-02. Correct it there."
        ) from None


def require_session(parameters: Mapping[str, Any], session: str, place_of: Callable[[str, str], str]) -> dict[str, Any]:
    """Return parameters with the session of the run, if they name no other one.

    Parameters
    ----------
    parameters
        As they were read.
    session
        That of the run.
    place_of
        Returns the file that sets a name among ``parameters`` or ``globals``.

    Raises
    ------
    ConfigurationError
        When a file of parameters names another session: tables would be cut at the one and scored at the other.
    """
    if _is_other(parameters.get(SESSION, session), session):
        raise ConfigurationError(
            f"{_told(parameters, session, place_of)}. Globals name it for the catalog, too: write it into "
            f"{place_of(SESSION, 'globals')}, or pass --params."
        )
    return {**parameters, SESSION: session}


def take_session(
    parameters: Mapping[str, Any], session: str | None, place_of: Callable[[str, str], str]
) -> dict[str, Any]:
    """Return parameters with the session of the account, whatever they say; a warning says what was passed over.

    Parameters
    ----------
    parameters, place_of
        As for `require_session`.
    session
        That of the account; None where it cannot be read, so that parameters have none either.
    """
    others = without_session(parameters)
    if session is None:
        return others
    if _is_other(parameters.get(SESSION, session), session):
        logger.warning("%s, which counts", _told(parameters, session, place_of))
    return {**others, SESSION: session}


def refuse_other_sessions(catalog: Mapping[str, Any], session: str, place_of: Callable[[str, str], str]) -> None:
    """Refuse a catalog in which a dataset of the project is cut at another session than that of the run.

    Parameters
    ----------
    catalog
        As it was read and resolved.
    session
        That of the run.
    place_of
        Returns the file that sets an entry of the ``catalog``.

    Raises
    ------
    ConfigurationError
        When an entry names one: a stage would see what became known later, or miss what is known.
    """
    for name, entry in catalog.items():
        if not isinstance(entry, Mapping) or not str(entry.get("type", "")).startswith(OWN_TYPES):
            continue
        for key in OF_DATASETS:
            if key in entry and _is_other(entry[key], session):
                raise ConfigurationError(
                    f"`{key}` of {name} in {place_of(name, 'catalog')} is {entry[key]!r}, and the session of this run "
                    f"is {session}. Write ${{runtime_params:as_of, ${{globals:as_of}}}} there."
                )


def _is_other(written: Any, session: str) -> bool:
    return with_day({SESSION: written})[SESSION] != session


def _told(parameters: Mapping[str, Any], session: str, place_of: Callable[[str, str], str]) -> str:
    return (
        f"`{SESSION}` of {place_of(SESSION, 'parameters')} is {parameters[SESSION]!r}, and the session of this account "
        f"is {session}"
    )
