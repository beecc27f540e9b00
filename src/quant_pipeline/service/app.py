"""The application: routes under `/v1`, errors as problems, and who is let in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from quant_pipeline.service.access import Access
from quant_pipeline.service.answers import CODE
from quant_pipeline.service.audit_file import audit_to
from quant_pipeline.service.gate import Gate
from quant_pipeline.service.page.routes import add_page
from quant_pipeline.service.problems import answer_errors
from quant_pipeline.service.routes import account, backtests, factors, health, jobs, models
from quant_pipeline.service.served import Served

ABOUT = """Factors, models, backtests, the account and jobs of one environment.

Tables are JSON, or Arrow IPC with `Accept: application/vnd.apache.arrow.stream`. Every table states the hash of its
content, the session of the newest bar that entered, and the version of the code. Errors are `application/problem+json`
with `detail` and `remedy`.
"""


def build_app(served: Served, access: Access) -> FastAPI:
    """Build the application.

    Parameters
    ----------
    served
        What its routes answer from.
    access
        Who is let in.
    """

    @asynccontextmanager
    async def living(app: FastAPI) -> AsyncIterator[None]:
        with audit_to(served.project.folder):
            served.jobs.start()
            yield
            served.jobs.stop()

    app = FastAPI(
        title="quant-pipeline",
        version=CODE,
        description=ABOUT,
        lifespan=living,
        openapi_url="/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    app.state.served = served
    app.state.access = access
    app.add_middleware(Gate, access=access)
    answer_errors(app, served.project.place.project_path)
    for part in (health, factors, models, backtests, account, jobs):
        app.include_router(part.router)
    add_page(app, served, access)
    return app
