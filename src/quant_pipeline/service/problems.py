"""Errors as answers: ``application/problem+json`` (RFC 9457) with the name, the key and the remedy, and no secret."""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from kedro.io import DatasetError
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from quant_pipeline.common.exceptions import (
    AccountError,
    BusyError,
    ConfigurationError,
    FactorError,
    MarketDataError,
    ModelError,
    NotReadyError,
    QuantPipelineError,
    StaleDataError,
    StorageError,
    StrategyError,
)
from quant_pipeline.service.redaction import without_paths

logger = logging.getLogger(__name__)

DOCUMENT = "GET /v1/openapi.json"
MEDIA_TYPE = "application/problem+json"
STATUSES: Mapping[type[QuantPipelineError], int] = {
    FactorError: 422,
    StrategyError: 422,
    ConfigurationError: 422,
    MarketDataError: 409,
    ModelError: 409,
    NotReadyError: 409,
    StaleDataError: 409,
    AccountError: 409,
    BusyError: 409,
    StorageError: 503,
}
"""What the asker can correct is 422; what the state of the project does not allow now is 409."""
LONGEST = 1_000
"""Characters of a message; a name from outside may be as long as a body."""


class Refused(Exception):
    """A question that is not answered.

    Parameters
    ----------
    status
        Status of HTTP.
    name
        What it is, in two or three words.
    detail
        What is wrong, naming the thing.
    remedy
        What to do instead.
    key
        Which part of the request it is about.
    headers
        Headers of the answer.
    """

    def __init__(
        self,
        status: int,
        name: str,
        detail: str,
        remedy: str,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.name, self.detail, self.remedy, self.key = status, name, detail, remedy, key
        self.headers = dict(headers or {})


def answer_errors(app: FastAPI, project: Path) -> None:
    """Let every error of an application be answered as a problem."""

    def refused(_: Request, error: Any) -> JSONResponse:
        return problem(error)

    def of_project(_: Request, error: Any) -> JSONResponse:
        status = next((number for kind, number in STATUSES.items() if isinstance(error, kind)), 409)
        text = without_paths(error.message, project)
        return problem(Refused(status, in_words(error), text, remedy_of(text)))

    def invalid(_: Request, error: Any) -> JSONResponse:
        return problem(refusal_of(error.errors()))

    def of_http(_: Request, error: Any) -> JSONResponse:
        return problem(
            Refused(
                error.status_code,
                "request",
                str(error.detail),
                "GET /v1/openapi.json lists the routes.",
                headers=error.headers,
            )
        )

    def of_tables(request: Request, error: Any) -> JSONResponse:
        logger.warning("%s: %s", request.url.path, error)
        cause = error.__cause__ or error.__context__
        if isinstance(cause, QuantPipelineError):
            return of_project(request, cause)
        text = "a table that this needs is not there, or cannot be read"
        return problem(Refused(409, "not there", text, "Run the stage that makes it: `kedro run`; the log names it."))

    def of_ledger(request: Request, error: Any) -> JSONResponse:
        logger.error("%s: %s", request.url.path, error)
        text = "the database cannot be read now"
        return problem(Refused(503, "database", text, "Try again; `kedro live --check` says what is wrong with it."))

    def unknown(request: Request, error: Any) -> JSONResponse:
        number = uuid.uuid4().hex[:12]
        logger.error("error %s while answering %s", number, request.url.path, exc_info=error)
        text = f"an error that is not the asker's; the log of the service has it under {number}"
        return problem(Refused(500, "error of the service", text, "Report it with the lines of the log."))

    app.add_exception_handler(Refused, refused)
    app.add_exception_handler(QuantPipelineError, of_project)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(ValidationError, invalid)
    app.add_exception_handler(HTTPException, of_http)
    app.add_exception_handler(DatasetError, of_tables)
    app.add_exception_handler(sa.exc.SQLAlchemyError, of_ledger)
    app.add_exception_handler(Exception, unknown)


def problem(refused: Refused) -> JSONResponse:
    """Return a refusal as an answer."""
    content = {
        "type": f"urn:quant-pipeline:{refused.name.replace(' ', '-')}",
        "title": refused.name,
        "status": refused.status,
        "detail": shortened(refused.detail),
        "remedy": shortened(refused.remedy),
    }
    if refused.key is not None:
        content["key"] = shortened(refused.key)
    return JSONResponse(content, refused.status, refused.headers, MEDIA_TYPE)


def in_words(error: Exception) -> str:
    """Return the name of an error in words: FactorError is ``factor error``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(error).__name__).lower()


def remedy_of(message: str) -> str:
    """Return the last sentence of a message, which says what to do; the whole one when it is a single sentence."""
    parts = [part for part in re.split(r"(?<=[.;])\s+", message.strip()) if part]
    return parts[-1]


def shortened(text: str) -> str:
    """Cut a text that is longer than a message should be."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def refusal_of(faults: Iterable[Any]) -> Refused:
    """Return what is wrong with a request: the first key that is, and all of them in words."""
    found = [(".".join(map(str, fault["loc"])), str(fault["msg"])) for fault in faults]
    detail = "; ".join(f"{key}: {message}" for key, message in found)
    return Refused(422, "invalid request", detail, f"Correct what is named; {DOCUMENT} shows it.", found[0][0])
