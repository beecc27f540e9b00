"""What the page does: it halts the account, and asks for jobs; nothing laxer."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from quant_pipeline.service.access import Asker, admitted
from quant_pipeline.service.halting import halt_account
from quant_pipeline.service.page.assets import addresses
from quant_pipeline.service.page.compose import fragment, page
from quant_pipeline.service.page.drawing import draw
from quant_pipeline.service.page.entrance import PageRoute, visit
from quant_pipeline.service.page.visitors import LOGIN, LOGOUT, fields_of, is_secure
from quant_pipeline.service.parameters import Scope
from quant_pipeline.service.problems import Refused
from quant_pipeline.service.questions import EvaluationQuestion, Name, Sizes, TrainingQuestion
from quant_pipeline.service.routes import factors, jobs, models
from quant_pipeline.service.served import TheServed
from quant_pipeline.strategy.rules import StrategyRules

router = APIRouter(route_class=PageRoute, include_in_schema=False)
REASON = "halted on the page"


@router.post("/page/halt")
async def halt(request: Request, served: TheServed) -> Response:
    """Halt the account as ``POST /v1/account/halt`` does; any number of browsers may do so at once."""
    visited = visit(request)
    await visited.visitors.form_of(request, visited.visitor)
    asker = admitted(request, visited.visitor.asker, Scope.HALT)
    done = await halt_account(served, asker, REASON)
    outcome = draw("halted.html", done=done)
    if request.headers.get("x-part") == "outcome":
        return fragment(outcome)
    return await page(visited, "desk", outcome)


@router.post("/page/jobs/training")
async def train(request: Request, served: TheServed) -> Response:
    """Train a model, or all enabled ones."""
    fields, asker = await _researcher(request)
    chosen = [fields["model"]] if fields.get("model") else []
    return _follow(await models.train(TrainingQuestion.model_validate({"models": chosen}), served, asker, None))


@router.post("/page/jobs/factor_evaluation")
async def evaluate(request: Request, served: TheServed) -> Response:
    """Measure how well a factor orders the returns that follow."""
    fields, asker = await _researcher(request)
    asked = {key: fields[key] for key in ("expression", "feature_set") if fields.get(key)}
    return _follow(await factors.evaluate(EvaluationQuestion.model_validate(asked), served, asker, None))


@router.post("/page/jobs/backtest")
async def backtest(request: Request, served: TheServed) -> Response:
    """Run the backtest of the account with another number of instruments."""
    fields, asker = await _researcher(request)

    sizes = Sizes.model_validate({key: fields.get(key, "") for key in Sizes.model_fields}).changes()

    def ask() -> Response:
        rules = served.project.rules("strategy", StrategyRules).model_dump()
        wanted = StrategyRules.model_validate({**rules, **sizes})
        # What changes parameters has a folder of its own, so the account's own backtest stays.
        changes = {"strategy": {key: getattr(wanted, key) for key in sizes}}
        return served.ask("backtest", {"changes": changes}, asker, None)

    return _follow(await served.compute(asker, ask))


@router.post("/page/jobs/{id}/cancel")
async def cancel(request: Request, id: Name, served: TheServed) -> Response:
    """Cancel a job."""
    _, asker = await _researcher(request)
    await jobs.cancel(id, served, asker)
    return RedirectResponse(f"/page/jobs/{id}", 303)


async def _researcher(request: Request) -> tuple[dict[str, str], Asker]:
    """Return the fields of a form, and who has posted it; jobs need the scope ``research``."""
    visited = visit(request)
    fields = await visited.visitors.form_of(request, visited.visitor)
    return fields, admitted(request, visited.visitor.asker, Scope.RESEARCH)


def _follow(asked: Response) -> Response:
    """Lead to the page of the job that was asked for."""
    return RedirectResponse(f"/page/jobs/{asked.headers['location'].rpartition('/')[2]}", 303)


@router.get(LOGIN)
async def ask_for_token(request: Request) -> Response:
    """Ask for a token."""
    return fragment(draw("login.html", assets=addresses(), wrong=""), 200)


@router.post(LOGIN)
async def login(request: Request) -> Response:
    """Begin a session of the holder of a token; the token itself is not kept."""
    visitors = request.app.state.visitors
    try:
        visitor = visitors.login((await fields_of(request)).get("token", ""))
    except Refused as refused:
        text = f"{refused.detail}: that is none of the tokens of this service"
        return fragment(draw("login.html", assets=addresses(), wrong=text), 401)
    request.state.asker, request.state.acts = visitor.asker, True
    answer = RedirectResponse("/", 303)
    visitors.remember(answer, visitor, is_secure(request))
    return answer


@router.post(LOGOUT)
async def logout(request: Request) -> Response:
    """End the session of this browser; where there are no tokens there is none to end."""
    visited = visit(request)
    await visited.visitors.form_of(request, visited.visitor)
    answer = RedirectResponse(LOGIN, 303)
    if visited.visitors.may_logout:
        request.state.acts = True
        visited.visitors.logout(answer, visited.visitor)
    return answer
