"""The ``service`` block: where the service listens, and what one question may cost."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from pydantic import ConfigDict, Field, PositiveFloat, PositiveInt, SecretStr

from quant_pipeline.common.parameters import Parameters

CREDENTIALS: Final = "service"
"""Entry of ``credentials.yml`` that holds the tokens, by the name of their holder."""


class Scope(StrEnum):
    """What a token allows.

    Nothing that sends orders, arms an account or resumes trading is offered over HTTP at all.
    """

    READ = "read"
    RESEARCH = "research"
    HALT = "halt"


class Token(Parameters):
    """One entry under ``service:`` in ``credentials.yml``.

    Attributes
    ----------
    token
        The secret that a program sends as ``Authorization: Bearer …``; at least 20 characters.
    scopes
        What it allows; reading alone when not stated.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    token: SecretStr = Field(min_length=20)
    scopes: frozenset[Scope] = frozenset({Scope.READ})


class ServiceParameters(Parameters):
    """Where the service listens, and what one question may cost.

    Attributes
    ----------
    host, port
        Address. Any other than one of this machine needs tokens and ``kedro service --public``.
    hosts
        Further names by which programs may address the service (the ``Host`` header), such as that of a proxy.
    max_cells
        Most values (rows times columns) that one answer may have.
    max_seconds
        How long one question may take; longer work belongs into a job.
    max_body_megabytes, max_depth
        Largest request, and how deep its JSON may nest.
    max_questions
        How many questions are computed at the same time; more wait, and then are refused with status 503. Each holder
        of a token has the same share of them.
    max_streams
        How many readers follow events at the same time: jobs, and open pages of the operator. Each holder of a token
        has the same share of them.
    max_jobs
        How many jobs run at the same time. Jobs that write into one market wait for each other anyway.
    max_waiting_jobs
        How many jobs may wait.
    max_ended_jobs
        How many jobs that have ended are remembered, with what they printed; the oldest go first.
    job_gigabytes
        Memory (address space) of one job; None does not limit it.
    job_hours
        After how long a job is ended.
    job_cores
        How many cores a job computes on; None: all but one, which is left to the answers of the service.
    job_threads
        Threads that a job computes with; None: one per core.
    job_printed_megabytes
        How much of what one job prints is kept; of more, the beginning and the last lines are.
    max_stored_megabytes
        Space for results of jobs and backtests; the oldest go first.
    """

    host: str = "127.0.0.1"
    port: int = Field(default=8600, ge=0, le=65535)
    hosts: tuple[str, ...] = ()
    max_cells: PositiveInt = 5_000_000
    max_seconds: PositiveFloat = 30.0
    max_body_megabytes: PositiveFloat = 64.0
    max_depth: PositiveInt = 16
    max_questions: PositiveInt = 4
    max_streams: PositiveInt = 64
    max_jobs: PositiveInt = 1
    max_waiting_jobs: PositiveInt = 100
    max_ended_jobs: PositiveInt = 1000
    job_gigabytes: PositiveFloat | None = None
    job_hours: PositiveFloat = 12.0
    job_cores: PositiveInt | None = None
    job_threads: PositiveInt | None = None
    job_printed_megabytes: PositiveFloat = 64.0
    max_stored_megabytes: PositiveFloat = 2000.0
