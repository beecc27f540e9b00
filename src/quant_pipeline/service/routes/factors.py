"""Routes of factors: values for instruments and sessions, shipped sets, evaluation."""

from __future__ import annotations

from typing import Any

import pandas as pd
from fastapi import APIRouter, Request, Response

from quant_pipeline.factors.engine import compile_factors
from quant_pipeline.factors.feature_sets import find_feature_set
from quant_pipeline.service.access import Reader, Researcher
from quant_pipeline.service.answers import ARROW_ANSWER, answer_table
from quant_pipeline.service.factor_answers import calculate
from quant_pipeline.service.questions import EvaluationQuestion, FactorQuestion, Name
from quant_pipeline.service.served import IdempotencyKey, TheServed

router = APIRouter(prefix="/v1", tags=["factors"])


@router.get("/instruments", responses=ARROW_ANSWER)
async def instruments(request: Request, served: TheServed, asker: Reader) -> Response:
    """Return the instruments of the market with their sectors."""
    project = served.project
    return await served.compute(asker, lambda: answer_table(request, project.table("instruments"), project.known))


@router.post("/factors/calculate", responses=ARROW_ANSWER)
async def calculate_factors(request: Request, question: FactorQuestion, served: TheServed, asker: Reader) -> Response:
    """Compute factors from expressions in Qlib's language, or of a set; of the newest session when no span is given."""

    def compute() -> Response:
        panel = calculate(served.project, question, served.rules.max_cells)
        return answer_table(request, panel, served.project.known)

    return await served.compute(asker, compute)


@router.get("/factors/sets/{name}", responses=ARROW_ANSWER)
async def factor_set(request: Request, name: Name, served: TheServed, asker: Reader) -> Response:
    """Return the expressions of a set: alpha158, alpha360, alpha101, or one that the project configures."""

    def compute() -> Response:
        found = find_feature_set(name, served.project.parameters["feature_sets"]).all_expressions()
        table = pd.DataFrame({"factor": list(found), "expression": list(found.values())})
        return answer_table(request, table, served.project.known, set=name)

    return await served.compute(asker, compute)


@router.post("/factors/evaluate", status_code=202)
async def evaluate(
    question: EvaluationQuestion,
    served: TheServed,
    asker: Researcher,
    key: IdempotencyKey = None,
) -> Response:
    """Measure how well factors order the returns that follow; a job."""
    asked = question.model_dump(mode="json", exclude_none=True)

    def meant() -> dict[str, Any]:
        if question.expression is not None:
            compile_factors({"expression": question.expression})
        if question.feature_set is not None:
            find_feature_set(question.feature_set, served.project.parameters["feature_sets"])
        return asked

    return await served.compute(asker, lambda: served.ask("factor_evaluation", asked, asker, key, meant))
