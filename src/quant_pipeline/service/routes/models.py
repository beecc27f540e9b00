"""Routes of models: their versions, scores of the newest session, training, promotion, rollback."""

from __future__ import annotations

import pandas as pd
from fastapi import APIRouter, Request, Response

from quant_pipeline.cli.model_versions import COLUMNS, describe_versions
from quant_pipeline.cli.opened_models import registered, store_of
from quant_pipeline.common.listing import first_of
from quant_pipeline.models.inference import InferenceEngine
from quant_pipeline.models.spec import ModelSpec
from quant_pipeline.project.model_registry import load_model_registry
from quant_pipeline.service.access import Asker, Reader, Researcher
from quant_pipeline.service.answers import ARROW_ANSWER, answer_table
from quant_pipeline.service.factor_answers import require_known
from quant_pipeline.service.problems import Refused
from quant_pipeline.service.questions import Name, PredictionQuestion, TrainingQuestion
from quant_pipeline.service.served import IdempotencyKey, Served, TheServed

router = APIRouter(prefix="/v1/models", tags=["models"])


@router.get("", responses=ARROW_ANSWER)
async def models(request: Request, served: TheServed, asker: Reader) -> Response:
    """Return every enabled model: algorithm, features, tags, and the identity of its champion."""

    def compute() -> Response:
        rows = [
            (name, spec.algorithm, spec.features, ", ".join(spec.tags), _champion(served, name))
            for name, spec in load_model_registry().items()
        ]
        table = pd.DataFrame(rows, columns=["model", "algorithm", "features", "tags", "champion"])
        return answer_table(request, table, served.project.known)

    return await served.compute(asker, compute)


@router.get("/{name}/versions", responses=ARROW_ANSWER)
async def versions(request: Request, name: Name, served: TheServed, asker: Reader) -> Response:
    """Return the versions of a model that score, wait or have scored, as `kedro models list` does."""

    def compute() -> Response:
        registry = {name: _spec(name)}
        rows = describe_versions(served.project.project, registry)
        return answer_table(request, pd.DataFrame(rows, columns=list(COLUMNS)), served.project.known)

    return await served.compute(asker, compute)


@router.post("/{name}/predict", responses=ARROW_ANSWER)
async def predict(
    request: Request,
    name: Name,
    question: PredictionQuestion,
    served: TheServed,
    asker: Reader,
) -> Response:
    """Score the newest session with the champion: the scores that the daily run writes."""

    def compute() -> Response:
        _spec(name)
        project = served.project
        store = store_of(project.project, name)
        engine = project.kept(
            f"inference of {name}", (), lambda: InferenceEngine(store), question=store.aliases.champion
        )
        table = project.kept(
            f"newest scores of {name}",
            ("adjusted_bars", "sessions"),
            lambda: engine.score(project.table("adjusted_bars"), project.calendar).score.rename("score").reset_index(),
            question=engine.bundle.identity,
        )
        if question.instruments is not None:
            require_known(project, question.instruments)
            table = table[table["instrument"].isin(question.instruments)]
        return answer_table(request, table, project.known, model=name, bundle=engine.bundle.identity)

    return await served.compute(asker, compute)


@router.post("/train", status_code=202)
async def train(
    question: TrainingQuestion,
    served: TheServed,
    asker: Researcher,
    key: IdempotencyKey = None,
) -> Response:
    """Train models, all enabled ones when none is named; a job. What has not changed is kept."""
    asked = {"models": sorted(question.models)}

    def meant() -> dict[str, list[str]]:
        for name in question.models:
            _spec(name)
        return {"models": asked["models"] or sorted(load_model_registry())}

    return await served.compute(asker, lambda: served.ask("training", asked, asker, key, meant))


@router.post("/{name}/promote", status_code=202)
async def promote(name: Name, served: TheServed, asker: Researcher, key: IdempotencyKey = None) -> Response:
    """Let the candidate score new sessions, if it beats the champion out of sample; a job."""
    return await served.compute(asker, lambda: _change(served, "promotion", name, asker, key))


@router.post("/{name}/rollback", status_code=202)
async def rollback(name: Name, served: TheServed, asker: Researcher, key: IdempotencyKey = None) -> Response:
    """Let the champion before the present one score new sessions again; a job."""
    return await served.compute(asker, lambda: _change(served, "rollback", name, asker, key))


def _change(served: Served, kind: str, name: str, asker: Asker, key: str | None) -> Response:
    asked = {"model": name}

    def meant() -> dict[str, str]:
        _spec(name)
        account = served.project.account
        if account.has_broker and not account.is_simulated and account.gateway.adapter.money.value == "real":
            raise Refused(
                403,
                "real money",
                "what trades real money is not changed over HTTP",
                f"Type `kedro models {'promote' if kind == 'promotion' else 'rollback'} {name}` at the terminal.",
            )
        return asked

    return served.ask(kind, asked, asker, key, meant)


def _champion(served: Served, name: str) -> str | None:
    return store_of(served.project.project, name).aliases.champion


def _spec(name: str) -> ModelSpec:
    """Return an enabled model, or refuse its name."""
    registry = load_model_registry()
    if name not in registry:
        names = first_of(registry, whole="GET /v1/models")
        raise Refused(404, "unknown model", f"there is no enabled model '{name}'", f"There are {names}.", "name")
    return registered(name)
