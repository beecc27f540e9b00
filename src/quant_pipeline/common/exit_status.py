"""How a command that trades ends, for cron and other programs; see ``docs/guides/execution.md``."""

from __future__ import annotations

from enum import IntEnum


class ExitStatus(IntEnum):
    """Exit statuses of ``kedro run --pipelines execution`` and of the commands that stop or sell an account."""

    DONE = 0
    """Everything is as planned."""
    FAILED = 1
    """The command did not end: a message names what has to be repaired."""
    MISTYPED = 2
    """The command line cannot be read."""
    INCOMPLETE = 3
    """It ended, and a part of what was planned was not executed."""
    ATTENTION = 4
    """It ended, and the operator has to act: the account is not active, or its books differ from the broker."""
    NO_PLAN = 5
    """There was no plan for the session."""
