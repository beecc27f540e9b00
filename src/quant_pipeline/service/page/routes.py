"""Routes of the page that only show: pages, their files, and the events that keep them fresh."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterable
from typing import Annotated, Final

import anyio
import pandas as pd
from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent

from quant_pipeline.service.access import Access
from quant_pipeline.service.page import actions
from quant_pipeline.service.page.assets import KINDS, asset
from quant_pipeline.service.page.board import Board
from quant_pipeline.service.page.compose import DRAWERS, PANES, page, with_token
from quant_pipeline.service.page.drawing import instant
from quant_pipeline.service.page.entrance import PageRoute, Visit, visit
from quant_pipeline.service.page.headers import SafeHeaders
from quant_pipeline.service.page.visitors import Visitors
from quant_pipeline.service.problems import Refused
from quant_pipeline.service.served import Served

router = APIRouter(route_class=PageRoute, include_in_schema=False)
streams = APIRouter(include_in_schema=False)
POLL: Final = 0.25
"""Seconds between two looks at what panes follow."""
BEAT: Final = 1.0
"""Seconds between two signs of life."""


def add_page(app: FastAPI, served: Served, access: Access) -> None:
    """Add the page to the service."""
    app.state.visitors = Visitors(served.project.folder, access, served.project.environment)
    app.state.board = Board(served, PANES)
    app.add_middleware(SafeHeaders)
    for part in (router, streams, actions.router):
        app.include_router(part)


@router.get("/")
async def desk(request: Request) -> Response:
    """Show what the operator needs first."""
    return await page(visit(request), "desk")


@router.get("/page/assets/{digest}/{name}")
async def file(request: Request, digest: str, name: str) -> Response:
    """Return a file of the page, which never changes under its address."""
    if name not in KINDS or asset(name).address != request.url.path:
        raise Refused(404, "not there", "there is no such file", "Load the page again.")
    found = asset(name)
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding"}
    if "gzip" not in request.headers.get("accept-encoding", ""):
        return Response(gzip.decompress(found.packed), media_type=found.kind, headers=headers)
    return Response(found.packed, media_type=found.kind, headers={**headers, "Content-Encoding": "gzip"})


@streams.get("/page/events", response_class=EventSourceResponse)
async def events(
    visited: Annotated[Visit, Depends(visit)], panes: Annotated[str, Query(max_length=200)]
) -> AsyncIterable[ServerSentEvent]:
    """Keep panes fresh: ``pane`` with the markup of each that has changed, and ``beat`` every second."""
    names = [name for name in panes.split(",") if name in PANES]
    known: dict[str, str] = {}
    beat = float("-inf")
    while True:
        if anyio.current_time() - beat >= BEAT:
            beat = anyio.current_time()
            yield ServerSentEvent(event="beat", data={"at": instant(pd.Timestamp.now("UTC").floor("s"))}, retry=1000)
        drawn = await anyio.to_thread.run_sync(visited.board.panes, names, limiter=DRAWERS)
        for name, pane in drawn.items():
            if known.get(name) != pane.hash:
                known[name] = pane.hash
                html = with_token(pane.html, visited.visitor.form_token)
                yield ServerSentEvent(event="pane", data={"name": name, "html": html})
        await anyio.sleep(POLL)
