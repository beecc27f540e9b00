"""Routes of the page that only show: pages, their files, and the events that keep them fresh."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterable
from pathlib import Path
from typing import Annotated, Final

import anyio
import pandas as pd
from fastapi import APIRouter, Depends, FastAPI, Header, Query, Request, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent

from quant_pipeline.reports.elements import Html
from quant_pipeline.service.access import Access
from quant_pipeline.service.jobs.table import ENDED, Job
from quant_pipeline.service.page import actions, documentation
from quant_pipeline.service.page.assets import KINDS, asset
from quant_pipeline.service.page.board import Board
from quant_pipeline.service.page.compose import OF_HALTERS, PAGES, PANES, page, with_token
from quant_pipeline.service.page.drawing import instant
from quant_pipeline.service.page.entrance import PageRoute, TheReader, TheWatcher
from quant_pipeline.service.page.headers import DOCUMENT_POLICY, SafeHeaders
from quant_pipeline.service.page.looking import Look
from quant_pipeline.service.page.panes.jobs import Printed, Rows, job
from quant_pipeline.service.page.panes.log import Wanted, log
from quant_pipeline.service.page.panes.research import DOCUMENTS
from quant_pipeline.service.page.visitors import Visitors
from quant_pipeline.service.problems import Refused
from quant_pipeline.service.redaction import without_paths
from quant_pipeline.service.routes.jobs import follow, job_of, read_lines
from quant_pipeline.service.served import OneStream, Served, TheServed

router = APIRouter(route_class=PageRoute, include_in_schema=False)
streams = APIRouter(include_in_schema=False)
POLL: Final = 0.25
"""Seconds between two looks at what panes follow."""
WINDOW: Final = 2**17
"""Bytes of what a job has printed that are shown at once."""
BEAT: Final = 1.0
"""Seconds between two signs of life."""


def add_page(app: FastAPI, served: Served, access: Access) -> None:
    """Add the page to the service."""
    app.state.visitors = Visitors(served.project.folder, access, served.project.environment)
    app.state.board = Board(served, PANES)
    app.add_middleware(SafeHeaders)
    for part in (streams, actions.router, documentation.router, router):
        app.include_router(part)


@router.get("/")
async def desk(visited: TheWatcher) -> Response:
    """Show what the operator needs first; who may halt and not read is shown the state and the button alone."""
    return await page(visited, "desk")


@router.get("/page/jobs/{id}")
async def one_job(
    visited: TheReader,
    served: TheServed,
    found: Annotated[Job, Depends(job_of)],
    before: Annotated[int | None, Query(ge=0, le=2**53)] = None,
    table: Annotated[str, Query(max_length=100)] = "",
    row: Annotated[int, Query(ge=0, le=2**40)] = 0,
) -> Response:
    """Show one job as it prints: the newest lines, or those before a place; and rows of its tables."""

    def draw_it() -> Html:
        output, has_ended = served.jobs.output_of(found), found.state in ENDED
        place = served.project.place.project_path
        return job(served, found, printed_before(output, before, has_ended, place), Rows(table, row))

    return await page(visited, "jobs", panes={"job": await served.look(draw_it)})


def printed_before(output: Path, before: int | None, has_ended: bool, project: Path) -> Printed:
    """Read the lines that begin before a place in what a job has printed, at most `WINDOW` of them in bytes.

    Parameters
    ----------
    output
        File of what it has printed.
    before
        The place; None: the end.
    has_ended
        Whether nothing more will be printed.
    project
        Folder that no line names.
    """
    size = output.stat().st_size if output.exists() else 0
    end = size if before is None else min(before, size)
    begin, shown = max(0, end - WINDOW), []
    begins, (lines, _) = begin, read_lines(output, begin, has_ended)
    for ends, line in lines:
        # The line that the end is within belongs to these: the lines behind it begin with the next one.
        if begins >= end and before is not None:
            break
        shown.append(without_paths(line, project))
        begins = ends
    return Printed("".join(f"{line}\n" for line in shown), begin, begins, before is None)


@router.get("/page/log")
async def lines(
    visited: TheReader,
    source: Annotated[str, Query(max_length=40)] = "",
    text: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """Show the log; what is filtered stays as it was asked for."""
    if not (source or text):
        return await page(visited, "log")
    served, asker = visited.served, visited.visitor.asker
    shown = await served.compute(asker, lambda: log(Look.now(served), Wanted(source, text)))
    return await page(visited, "log", panes={"log": shown})


@router.get("/page/documents/{name}")
async def document(visited: TheReader, name: str) -> Response:
    """Return a page that a pipeline has written, with an origin of its own: its script cannot act in this one."""
    served = visited.served

    def load() -> str:
        if name not in DOCUMENTS or not served.project.has(DOCUMENTS[name][0]):
            remedy = "Run the pipeline that writes it: `kedro run`"
            raise Refused(404, "not there", "this page was not written yet", remedy)
        text: str = served.project.project.catalog.load(DOCUMENTS[name][0])
        return text

    text = await served.compute(visited.visitor.asker, load)
    return Response(text, media_type="text/html", headers={"Content-Security-Policy": DOCUMENT_POLICY})


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


@router.get("/page/{name}")
async def other(visited: TheReader, name: str) -> Response:
    """Show one of the other pages."""
    if name not in PAGES:
        raise Refused(404, "not there", "there is no such page", "The links on the page of the account lead to all.")
    return await page(visited, name)


@streams.get("/page/jobs/{id}/events", response_class=EventSourceResponse)
async def job_events(
    visited: TheReader,
    served: TheServed,
    place: OneStream,
    found: Annotated[Job, Depends(job_of)],
    behind: Annotated[int, Query(ge=0, le=2**53)] = 0,
    last_event_id: Annotated[int, Header(alias="Last-Event-ID", ge=0, le=2**53)] = 0,
) -> AsyncIterable[ServerSentEvent]:
    """Follow a job as ``GET /v1/jobs/{id}/events`` does, from what the page shows already."""
    async for event in follow(served, found, max(behind, last_event_id)):
        if visited.visitors.has_ended(visited.visitor):
            return
        yield event


@streams.get("/page/events", response_class=EventSourceResponse)
async def events(
    visited: TheWatcher, place: OneStream, panes: Annotated[str, Query(max_length=200)]
) -> AsyncIterable[ServerSentEvent]:
    """Keep panes fresh: ``pane`` with the markup of each that has changed, and ``beat`` every second."""
    allowed = PANES if visited.may_read else OF_HALTERS
    names = [name for name in dict.fromkeys(panes.split(",")) if name in allowed]
    known: dict[str, str] = {}
    beat = float("-inf")
    while True:
        if anyio.current_time() - beat >= BEAT:
            if visited.visitors.has_ended(visited.visitor):
                return
            beat = anyio.current_time()
            yield ServerSentEvent(event="beat", data={"at": instant(pd.Timestamp.now("UTC").floor("s"))}, retry=1000)
        for name, html in (await visited.board.panes(names, POLL)).items():
            if known.get(name) != html:
                known[name] = html
                markup = with_token(html, visited.visitor.form_token)
                yield ServerSentEvent(event="pane", data={"name": name, "html": markup})
        await anyio.sleep(POLL)
