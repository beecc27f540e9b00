"""The ``live`` and ``notifications`` blocks: when the tasks of a session are due, and which messages go where."""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from quant_pipeline.common.parameters import Parameters


class Level(IntEnum):
    """How much a message matters."""

    INFO = 0
    WARNING = 1
    ALERT = 2


class Topic(StrEnum):
    """What a message is about."""

    SUMMARY = "summary"
    PLAN = "plan"
    FILLS = "fills"
    DENIALS = "denials"
    ALERTS = "alerts"
    MISSED = "missed"
    TASKS = "tasks"
    PROCESS = "process"
    HEARTBEAT = "heartbeat"


class LiveParameters(Parameters):
    """When the live process does what.

    Attributes
    ----------
    reconcile_after_close_minutes, daily_after_close_minutes, backup_after_close_minutes
        How long after the close of a session books and broker are compared, the daily run begins, and the ledger is
        backed up.
    dry_run_before_open_minutes
        How long before orders may be sent the dry run shows what would be sent.
    execution_within_minutes
        For orders that execute at the prices of the open: how long after the open execution may still begin. Later it
        is missed: no order is sent late.
    auction_lead_minutes
        For orders of an auction: how long before the last moment execution begins.
    max_attempts
        How often a task is tried before the account is set to ``reducing`` and an alert leaves. It is tried on, at the
        longest pause, as long as its time is not over.
    retry_seconds, max_retry_seconds
        Pause after the first failure; it doubles with each one, up to the longest.
    max_task_minutes
        A task that takes longer is ended, and counts as failed.
    drain_seconds
        How long a task that runs may go on when the process is asked to end; the unit of systemd has to allow more.
    min_free_megabytes
        With less free space on the disk of the account a check fails.
    speed
        For an account at the simulated exchange: how many seconds pass in one; ``--speed`` of the command sets another.
    daily_pipelines
        What the daily run of the process is, as after ``--pipelines``; a host that only executes leaves out what it
        has no models for.
    market_data
        Whether a process listens to the broker's stream of market data while the exchange is open: last trades and
        halts for the limits, the value of the account, and stops at once instead of at the next close. A key has
        one such connection.
    live_scores, live_scores_seconds
        Whether champions score the session while it goes on, as if it closed now, and how often.
    """

    reconcile_after_close_minutes: NonNegativeFloat = 5.0
    daily_after_close_minutes: NonNegativeFloat = 20.0
    backup_after_close_minutes: NonNegativeFloat = 240.0
    dry_run_before_open_minutes: PositiveFloat = 15.0
    execution_within_minutes: PositiveFloat = 30.0
    auction_lead_minutes: PositiveFloat = 30.0
    max_attempts: PositiveInt = 5
    retry_seconds: PositiveFloat = 30.0
    max_retry_seconds: PositiveFloat = 600.0
    max_task_minutes: PositiveFloat = 240.0
    drain_seconds: NonNegativeFloat = 60.0
    min_free_megabytes: PositiveFloat = 512.0
    speed: PositiveFloat = 3600.0
    daily_pipelines: Annotated[tuple[str, ...], Field(min_length=1)] = ("daily",)
    market_data: bool = False
    live_scores: bool = False
    live_scores_seconds: PositiveFloat = 60.0


class Channel(Parameters):
    """One way to the operator; its address is the entry of the same name under ``notifications`` of the credentials.

    Attributes
    ----------
    level
        The least that a message has to matter.
    topics
        What it is for; all topics when empty.
    """

    level: Literal["info", "warning", "alert"] = "info"
    topics: tuple[Topic, ...] = ()

    def takes(self, topic: Topic, level: Level) -> bool:
        """Whether a message goes this way."""
        return level >= Level[self.level.upper()] and (not self.topics or topic in self.topics)


class NotificationParameters(Parameters):
    """Which messages about the account go where.

    Attributes
    ----------
    channels
        Names of channels, each with its level and its topics.
    heartbeat_hours
        A sign of life is sent this often; 0 sends none.
    timeout_seconds
        How long a service may take to answer.
    max_waiting
        Messages that wait at a channel; of more, the oldest that matters least is dropped and counted.
    repeat_minutes
        The same message leaves no more often than this.
    """

    channels: dict[str, Channel] = Field(default_factory=dict)
    heartbeat_hours: NonNegativeFloat = 24.0
    timeout_seconds: PositiveFloat = 10.0
    max_waiting: PositiveInt = 200
    repeat_minutes: NonNegativeFloat = 10.0
