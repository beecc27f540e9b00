"""Routes of the account: what it holds, ordered and traded, what was judged and set aside; and the halt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
from fastapi import APIRouter, Request, Response

from quant_pipeline.service.access import Halter, Reader
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
from quant_pipeline.service.halting import HALT_BODY, halt_account, reason_of
from quant_pipeline.service.served import Served, TheServed

router = APIRouter(prefix="/v1/account", tags=["account"])


@router.get("")
async def account(served: TheServed, asker: Reader) -> Response:
    """Return the state of the account: trading state and why, cash, newest session, armed or not."""
    return answer(await served.look(lambda: account_picture(served.project.account)))


@router.get("/positions", responses=ARROW_ANSWER)
async def positions(request: Request, served: TheServed, asker: Reader) -> Response:
    """Return the positions as of the newest booked close, each at its last known one (``close_of``)."""

    def compute() -> Response:
        account = served.project.account
        closed = account.state.last_session
        table, as_of = positions_table(account), None if closed is None else f"{closed:%Y-%m-%d}"
        return _answer(request, served, table, as_of=as_of)

    return await served.look(compute)


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


@router.post("/halt", openapi_extra=HALT_BODY)
async def halt(request: Request, served: TheServed, asker: Halter) -> Response:
    """Stop sending: the file that every sender looks at, the ledger, the orders at the broker, trading at the broker.

    The file is there when this begins; the rest is what `kedro account halt` does. Resuming is not offered over HTTP.
    A body that holds no reason, or cannot be read, is no reason to refuse.
    """
    done = await halt_account(served, asker, reason_of(await request.body()))
    return answer(done, 200 if done["everything_stopped"] else 207)


async def _table(request: Request, served: Served, make: Callable[[], pd.DataFrame]) -> Response:
    def compute() -> Response:
        return _answer(request, served, make())

    # Apart from research: the account waits for no backtest.
    return await served.look(compute)


def _answer(request: Request, served: Served, table: pd.DataFrame, **facts: Any) -> Response:
    require_cells(len(table), table.shape[1], served.rules.max_cells)
    return answer_table(request, table, served.project.known, **facts)
