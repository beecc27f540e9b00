"""Hooks of plugins that take no part in a run, and that Kedro would import only to let go of them."""

from __future__ import annotations

from typing import Final

LEFT_OUT: Final = ("pipeline-run-hook", "kedro-dataset-stats", "kedro-telemetry")
"""Entry points of kedro-viz and of Kedro's telemetry."""


class TakenName:
    """The name of a hook: Kedro does not load a plugin whose name is taken.

    Parameters
    ----------
    name
        Entry point of the plugin.
    """

    def __init__(self, name: str) -> None:
        self.__name__ = name
