"""Who comes to the page, and what a browser is shown instead of an answer for programs when something is refused."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.routing import APIRoute
from pydantic import ValidationError

from quant_pipeline.common.exceptions import QuantPipelineError
from quant_pipeline.service.access import admitted
from quant_pipeline.service.page.assets import addresses
from quant_pipeline.service.page.board import Board
from quant_pipeline.service.page.drawing import draw
from quant_pipeline.service.page.visitors import LOGIN, Visitor, Visitors
from quant_pipeline.service.parameters import Scope
from quant_pipeline.service.problems import STATUSES, Refused, in_words, refusal_of, remedy_of
from quant_pipeline.service.redaction import without_paths
from quant_pipeline.service.served import Served

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


@dataclass(frozen=True)
class Visit:
    """One request for a page: who asks, and what is shown."""

    request: Request
    visitor: Visitor
    visitors: Visitors
    board: Board

    @property
    def served(self) -> Served:
        """What the application serves."""
        return self.board.served

    @property
    def may_read(self) -> bool:
        """Whether all panes may be shown."""
        return self.visitor.may(Scope.READ)


def visit(request: Request) -> Visit:
    """Return who comes.

    Raises
    ------
    Refused
        401 when a token is needed.
    """
    state = request.app.state
    visitor = state.visitors.of(request)
    # Before anything is refused: the audit log names who it was.
    request.state.asker = visitor.asker
    return Visit(request, visitor, state.visitors, state.board)


async def reader(request: Request) -> Visit:
    """Return who comes to look; all that the page shows of the account but its state needs the scope ``read``.

    Raises
    ------
    Refused
        401 when a token is needed, 403 when it does not allow to read.
    """
    visited = visit(request)
    admitted(request, visited.visitor.asker, Scope.READ)
    return visited


async def watcher(request: Request) -> Visit:
    """Return who comes to look at what a halt needs: holders of ``read``, and those of ``halt`` alone.

    Raises
    ------
    Refused
        401 when a token is needed, 403 when it allows neither.
    """
    visited = visit(request)
    if visited.may_read or not visited.visitor.may(Scope.HALT):
        admitted(request, visited.visitor.asker, Scope.READ)
    return visited


TheReader = Annotated[Visit, Depends(reader)]
TheWatcher = Annotated[Visit, Depends(watcher)]


class PageRoute(APIRoute):
    """A route for browsers: who is not known is asked for a token, and what is refused is said on a page."""

    def get_route_handler(self) -> Handler:
        """Return the handler with its refusals as pages."""
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except Refused as refused:
                if refused.status == 401:
                    return RedirectResponse(LOGIN, 303)
                return _page_of(refused)
            except ValidationError as error:
                return _page_of(refusal_of(error.errors()))
            except QuantPipelineError as error:
                status = next((number for kind, number in STATUSES.items() if isinstance(error, kind)), 409)
                text = without_paths(error.message, request.app.state.served.project.place.project_path)
                return _page_of(Refused(status, in_words(error), text, remedy_of(text)))

        return answer


def _page_of(refused: Refused) -> Response:
    return HTMLResponse(draw("refused.html", assets=addresses(), refused=refused), refused.status, refused.headers)
