"""The session of a run, ``as_of``: ``--params`` names it, else the globals, for parameters and catalog alike.

What is no day, or names another session beside it, is refused where parameters are read, and not with the globals: an
account is halted by a catalog alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.common.written_days import read_day

SESSION: Final = "as_of"
"""Name of the session among globals and parameters."""


def with_day(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return globals, or what ``--params`` say, with their session as ``YYYY-MM-DD``, where it is a day."""
    found = dict(values)
    with suppress(ValueError):
        found |= {SESSION: read_day(found[SESSION])} if SESSION in found else {}
    return found


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
    written = parameters.get(SESSION, session)
    if with_day({SESSION: written})[SESSION] != session:
        raise ConfigurationError(
            f"`{SESSION}` of {place_of(SESSION, 'parameters')} is {written!r}, and the session of this account is "
            f"{session}. Globals name it for the catalog, too: write it into {place_of(SESSION, 'globals')}, or pass "
            "--params."
        )
    return {**parameters, SESSION: session}
