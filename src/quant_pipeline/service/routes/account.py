"""Routes of the account: what it holds, ordered and traded, what was judged and set aside; and the halt."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pandas as pd
from fastapi import APIRouter, Request, Response

from quant_pipeline.cli.options import flattened
from quant_pipeline.service.access import Asker, Halter, Reader
from quant_pipeline.service.account_tables import (
    account_picture,
    nav_table,
    order_table,
    positions_table,
    quarantine_table,
    trade_table,
    verdict_table,
)
from quant_pipeline.service.answers import ARROW_ANSWER, answer, answer_table, require_cells
from quant_pipeline.service.audit_file import audit
from quant_pipeline.service.questions import HaltQuestion
from quant_pipeline.service.redaction import without_paths
from quant_pipeline.service.served import Served, TheServed

router = APIRouter(prefix="/v1/account", tags=["account"])
HALT_SECONDS = 120
"""How long the halt may wait for a broker that does not answer."""


@router.get("")
async def account(served: TheServed, asker: Reader) -> Response:
    """Return the state of the account: trading state and why, cash, newest session, armed or not."""
    return answer(await served.compute(lambda: account_picture(served.project.account)))


@router.get("/positions", responses=ARROW_ANSWER)
async def positions(request: Request, served: TheServed, asker: Reader) -> Response:
    """Return the positions at the last known closes."""
    return await _table(request, served, lambda: positions_table(served.project.account))


@router.get("/orders", responses=ARROW_ANSWER)
async def orders(request: Request, served: TheServed, asker: Reader) -> Response:
    """Return the orders of the newest plan: what was decided, what was sent, what was filled, and why not."""
    return await _table(request, served, lambda: order_table(served.project.account))


@router.get("/verdicts", responses=ARROW_ANSWER)
async def verdicts(request: Request, served: TheServed, asker: Reader) -> Response:
    """Return what the risk limits have said of the orders of the newest plan."""
    return await _table(request, served, lambda: verdict_table(served.project.account))


@router.get("/nav", responses=ARROW_ANSWER)
async def nav(request: Request, served: TheServed, asker: Reader) -> Response:
    """Return net asset value and cash at every close."""
    return await _table(request, served, lambda: nav_table(served.project.account))


@router.get("/trades", responses=ARROW_ANSWER)
async def trades(request: Request, served: TheServed, asker: Reader) -> Response:
    """Return every trade of the ledger."""
    return await _table(request, served, lambda: trade_table(served.project.account))


@router.get("/quarantine", responses=ARROW_ANSWER)
async def quarantine(request: Request, served: TheServed, asker: Reader) -> Response:
    """Return what the broker reported and the books could not take."""
    return await _table(request, served, lambda: quarantine_table(served.project.account))


@router.post("/halt")
async def halt(question: HaltQuestion, served: TheServed, asker: Halter) -> Response:
    """Stop sending: the file that every sender looks at, the ledger, the orders at the broker, trading at the broker.

    The file is there when this begins; the rest is what `kedro account halt` does. Resuming is not offered over HTTP.
    """
    done = await halt_account(served, asker, question.reason)
    return answer(done, 200 if done["everything_stopped"] else 207)


async def halt_account(served: Served, asker: Asker, reason: str) -> dict[str, Any]:
    """Stop sending, and return what of it has happened: ``halted``, ``everything_stopped``, ``lines``, ``at``."""
    project = served.project
    audit.warning("halt by %s: %r", asker.name, reason)
    failed: list[str] = []
    try:
        project.stop_file.parent.mkdir(parents=True, exist_ok=True)
        project.stop_file.touch()
    except OSError as error:
        failed.append(f"the file: not stopped, {error.strerror}")

    def stop_the_rest() -> dict[str, Any]:
        params = ",".join(f"{key}={value}" for key, value in flattened(project.params).items())
        words = ["account", "halt", "--env", project.environment, "--reason", f"{reason} ({asker.name})"]
        try:
            command = subprocess.run(  # noqa: S603 - a list of words, no shell
                [sys.executable, "-m", "quant_pipeline", *words, *(["--params", params] if params else [])],
                cwd=project.place.project_path,
                capture_output=True,
                text=True,
                timeout=HALT_SECONDS,
                check=False,
            )
        except (subprocess.TimeoutExpired, OSError) as error:
            lines = [f"the rest was not confirmed ({type(error).__name__}). Run `kedro account halt` at the terminal."]
            return {"halted": not failed, "everything_stopped": False, "lines": [*failed, *lines], "at": _now()}
        lines = [*failed, *command.stdout.splitlines(), *command.stderr.splitlines()]
        found = [without_paths(line, project.place.project_path) for line in lines if line.strip()]
        is_done = command.returncode == 0
        return {"halted": is_done or not failed, "everything_stopped": is_done, "lines": found, "at": _now()}

    return await served.compute_without_limit(stop_the_rest)


async def _table(request: Request, served: Served, make: Callable[[], pd.DataFrame]) -> Response:
    def compute() -> Response:
        table = make()
        require_cells(len(table), table.shape[1], served.rules.max_cells)
        return answer_table(request, table, served.project.known)

    return await served.compute(compute)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
