"""What every route is given: the project, the jobs, the results, and a place among the questions that are computed."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar

import anyio
from fastapi import Depends, Header, Request, Response

from quant_pipeline.service.access import Asker
from quant_pipeline.service.answers import CODE, answer
from quant_pipeline.service.jobs.kinds import inputs_of
from quant_pipeline.service.jobs.runner import JobRunner
from quant_pipeline.service.jobs.table import Job
from quant_pipeline.service.parameters import ServiceParameters
from quant_pipeline.service.problems import Refused
from quant_pipeline.service.results import ResultStore
from quant_pipeline.service.served_project import ServedProject

Answer = TypeVar("Answer")

LOOKS = 16
"""Looks at tables at the same time."""


@dataclass(frozen=True)
class Served:
    """What every route is given.

    Attributes
    ----------
    project
        Configuration, tables and account.
    rules
        The block ``service``.
    jobs, results
        Long work, and what came of it.
    questions, streams
        Places for questions that are computed, and for readers who follow events.
    looks
        Places for looks at the table of jobs and at stored documents, and for cancelling: they take milliseconds, and
        wait for no question that is computed.
    """

    project: ServedProject
    rules: ServiceParameters
    jobs: JobRunner
    results: ResultStore
    questions: anyio.CapacityLimiter
    streams: anyio.CapacityLimiter
    looks: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(LOOKS))

    async def compute(self, question: Callable[[], Answer]) -> Answer:
        """Compute an answer in a thread; other questions, and `/health`, go on.

        Raises
        ------
        Refused
            503 when too many are computed already, 422 when it takes too long. A thread cannot be ended: it goes on,
            and keeps its place, until it is done.
        """
        return await self._within(self.questions, question)

    async def look(self, question: Callable[[], Answer]) -> Answer:
        """Look something up in a thread, as `compute` does, apart from the questions that are computed."""
        return await self._within(self.looks, question)

    async def _within(self, places: anyio.CapacityLimiter, question: Callable[[], Answer]) -> Answer:
        seconds, asker = self.rules.max_seconds, object()
        with anyio.move_on_after(seconds) as waited:
            await places.acquire_on_behalf_of(asker)
        if waited.cancelled_caught:
            text = f"{places.total_tokens} questions are being computed"
            raise Refused(503, "busy", text, "Ask again later.", headers={"Retry-After": "5"})

        begun = threading.Lock()

        def compute_and_leave() -> Answer:
            if not begun.acquire(blocking=False):
                raise Refused(503, "busy", "the asker has gone", "Ask again.")
            try:
                return question()
            finally:
                anyio.from_thread.run_sync(places.release_on_behalf_of, asker)

        try:
            with anyio.move_on_after(seconds):
                return await anyio.to_thread.run_sync(compute_and_leave, abandon_on_cancel=True)
        finally:
            # An asker who leaves before the thread has begun leaves the place, too.
            if begun.acquire(blocking=False):
                places.release_on_behalf_of(asker)
        raise Refused(
            422,
            "takes too long",
            f"the answer was not there after {seconds:g} seconds",
            "Ask for less at once, post it as a job, or raise service.max_seconds.",
        )

    async def compute_without_limit(self, question: Callable[[], Answer]) -> Answer:
        """Compute an answer that must not wait for others: to halt an account."""
        return await anyio.to_thread.run_sync(question, limiter=anyio.CapacityLimiter(1))

    def job_of(self, kind: str, request: Mapping[str, Any], asker: Asker, key: str | None = None) -> tuple[Job, bool]:
        """Return the job of a question, and whether it was there already."""
        inputs = inputs_of(kind, self.project.parameters["models"])
        depends_on = {
            "inputs": self.project.fingerprint(*inputs),
            "market": self.project.known.market,
            "parameters": self.project.parameters_hash(),
            "code": CODE,
        }
        return self.jobs.ask(kind, request, depends_on, asker.name, key)

    def ask(self, kind: str, request: Mapping[str, Any], asker: Asker, key: str | None) -> Response:
        """Answer with the job of a question: 202 when it was added now, 200 when it was there already."""
        job, was_there = self.job_of(kind, request, asker, key)
        response = answer(
            {**describe(job), "answered_from": "store" if was_there else "new"}, 200 if was_there else 202
        )
        response.headers["Location"] = f"/v1/jobs/{job.id}"
        return response


def describe(job: Job) -> dict[str, Any]:
    """Return a job as its routes state it; processes are nothing to the asker."""
    hidden = ("pid", "born", "question", "result")
    shown = {name: value for name, value in vars(job).items() if name not in hidden}
    tables = dict(job.result["tables"]) if job.result else {}
    return {**shown, "tables": tables}


async def served_of(request: Request) -> Served:
    """Return what the application serves."""
    served: Served = request.app.state.served
    return served


TheServed = Annotated[Served, Depends(served_of)]


async def place_of_stream(served: TheServed) -> AsyncIterator[None]:
    """Hold one of the places for readers who follow events, until the answer has ended.

    Raises
    ------
    Refused
        503 when all are taken.
    """
    reader = object()
    try:
        served.streams.acquire_on_behalf_of_nowait(reader)
    except anyio.WouldBlock:
        text = f"{served.rules.max_streams} readers follow events already"
        remedy = "Close some, or raise service.max_streams."
        raise Refused(503, "busy", text, remedy, headers={"Retry-After": "5"}) from None
    try:
        yield
    finally:
        served.streams.release_on_behalf_of(reader)


OneStream = Annotated[None, Depends(place_of_stream)]
IdempotencyKey = Annotated[str | None, Header(alias="Idempotency-Key", min_length=1, max_length=200)]
