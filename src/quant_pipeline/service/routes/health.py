"""Whether the service lives, and whether what it answers from is there and how old it is."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

import pandas as pd
from fastapi import APIRouter, Response

from quant_pipeline.live.account import LiveAccount
from quant_pipeline.live.status import status_of
from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.service.access import Reader
from quant_pipeline.service.answers import CODE, answer
from quant_pipeline.service.faults import FAULTS, in_short
from quant_pipeline.service.jobs.table import OPEN
from quant_pipeline.service.lease import holder_of
from quant_pipeline.service.served import Served, TheServed
from quant_pipeline.service.served_project import MARKET

router = APIRouter(tags=["health"])
Fact = dict[str, Any]
SCARCE = 2**28
"""Bytes without which results, and soon the ledger, cannot be written."""


@router.get("/health")
async def health() -> Response:
    """Return at once that the service lives; it needs no token and reads nothing."""
    return answer({"status": "alive", "code": CODE})


@router.get("/ready")
async def ready(served: TheServed, asker: Reader) -> Response:
    """Return what the service answers from, each with its age: from the calendar to the ledger, lease and jobs.

    Status 503 when something is not there.
    """

    def look() -> Response:
        facts = {name: _looked_at(served, check) for name, check in CHECKS.items()}
        is_ready = all(fact["ready"] for fact in facts.values())
        return answer(
            {"ready": is_ready, "at": _now().isoformat(timespec="seconds"), **facts}, 200 if is_ready else 503
        )

    # It waits for no question that is computed: what watches the service would call it away.
    return await served.look(look)


def _looked_at(served: Served, check: Callable[[Served], Fact]) -> Fact:
    try:
        return {"ready": True, **check(served)}
    except FAULTS as error:
        return {"ready": False, "why": in_short(error, served.project.place.project_path)}


def _calendar(served: Served) -> Fact:
    now = _now().tz_localize(None).normalize()
    name = served.project.account.calendar
    days = TradingCalendar.of(name, now - pd.Timedelta(days=15), now).sessions
    return {"calendar": name, "newest_session": f"{days[-1]:%Y-%m-%d}"}


def _market(served: Served) -> Fact:
    newest = served.project.calendar[-1]
    return {"watermark": f"{newest:%Y-%m-%d}", "age_days": (_now().tz_localize(None).normalize() - newest).days}


def _store(served: Served) -> Fact:
    """Say when the files of the market were written last, and how much room is left for results."""
    written = served.project.written(*MARKET)
    free = shutil.disk_usage(served.project.folder).free
    facts = {
        "market_written": _instant(written),
        "age_seconds": _age(written),
        "free_megabytes": free // 2**20,
    }
    return facts if free > SCARCE else {**facts, "ready": False, "why": "there is hardly any room left for results"}


def _ledger(served: Served) -> Fact:
    account = served.project.account
    closed = account.state.last_session
    events = {"events": len(account.events)}
    if closed is None:
        return {**events, "last_close": None, "age_days": None}
    return {**events, "last_close": f"{closed:%Y-%m-%d}", "age_days": (_now().tz_localize(None) - closed).days}


def _lease(served: Served) -> Fact:
    """Say whether a process may send orders now, and for how long unless it prolongs that."""
    found = holder_of(served.project.account, _now())
    if found is None:
        return {"held": False}
    until = pd.Timestamp(found.expires_at, unit="s", tz="UTC")
    return {"held": True, "until": _instant(until), "seconds_left": -(_age(until) or 0)}


def _live(served: Served) -> Fact:
    project = served.project
    status = status_of(LiveAccount.of(project.place, project.account, project.params))
    last = status["last"].get("reconciliation")
    facts = {name: status.get(name) for name in ("state", "running", "next", "watermark", "silent_seconds")}
    at = None if last is None else pd.Timestamp(last["at"])
    return {**facts, "last_reconciliation": None if last is None else last["at"], "age_seconds": _age(at)}


def _jobs(served: Served) -> Fact:
    found = served.jobs.table.in_states(*OPEN)
    return {str(state): sum(job.state is state for job in found) for state in OPEN}


CHECKS: dict[str, Callable[[Served], Fact]] = {
    "calendar": _calendar,
    "store": _store,
    "market": _market,
    "ledger": _ledger,
    "lease": _lease,
    "live": _live,
    "jobs": _jobs,
}


def _instant(at: pd.Timestamp | None) -> str | None:
    return None if at is None else at.isoformat(timespec="seconds")


def _age(at: pd.Timestamp | None) -> int | None:
    """Return how many seconds ago an instant was; without a zone it is of UTC."""
    if at is None:
        return None
    return int((_now() - (at.tz_localize("UTC") if at.tzinfo is None else at)).total_seconds())


def _now() -> pd.Timestamp:
    return pd.Timestamp.now("UTC")
