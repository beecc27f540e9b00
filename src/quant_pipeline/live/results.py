"""What the end of a command means for its task, and which messages it leads to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from quant_pipeline.common.exit_status import ExitStatus
from quant_pipeline.live.commands import Ran
from quant_pipeline.live.journal import ATTENTION, DONE, FAILED, INTERRUPTED
from quant_pipeline.live.notifications.messages import Message
from quant_pipeline.live.parameters import Level, Topic
from quant_pipeline.live.timetable import Task, TaskKind

LATE = pd.Timedelta(minutes=30)
"""How long after a task was due it is called late."""
CRITICAL = (TaskKind.DAILY, TaskKind.EXECUTION, TaskKind.RECONCILIATION)
"""Tasks whose lasting failure makes the account reducing: without them no order should be bought."""
_OF_EXECUTION = {
    ExitStatus.INCOMPLETE: (Level.WARNING, "a part of the plan was not executed"),
    ExitStatus.ATTENTION: (Level.ALERT, "the operator has to act"),
    ExitStatus.NO_PLAN: (Level.WARNING, "there was no plan"),
}


def result_of(task: Task, ran: Ran, is_stopping: bool) -> str:
    """Return the result of a task: done, done with something to look at, failed, or interrupted by the process."""
    if ran.status == ExitStatus.DONE:
        return DONE
    if task.kind is TaskKind.EXECUTION and ran.status in set(_OF_EXECUTION):
        return ATTENTION
    if is_stopping:
        return INTERRUPTED
    return ATTENTION if task.kind is TaskKind.CHECK else FAILED


def messages_about(
    account: str, task: Task, ran: Ran, result: str, now: pd.Timestamp, summary: str
) -> Iterator[Message]:
    """Report how a task has ended, when the operator should know.

    Parameters
    ----------
    account
        Name of the account.
    task, ran, result
        What was done, and how it ended.
    now
        When it ended.
    summary
        What the run has written as its summary.
    """
    late = "" if now - task.opens < LATE else f", {_ago(now - task.opens)} late"
    title, text = f"{account}: {task.name}{late}", summary or ran.last_lines
    if result == FAILED:
        yield Message(Topic.TASKS, Level.WARNING, f"{title} has failed (status {ran.status})", ran.last_lines)
    elif result == ATTENTION and task.kind is TaskKind.EXECUTION:
        level, words = _OF_EXECUTION[ExitStatus(ran.status)]
        yield Message(Topic.TASKS, level, f"{title}: {words}", text)
    elif result == ATTENTION:
        yield Message(Topic.ALERTS, Level.ALERT, f"{title}: the next session will not go well", ran.last_lines)
    elif result == DONE and task.kind is TaskKind.DAILY:
        yield Message(Topic.SUMMARY, Level.WARNING if late else Level.INFO, f"{title} is booked", text)
    elif result == DONE and task.kind is TaskKind.DRY_RUN:
        yield Message(Topic.PLAN, Level.INFO, f"{title}: what would be sent", text)
    elif result == DONE and task.kind is TaskKind.EXECUTION:
        yield Message(Topic.TASKS, Level.INFO, f"{title} is as planned", text)


def message_of_missed(account: str, task: Task, now: pd.Timestamp, why: str) -> Message:
    """Report that the time of a task is over."""
    level = Level.ALERT if task.kind is TaskKind.EXECUTION else Level.WARNING
    if task.kind in (TaskKind.BACKUP, TaskKind.DRY_RUN, TaskKind.CHECK):
        level = Level.INFO
    consequence = {
        TaskKind.EXECUTION: "No order is sent late; the next plan is made after the close.",
        TaskKind.DAILY: "Its broker cannot state this close any more; the next daily run covers it.",
    }.get(task.kind, "")
    over = "" if task.closes is None else f"Its time was over at {task.closes:%Y-%m-%d %H:%M} UTC: {why}."
    return Message(Topic.MISSED, level, f"{account}: {task.name} is missed", f"{over} {consequence}".strip())


def message_of_many_missed(account: str, names: Sequence[str]) -> Message:
    """Report that the time of many tasks is over, kind by kind."""
    sessions: dict[str, list[str]] = {}
    for name in names:
        kind, _, session = name.partition(" ")
        sessions.setdefault(kind, []).append(session)
    said = [f"{kind}: {len(days)}, {min(days)} to {max(days)}" for kind, days in sorted(sessions.items())]
    text = "\n".join([*said, "No order is sent late; the next plan is made after the close."])
    return Message(Topic.MISSED, Level.ALERT, f"{account}: {len(names)} tasks are missed", text)


def _ago(span: pd.Timedelta) -> str:
    minutes = int(span.total_seconds() // 60)
    hours, rest = divmod(minutes, 60)
    return f"{hours // 24} days" if hours >= 48 else f"{hours} h {rest} min"
