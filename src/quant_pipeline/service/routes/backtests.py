"""Routes of backtests, combinations and searches."""

from __future__ import annotations

import pandas as pd
from fastapi import APIRouter, Request, Response

from quant_pipeline.common.listing import first_of
from quant_pipeline.pipelines.ensemble.parameters import EnsembleParameters
from quant_pipeline.service.access import Reader, Researcher
from quant_pipeline.service.answers import ARROW_ANSWER, answer, answer_table, require_cells
from quant_pipeline.service.backtest_answers import backtest
from quant_pipeline.service.factor_answers import span_of
from quant_pipeline.service.problems import Refused
from quant_pipeline.service.questions import BacktestQuestion, Name, SearchQuestion, Span
from quant_pipeline.service.served import IdempotencyKey, TheServed

router = APIRouter(prefix="/v1", tags=["backtests"])


@router.post("/backtest")
async def run_backtest(question: BacktestQuestion, served: TheServed, asker: Researcher) -> Response:
    """Trade scores by the rules of the account; the same question is answered from the store."""
    return await served.compute(
        asker, lambda: answer(backtest(served.project, served.results, question, served.rules.max_cells))
    )


@router.get("/backtest/{id}")
async def stored_backtest(id: str, served: TheServed, asker: Reader) -> Response:
    """Return a backtest that was computed before."""
    document = await served.look(lambda: served.results.document(id))
    if document is None:
        raise Refused(404, "unknown backtest", f"there is no backtest '{id}'", "POST /v1/backtest computes it.", "id")
    return answer({**document, "answered_from": "store"})


@router.get("/results/{hash}", responses=ARROW_ANSWER)
async def result(request: Request, hash: str, served: TheServed, asker: Reader) -> Response:
    """Return a table that a job or a backtest has made, by its hash."""

    def compute() -> Response:
        size = served.results.part(hash, 0, 0)
        if size is not None:
            # Before the table itself is read.
            require_cells(size.height, size.width, served.rules.max_cells)
        table = served.results.table(hash)
        if table is None:
            text = f"there is no table '{hash}', or not any more"
            raise Refused(404, "unknown result", text, "Ask its question again.", "hash")
        return answer_table(request, table, served.project.known)

    return await served.compute(asker, compute)


@router.get("/combinations", responses=ARROW_ANSWER)
async def combinations(request: Request, served: TheServed, asker: Reader) -> Response:
    """Return the enabled combinations: members, how they are weighted, and which one is the default."""

    def compute() -> Response:
        rules = served.project.rules("ensemble", EnsembleParameters)
        rows = [
            (name, ", ".join(combination.models), combination.member_weights, name == rules.default)
            for name, combination in rules.enabled.items()
        ]
        table = pd.DataFrame(rows, columns=["combination", "members", "weights", "is_default"])
        return answer_table(request, table, served.project.known)

    return await served.compute(asker, compute)


@router.get("/combinations/{name}/scores", responses=ARROW_ANSWER)
async def scores(
    request: Request,
    name: Name,
    served: TheServed,
    asker: Reader,
    start: str | None = None,
    end: str | None = None,
) -> Response:
    """Return the fused scores of a combination: of the newest session, or of a span out of sample."""

    def compute() -> Response:
        project = served.project
        span = Span.model_validate({"start": start, "end": end})
        asks_for_past = start is not None or end is not None
        table = project.table("fused_scores" if asks_for_past else "latest_fused_scores")
        names = sorted(table["combination"].unique())
        if name not in names:
            raise Refused(
                404,
                "unknown combination",
                f"there are no scores of a combination '{name}'",
                f"There are {first_of(names, whole='GET /v1/combinations')}.",
                "name",
            )
        found = table[table["combination"] == name]
        if asks_for_past:
            first, last = span_of(project, span)
            found = found[found["datetime"].between(first, last)]
        require_cells(len(found), found.shape[1], served.rules.max_cells)
        return answer_table(request, found.reset_index(drop=True), project.known, combination=name)

    return await served.compute(asker, compute)


@router.post("/search", status_code=202)
async def search(
    question: SearchQuestion,
    served: TheServed,
    asker: Researcher,
    key: IdempotencyKey = None,
) -> Response:
    """Search over combinations of models as the parameters of the account say; a job."""
    return await served.compute(asker, lambda: served.ask("search", {}, asker, key))
