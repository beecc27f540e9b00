"""What a live process is given: journal, clock, commands, messages and board of its account."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from kedro.config import MissingConfigException

from quant_pipeline.live.account import LiveAccount
from quant_pipeline.live.board import Board
from quant_pipeline.live.commands import Commands
from quant_pipeline.live.journal import Journal
from quant_pipeline.live.notifications.dispatcher import Dispatcher
from quant_pipeline.live.notifications.kept import KeptMessages
from quant_pipeline.live.notifications.messages import secrets_of
from quant_pipeline.live.notifications.ways import Way, ways_of
from quant_pipeline.live.process import Reach

LOCK: Final = ".lock"
JOURNAL: Final = "journal.jsonl"
LOGS: Final = "tasks"
MESSAGES: Final = "messages.json"
"""Warnings and alerts that no service has taken yet."""
CREDENTIALS: Final = "notifications"
"""Entry of the credentials that holds the addresses of channels by their names."""


def open_reach(account: LiveAccount, speed: float | None) -> Reach:
    """Open everything that a live process reaches the world by.

    Raises
    ------
    QuantPipelineError
        When a channel has no address, the speed does not fit, or the journal cannot be read.
    """
    clock = account.clock(speed)
    ways = ways_of_account(account)
    secrets = secrets_of(credentials_of(account))
    return Reach(
        journal=Journal(account.folder / JOURNAL),
        commands=Commands(
            account.place.project_path,
            account.opened.environment,
            account.params,
            account.folder / LOGS,
            daily=account.times.daily_pipelines,
        ),
        clock=clock,
        messages=Dispatcher(ways, account.notifications, secrets, kept=KeptMessages(account.folder / MESSAGES)),
        board=Board(account.folder, account.name, account.opened.environment, secrets),
    )


def ways_of_account(account: LiveAccount) -> list[Way]:
    """Return what delivers to the channels of an account."""
    addresses = credentials_of(account).get(CREDENTIALS) or {}
    return ways_of(account.notifications, addresses)


def credentials_of(account: LiveAccount) -> Mapping[str, Any]:
    """Return the credentials of the environment; none when it has no file of them."""
    try:
        found: Mapping[str, Any] = account.opened.project.configuration["credentials"]
    except MissingConfigException:
        return {}
    return found
