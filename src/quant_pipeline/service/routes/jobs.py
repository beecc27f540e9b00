"""Routes of jobs: ask for one, look at it, follow what it prints, take its result, cancel it."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from functools import partial
from pathlib import Path
from typing import Annotated

import anyio
from fastapi import APIRouter, Depends, Header, Query, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent

from quant_pipeline.service.access import Reader, Researcher
from quant_pipeline.service.answers import answer
from quant_pipeline.service.jobs.kinds import KINDS
from quant_pipeline.service.jobs.table import ENDED, OPEN, Job, JobState
from quant_pipeline.service.problems import Refused
from quant_pipeline.service.questions import EvaluationQuestion, JobQuestion, Name, SearchQuestion, TrainingQuestion
from quant_pipeline.service.redaction import without_paths
from quant_pipeline.service.routes import factors, models
from quant_pipeline.service.routes.backtests import search
from quant_pipeline.service.served import IdempotencyKey, OneStream, Served, TheServed, describe

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])
POLL = 0.25
"""Seconds between two looks at what a job has printed."""
MOST = 2**20
"""Bytes that are read at once; no line is longer."""


@router.post("", status_code=202)
async def ask(
    question: JobQuestion,
    served: TheServed,
    asker: Researcher,
    key: IdempotencyKey = None,
) -> Response:
    """Ask for a job by its kind: training, search, factor_evaluation."""
    request = question.request
    match question.kind:
        case "training":
            return await models.train(TrainingQuestion.model_validate(request), served, asker, key)
        case "search":
            return await search(SearchQuestion.model_validate(request), served, asker, key)
        case "factor_evaluation":
            return await factors.evaluate(EvaluationQuestion.model_validate(request), served, asker, key)
        case unknown:
            text = f"there is no kind of job '{unknown}' here"
            raise Refused(422, "unknown kind", text, "There are training, search, factor_evaluation.", "kind")


@router.get("")
async def newest(
    served: TheServed,
    asker: Reader,
    kind: Name | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
) -> Response:
    """Return the newest jobs, the newest first."""
    if kind is not None and kind not in KINDS:
        raise Refused(422, "unknown kind", f"no job is of kind '{kind}'", f"There are {', '.join(KINDS)}.", "kind")
    found = await served.look(lambda: served.jobs.table.newest(limit, kind))
    return answer({"jobs": [describe(job) for job in found]})


@router.get("/{id}")
async def job(id: Name, served: TheServed, asker: Reader) -> Response:
    """Return a job."""
    return answer(describe(await served.look(lambda: _find(served, id))))


@router.delete("/{id}")
async def cancel(id: Name, served: TheServed, asker: Researcher) -> Response:
    """Cancel a job with all its processes; one that has ended stays as it is."""

    def end() -> Job:
        found = _find(served, id)
        return served.jobs.cancel(found) if found.state in OPEN else found

    return answer(describe(await served.look(end)))


@router.get("/{id}/result")
async def result(id: Name, served: TheServed, asker: Reader) -> Response:
    """Return the result of a job: hashes of its tables, which ``/v1/results/{hash}`` returns, and its last lines."""
    found = await served.look(lambda: _find(served, id))
    if found.state is not JobState.DONE:
        text = f"the job is {found.state}" + (f": {found.message}" if found.message else "")
        remedy = "Ask again when it has ended." if found.state in OPEN else "Ask for it again."
        raise Refused(409, "no result", without_paths(text, served.project.place.project_path), remedy, "id")
    outcome = dict(found.result or {})
    place = served.project.place.project_path
    outcome["lines"] = [without_paths(line, place) for line in outcome.get("lines", [])]
    return answer({"id": found.id, "kind": found.kind, **outcome})


async def job_of(id: Name, served: TheServed) -> Job:
    """Find the job of a path, before an answer begins."""
    return await served.look(lambda: _find(served, id))


@router.get("/{id}/events", response_class=EventSourceResponse)
async def events(
    asker: Reader,
    served: TheServed,
    place: OneStream,
    found: Annotated[Job, Depends(job_of)],
    last_event_id: Annotated[int, Header(alias="Last-Event-ID", ge=0, le=2**53)] = 0,
) -> AsyncIterable[ServerSentEvent]:
    """Follow a job as server-sent events: ``line`` for each line that it prints, ``state``, and ``end``.

    The number of an event is where its line ends in what was printed: a reader that comes back with
    ``Last-Event-ID`` goes on behind the last line that it has seen.
    """
    async for event in follow(served, found, last_event_id):
        yield event


async def follow(served: Served, found: Job, place: int) -> AsyncIterator[ServerSentEvent]:
    """Follow a job from a place in what it has printed, see `events`."""
    output, seen = served.jobs.output_of(found), None
    while True:
        now = await served.look(partial(served.jobs.table.find, found.id))
        if now is None:
            # It has ended, and was forgotten while it was followed.
            yield ServerSentEvent(event="end", id=str(place), data={"state": seen, "message": "not kept any more"})
            return
        found = now
        if found.state != seen:
            seen = found.state
            yield ServerSentEvent(event="state", id=str(place), data={"state": found.state})
        before, has_ended = place, found.state in ENDED
        lines, place = await anyio.to_thread.run_sync(read_lines, output, place, has_ended)
        for end, line in lines:
            text = without_paths(line, served.project.place.project_path)
            yield ServerSentEvent(event="line", id=str(end), data={"line": text})
        if not has_ended:
            await anyio.sleep(POLL)
        elif place == before:
            yield ServerSentEvent(event="end", id=str(place), data={"state": found.state, "message": found.message})
            return


def _find(served: Served, id: str) -> Job:
    found = served.jobs.table.find(id)
    if found is None:
        raise Refused(404, "unknown job", f"there is no job '{id}'", "GET /v1/jobs lists them.", "id")
    return found


def read_lines(output: Path, place: int, has_ended: bool = False) -> tuple[list[tuple[int, str]], int]:
    """Return the whole lines behind a place with the places where they end, and the place behind the last one.

    What stands behind the last whole line is a line when the job has ended: nothing more will follow it.

    A place within a line belongs to no reader that was sent it: it goes on at the next line, for the rest of a path is
    not known as one.
    """
    try:
        with output.open("rb") as printed:
            printed.seek(max(0, place - 1))
            is_within = place > 0 and printed.read(1) != b"\n"
            content = printed.read(MOST)
    except FileNotFoundError:
        return [], place
    is_all = len(content) < MOST
    if is_within:
        rest, end, content = content.partition(b"\n")
        place += len(rest) + len(end)
    found = []
    *lines, rest = content.split(b"\n")
    for line in lines:
        place += len(line) + 1
        found.append((place, line.decode(errors="replace").rstrip()))
    if rest and is_all and has_ended:
        place += len(rest)
        found.append((place, rest.decode(errors="replace").rstrip()))
    if not lines and len(rest) == MOST:
        # No line ends in what was read: its beginning is shown, and the next read goes on behind its end.
        place += MOST
        found.append((place, rest.decode(errors="replace")))
    return found, place
