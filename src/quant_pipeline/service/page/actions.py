"""What the page does: it halts the account, and asks for jobs; nothing laxer."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from quant_pipeline.service.page.compose import fragment, page
from quant_pipeline.service.page.drawing import draw
from quant_pipeline.service.page.entrance import PageRoute, visit
from quant_pipeline.service.page.visitors import LOGIN, fields_of
from quant_pipeline.service.parameters import Scope
from quant_pipeline.service.problems import Refused
from quant_pipeline.service.routes.account import halt_account
from quant_pipeline.service.served import TheServed

router = APIRouter(route_class=PageRoute, include_in_schema=False)
REASON = "halted on the page"


@router.post("/page/halt")
async def halt(request: Request, served: TheServed) -> Response:
    """Halt the account as ``POST /v1/account/halt`` does; any number of browsers may do so at once."""
    visited = visit(request)
    await visited.visitors.form_of(request, visited.visitor)
    visited.visitor.require(Scope.HALT)
    request.state.asker = visited.visitor.asker
    done = await halt_account(served, visited.visitor.asker, REASON)
    outcome = draw("halted.html", done=done)
    if request.headers.get("x-part") == "outcome":
        return fragment(outcome)
    return await page(visited, "desk", outcome)


@router.get(LOGIN)
async def ask_for_token(request: Request) -> Response:
    """Ask for a token."""
    return fragment(draw("login.html", assets=_assets(), wrong=""), 200)


@router.post(LOGIN)
async def login(request: Request) -> Response:
    """Begin a session of the holder of a token; the token itself is not kept."""
    visitors = request.app.state.visitors
    try:
        visitor = visitors.login((await fields_of(request)).get("token", ""))
    except Refused as refused:
        text = f"{refused.detail}: that is none of the tokens of this service"
        return fragment(draw("login.html", assets=_assets(), wrong=text), 401)
    request.state.asker = visitor.asker
    answer = RedirectResponse("/", 303)
    visitors.remember(answer, visitor, request.url.scheme == "https")
    return answer


def _assets() -> dict[str, str]:
    from quant_pipeline.service.page.assets import addresses

    return addresses()
