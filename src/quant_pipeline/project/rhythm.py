"""The rhythm of a strategy: one word that label and schedule follow."""

from __future__ import annotations

from typing import Any

from quant_pipeline.common.exceptions import ConfigurationError

RHYTHMS = ("daily", "weekly")


def by_rhythm(rhythm: str, daily: Any, weekly: Any) -> Any:
    """Return one of two values by the rhythm, ``rhythm`` in ``globals.yml`` or ``--params``.

    The configuration has it as the resolver ``by_rhythm``; label and schedule in ``conf/base`` refer to it.

    Raises
    ------
    ConfigurationError
        When there is no such rhythm.
    """
    if rhythm not in RHYTHMS:
        raise ConfigurationError(
            f"rhythm is '{rhythm}' (--params, or globals.yml of the account); it is one of {', '.join(RHYTHMS)}"
        )
    return daily if rhythm == "daily" else weekly
