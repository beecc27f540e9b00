"""Whether the service lives, and whether what it answers from is there and how old it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
from fastapi import APIRouter, Response

from quant_pipeline.common.exceptions import QuantPipelineError
from quant_pipeline.live.account import LiveAccount
from quant_pipeline.live.status import status_of
from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.service.access import Reader
from quant_pipeline.service.answers import CODE, answer
from quant_pipeline.service.faults import FAULTS
from quant_pipeline.service.jobs.table import OPEN
from quant_pipeline.service.redaction import without_paths
from quant_pipeline.service.served import Served, TheServed

router = APIRouter(tags=["health"])
Fact = dict[str, Any]


@router.get("/health")
async def health() -> Response:
    """Return at once that the service lives; it needs no token and reads nothing."""
    return answer({"status": "alive", "code": CODE})


@router.get("/ready")
async def ready(served: TheServed, asker: Reader) -> Response:
    """Return what the service answers from, each with its age: calendar, market, ledger, live process, jobs.

    Status 503 when something is not there.
    """

    def look() -> Response:
        facts = {name: _looked_at(served, check) for name, check in CHECKS.items()}
        is_ready = all(fact["ready"] for fact in facts.values())
        return answer(
            {"ready": is_ready, "at": _now().isoformat(timespec="seconds"), **facts}, 200 if is_ready else 503
        )

    return await served.compute(look)


def _looked_at(served: Served, check: Callable[[Served], Fact]) -> Fact:
    try:
        return {"ready": True, **check(served)}
    except QuantPipelineError as error:
        return {"ready": False, "why": without_paths(error.message, served.project.place.project_path)}
    except FAULTS as error:
        return {"ready": False, "why": type(error).__name__}


def _calendar(served: Served) -> Fact:
    now = _now().tz_localize(None).normalize()
    name = served.project.account.calendar
    days = TradingCalendar.of(name, now - pd.Timedelta(days=15), now).sessions
    return {"calendar": name, "newest_session": f"{days[-1]:%Y-%m-%d}"}


def _market(served: Served) -> Fact:
    newest = served.project.calendar[-1]
    return {"watermark": f"{newest:%Y-%m-%d}", "age_days": (_now().tz_localize(None).normalize() - newest).days}


def _ledger(served: Served) -> Fact:
    account = served.project.account
    closed = account.state.last_session
    return {"events": len(account.events), "last_close": None if closed is None else f"{closed:%Y-%m-%d}"}


def _live(served: Served) -> Fact:
    project = served.project
    status = status_of(LiveAccount.of(project.place, project.account, project.params))
    last = status["last"].get("reconciliation")
    facts = {name: status.get(name) for name in ("state", "running", "next", "watermark")}
    return {**facts, "last_reconciliation": None if last is None else last["at"]}


def _jobs(served: Served) -> Fact:
    found = served.jobs.table.in_states(*OPEN)
    return {str(state): sum(job.state is state for job in found) for state in OPEN}


CHECKS: dict[str, Callable[[Served], Fact]] = {
    "calendar": _calendar,
    "market": _market,
    "ledger": _ledger,
    "live": _live,
    "jobs": _jobs,
}


def _now() -> pd.Timestamp:
    return pd.Timestamp.now("UTC")
