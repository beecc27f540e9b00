"""A run of Kedro that ends when its first node is about to run: what it takes, and imports, before it does anything."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.framework.session import session as session_module


class _Stop:
    """Ends the process before the first node, after all other hooks."""

    def __init__(self, then: Callable[[], None]) -> None:
        self._then = then

    @hook_impl(trylast=True)
    def before_node_run(self) -> None:
        """Say what is asked for, and end."""
        self._then()
        os._exit(0)


def run_until_first_node(words: Sequence[str], then: Callable[[], None]) -> None:
    """Type a command of Kedro, and end this process before its first node.

    Parameters
    ----------
    words
        The command line: ``["kedro", "run", "--pipelines", "ingestion"]``.
    then
        Called in the last moment, to print what was measured.
    """
    # Kedro offers no way to name a hook for one run alone.
    session: Any = session_module
    create = session._create_hook_manager

    def create_and_stop() -> Any:
        manager = create()
        manager.register(_Stop(then))
        return manager

    session._create_hook_manager = create_and_stop
    from kedro.framework.cli import main

    sys.argv = [*words]
    main()
