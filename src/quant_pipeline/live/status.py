"""What the live process says of itself, or what its journal says when it does not live."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from quant_pipeline.common.listing import first_of
from quant_pipeline.live.account import LiveAccount
from quant_pipeline.live.board import STATUS, STOPPED, counts_of, last_tasks, read_status
from quant_pipeline.live.due import Owed, due
from quant_pipeline.live.journal import JournalState, read_journal
from quant_pipeline.live.market_data.files import WATCH_FILE
from quant_pipeline.live.opening import JOURNAL, LOCK

SILENT_SECONDS = 90.0
"""A process that lives writes its state at least every half minute."""


def status_of(account: LiveAccount) -> dict[str, Any]:
    """Return the state of the process of an account, its next task, and the end of its journal."""
    state, tail = read_journal(account.folder / JOURNAL)
    written = read_status(account.folder)
    silent = _silence(account.folder / STATUS)
    if not is_held(account.folder / LOCK):
        now = pd.Timestamp(written["now"]) if account.is_simulated and "now" in written else pd.Timestamp.now("UTC")
        # What else the file says was so when the process lived.
        lived = {"now": written["now"]} if "now" in written else {}
        written = {**lived, "state": STOPPED, "pid": None, "running": None, "next": _next(account, state, now)}
    elif silent is not None and silent > SILENT_SECONDS:
        written["silent_seconds"] = round(silent)
    ledger = account.ledger_end()
    watermark = None if ledger is None else ledger.booked
    return {
        "account": account.name,
        "environment": account.opened.environment,
        **written,
        "last": last_tasks(state),
        "failures": state.failures,
        "counts": counts_of(state),
        "ledger_is_readable": ledger is not None,
        "watermark": None if watermark is None else f"{watermark:%Y-%m-%d}",
        "journal": list(tail),
    }


def describe(status: Mapping[str, Any]) -> Iterator[str]:
    """Say it in lines."""
    process = f", process {status['pid']}" if status.get("pid") else ""
    yield f"{status['account']}: {status['state']}{process}"
    if silent := status.get("silent_seconds"):
        yield f"it has written nothing for {silent} s: it hangs, sleeps, or its disk is full; what follows is older"
    if status.get("running"):
        yield f"running: {status['running']}  {status.get('progress', '')}".rstrip()
    if market := status.get("market"):
        halted = f", halted: {first_of(market['halted'], whole=WATCH_FILE)}" if market["halted"] else ""
        yield f"market: value {market['net_asset_value']}, {market['change']:+.2%} since the close{halted}"
    upcoming = status.get("next")
    yield f"next due: {upcoming['task']} at {_short(upcoming['due'])}" if upcoming else "next due: nothing is known yet"
    last = status["last"].get("reconciliation")
    yield f"last reconciliation: {_short(last['at'])} ({last['task']})" if last else "last reconciliation: none"
    unknown = "nothing yet" if status.get("ledger_is_readable", True) else "not known, the ledger cannot be read now"
    yield f"booked up to: {status['watermark'] or unknown}"
    counts = status["counts"]
    yield f"tasks: {counts['done']} done, {counts['failed']} attempts failed, {counts['missed']} missed"
    for line in status["journal"][-8:]:
        words = " ".join(str(line[key]) for key in ("event", "task", "state", "result", "why", "what") if key in line)
        yield f"  {_short(line['at'])}  {words}"


def is_held(lock: Path) -> bool:
    """Return whether a process lives by a lock; nothing is made."""
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _silence(file: Path) -> float | None:
    """Return the seconds since a file was written; None when there is none."""
    try:
        return time.time() - file.stat().st_mtime
    except OSError:
        return None


def _next(account: LiveAccount, state: JournalState, now: pd.Timestamp) -> dict[str, str] | None:
    if state.begun is None:
        return None
    owed = Owed(state.owed_since(now), state.settled.keys(), state.overdue)
    found = due(now, account.timetable(now, state.begun), owed)
    task = next(iter(found.ready), found.upcoming)
    return None if task is None else {"task": task.name, "due": task.opens.isoformat()}


def _short(instant: str) -> str:
    return f"{pd.Timestamp(instant).tz_convert('UTC'):%Y-%m-%d %H:%M} UTC"
