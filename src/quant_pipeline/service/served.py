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
from quant_pipeline.service.jobs.table import Job, JobKey
from quant_pipeline.service.parameters import ServiceParameters
from quant_pipeline.service.problems import Refused
from quant_pipeline.service.results import ResultStore
from quant_pipeline.service.served_project import ServedProject
from quant_pipeline.service.shares import Shares, Turns

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
    questions
        Places for questions that are computed; each holder of a token has the same share of them.
    streams
        Places for readers who follow events; each holder of a token has the same share of them.
    looks
        Places for looks at the account, the table of jobs and stored documents, and for cancelling: they take little,
        and wait for no question that is computed.
    """

    project: ServedProject
    rules: ServiceParameters
    jobs: JobRunner
    results: ResultStore
    questions: Turns
    streams: Shares
    looks: Turns = field(default_factory=lambda: Turns(LOOKS))

    async def compute(self, asker: Asker, question: Callable[[], Answer]) -> Answer:
        """Compute an answer in a thread; other questions, and `/health`, go on.

        Parameters
        ----------
        asker
            Who asks; questions above the share of one holder wait for its own, and keep no other holder waiting.
        question
            Computes the answer.

        Raises
        ------
        Refused
            503 when too many are computed already, 422 when it takes too long. A thread cannot be ended: it goes on,
            and keeps its place, until it is done.
        """
        return await self._within(self.questions, asker.name, question)

    async def look(self, question: Callable[[], Answer]) -> Answer:
        """Look something up in a thread, as `compute` does, apart from the questions that are computed."""
        return await self._within(self.looks, "", question)

    async def _within(self, places: Turns, holder: str, question: Callable[[], Answer]) -> Answer:
        seconds, asker = self.rules.max_seconds, object()
        with anyio.move_on_after(seconds) as waited:
            await places.take(holder, asker)
        if waited.cancelled_caught:
            text = f"{places.places} questions are being computed, or {places.share} of '{holder}'"
            raise Refused(503, "busy", text, "Ask again later.", headers={"Retry-After": "5"})

        begun = threading.Lock()

        def compute_and_leave() -> Answer:
            if not begun.acquire(blocking=False):
                raise Refused(503, "busy", "the asker has gone", "Ask again.")
            try:
                return question()
            finally:
                anyio.from_thread.run_sync(places.give_back, holder, asker)

        try:
            with anyio.move_on_after(seconds):
                return await anyio.to_thread.run_sync(compute_and_leave, abandon_on_cancel=True)
        finally:
            # An asker who leaves before the thread has begun leaves the place, too.
            if begun.acquire(blocking=False):
                places.give_back(holder, asker)
        raise Refused(
            422,
            "takes too long",
            f"the answer was not there after {seconds:g} seconds",
            "Ask for less at once, post it as a job, or raise service.max_seconds.",
        )

    async def compute_without_limit(self, question: Callable[[], Answer]) -> Answer:
        """Compute an answer that must not wait for others: to halt an account."""
        return await anyio.to_thread.run_sync(question, limiter=anyio.CapacityLimiter(1))

    def job_of(
        self,
        kind: str,
        asked: Mapping[str, Any],
        asker: Asker,
        key: str | None = None,
        meant: Callable[[], Mapping[str, Any]] | None = None,
    ) -> tuple[Job, bool]:
        """Return the job of a question, and whether it was there already.

        Parameters
        ----------
        kind, asked
            What is asked, as it was sent.
        asker, key
            Who asks, and the ``Idempotency-Key``.
        meant
            Checks the question, and returns what it means for the project as it is now; None: it means what it says. A
            repetition with a known key is not looked at again: models may have been taken away since.
        """
        named = None if key is None else JobKey.of(asker.name, key, kind, asked)
        if (found := self.jobs.of_key(named)) is not None:
            return found, True
        request = asked if meant is None else meant()
        inputs = inputs_of(kind, self.project.parameters["models"])
        depends_on = {
            "inputs": self.project.fingerprint(*inputs),
            "market": self.project.known.market,
            "parameters": self.project.parameters_hash(),
            "code": CODE,
        }
        return self.jobs.ask(kind, request, depends_on, asker.name, named)

    def ask(
        self,
        kind: str,
        asked: Mapping[str, Any],
        asker: Asker,
        key: str | None,
        meant: Callable[[], Mapping[str, Any]] | None = None,
    ) -> Response:
        """Answer with the job of a question, see `job_of`: 202 when it was added now, 200 when it was there already."""
        job, was_there = self.job_of(kind, asked, asker, key, meant)
        response = answer(
            {**describe(job), "answered_from": "store" if was_there else "new"}, 200 if was_there else 202
        )
        response.headers["Location"] = f"/v1/jobs/{job.id}"
        return response


def describe(job: Job) -> dict[str, Any]:
    """Return a job as its routes state it; processes are nothing to the asker."""
    hidden = ("host", "pid", "born", "question", "asked", "result")
    shown = {name: value for name, value in vars(job).items() if name not in hidden}
    tables = dict(job.result["tables"]) if job.result else {}
    return {**shown, "tables": tables}


async def served_of(request: Request) -> Served:
    """Return what the application serves."""
    served: Served = request.app.state.served
    return served


TheServed = Annotated[Served, Depends(served_of)]


async def place_of_stream(request: Request, served: TheServed) -> AsyncIterator[None]:
    """Hold one of the places for readers who follow events, until the answer has ended.

    Who asks is known by then: routes name their reader first.

    Raises
    ------
    Refused
        503 when all are taken, or all that one holder of a token may have.
    """
    holder, holders = request.state.asker.name, len(request.app.state.access.tokens)
    if not served.streams.take(holder, holders):
        text = f"'{holder}' follows events {served.streams.share(holders)} times already, or all places are taken"
        remedy = "Close some, or raise service.max_streams."
        raise Refused(503, "busy", text, remedy, headers={"Retry-After": "5"})
    try:
        yield
    finally:
        served.streams.give_back(holder)


OneStream = Annotated[None, Depends(place_of_stream)]
IdempotencyKey = Annotated[str | None, Header(alias="Idempotency-Key", min_length=1, max_length=200)]
