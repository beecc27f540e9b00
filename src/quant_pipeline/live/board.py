"""The state of the process, for people and for programs: a JSON file, and a file of metrics for Prometheus.

Both lie in the folder of the process, appear complete or not at all, and hold no secret. A full disk leaves the earlier
ones: their age says so.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import psutil
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from quant_pipeline.common.atomic import write_bytes, write_text
from quant_pipeline.common.json_files import read_json
from quant_pipeline.live.journal import Journal, JournalState
from quant_pipeline.live.market_data.files import read_watch
from quant_pipeline.live.notifications.dispatcher import Dispatcher
from quant_pipeline.live.notifications.messages import cleaned
from quant_pipeline.live.timetable import Task

logger = logging.getLogger(__name__)

STATUS, METRICS = "status.json", "metrics.prom"
STOPPED = "stopped"
MESSAGES = ("delivered", "waiting", "undelivered", "dropped")
SECONDS = 2.0
"""Files are written no more often than this while nothing has changed."""
GAUGES = {
    "up": "1 while the process lives by its journal",
    "now_timestamp_seconds": "the time by which the account lives",
    "next_due_timestamp_seconds": "when the next task is due",
    "watermark_timestamp_seconds": "the last session that is booked",
    "tasks_done": "tasks that were done",
    "tasks_failed": "attempts that have failed",
    "tasks_missed": "tasks whose time was over",
    "messages_delivered": "messages that a service has taken",
    "messages_waiting": "messages that wait for a service",
    "messages_undelivered": "messages that were given up because no service took them",
    "messages_dropped": "messages given up for want of room",
    "resident_memory_bytes": "memory of the process",
    "net_asset_value": "value of the account at the last trades, while its market is watched",
}


class Seen(NamedTuple):
    """What the loop is at.

    Attributes
    ----------
    now, state
        The time by which the account lives, and what the process does.
    upcoming
        The next task that will be due.
    running, progress
        The task whose command runs, and the last line that the command has printed.
    booked
        The last session that is booked.
    """

    now: pd.Timestamp
    state: str
    upcoming: Task | None
    running: str
    progress: str
    booked: pd.Timestamp | None


class Board:
    """Writes both files.

    Parameters
    ----------
    folder
        Folder of the process.
    account, environment
        Name of the account, the label of every metric, and of its environment.
    secrets
        What stands in neither file.
    """

    def __init__(self, folder: Path, account: str, environment: str, secrets: Sequence[str] = ()) -> None:
        self._folder, self._account, self._environment = folder, account, environment
        self._secrets = tuple(secrets)
        self._written = 0.0
        self._process = psutil.Process()

    def write(self, seen: Seen, journal: Journal, messages: Dispatcher, at_once: bool = False) -> None:
        """Write what is so now.

        Parameters
        ----------
        seen
            What the loop is at.
        journal, messages
            What was done and which messages left.
        at_once
            Whether something has changed, so that the files are written whenever they were written last.
        """
        if not at_once and time.monotonic() - self._written < SECONDS:
            return
        self._written = time.monotonic()
        memory = self._process.memory_info().rss
        status = cleaned(self._status(seen, journal, messages, memory), self._secrets)
        try:
            write_text(self._folder / STATUS, json.dumps(status, indent=1) + "\n")
            write_bytes(self._folder / METRICS, self._metrics(seen, journal, messages, memory))
        except OSError as error:
            logger.debug("the state of the process was not written: %s", error)

    def _status(self, seen: Seen, journal: Journal, messages: Dispatcher, memory: int) -> dict[str, Any]:
        upcoming, state = seen.upcoming, journal.state
        return {
            "account": self._account,
            "environment": self._environment,
            "state": seen.state,
            "pid": self._process.pid,
            "memory": memory,
            "now": seen.now.isoformat(),
            "next": None if upcoming is None else {"task": upcoming.name, "due": upcoming.opens.isoformat()},
            "running": seen.running or None,
            "progress": seen.progress,
            "watermark": None if seen.booked is None else f"{seen.booked:%Y-%m-%d}",
            "last": last_tasks(state),
            "failures": state.failures,
            "counts": counts_of(state),
            "messages": {name: getattr(messages, name) for name in MESSAGES},
            "market": read_watch(self._folder) or None,
            "journal": list(journal.tail),
        }

    def _metrics(self, seen: Seen, journal: Journal, messages: Dispatcher, memory: int) -> bytes:
        numbers: dict[str, float] = {
            "up": float(seen.state != STOPPED),
            "now_timestamp_seconds": seen.now.timestamp(),
            "resident_memory_bytes": memory,
            **{f"tasks_{name}": number for name, number in counts_of(journal.state).items()},
            **{f"messages_{name}": getattr(messages, name) for name in MESSAGES},
        }
        if seen.upcoming is not None:
            numbers["next_due_timestamp_seconds"] = seen.upcoming.opens.timestamp()
        market = read_watch(self._folder)
        if "net_asset_value" in market:
            numbers["net_asset_value"] = float(market["net_asset_value"])
        if seen.booked is not None:
            numbers["watermark_timestamp_seconds"] = seen.booked.timestamp()
        registry = CollectorRegistry()
        for name, value in numbers.items():
            gauge = Gauge(f"quant_pipeline_live_{name}", GAUGES[name], ["account"], registry=registry)
            gauge.labels(self._account).set(value)
        named = Gauge("quant_pipeline_live_state", "state of the process", ["account", "state"], registry=registry)
        named.labels(self._account, seen.state).set(1)
        return generate_latest(registry)


def last_tasks(state: JournalState) -> dict[str, dict[str, str]]:
    """Return the last task of each kind that was done."""
    return {kind: {"task": task, "at": at} for kind, (at, task) in state.last.items()}


def counts_of(state: JournalState) -> dict[str, int]:
    """Return how many tasks were done, have failed and were missed."""
    return {"done": state.done, "failed": state.failed, "missed": state.missed}


def read_status(folder: Path) -> dict[str, Any]:
    """Read the JSON file of a folder; empty when there is none that can be read."""
    try:
        return read_json(folder / STATUS)
    except (OSError, ValueError):
        return {}
