"""Compose: pages made of panes, one of them for what the operator needs first."""

from __future__ import annotations

from typing import Final, NamedTuple

import pandas as pd
from fastapi import Response
from fastapi.responses import HTMLResponse

from quant_pipeline.reports.elements import Html
from quant_pipeline.service.answers import CODE
from quant_pipeline.service.page import freshness
from quant_pipeline.service.page.assets import addresses
from quant_pipeline.service.page.board import PaneKind
from quant_pipeline.service.page.drawing import draw, instant, markup
from quant_pipeline.service.page.entrance import Visit
from quant_pipeline.service.page.forms import FORM_TOKEN
from quant_pipeline.service.page.panes.accounts import accounts
from quant_pipeline.service.page.panes.jobs import jobs
from quant_pipeline.service.page.panes.log import log
from quant_pipeline.service.page.panes.models import models
from quant_pipeline.service.page.panes.now import now
from quant_pipeline.service.page.panes.orders import today
from quant_pipeline.service.page.panes.positions import positions
from quant_pipeline.service.page.panes.research import research
from quant_pipeline.service.page.panes.strip import strip, word
from quant_pipeline.service.page.panes.value import value
from quant_pipeline.service.page.visitors import is_secure
from quant_pipeline.service.parameters import Scope

PANES: Final = {
    "strip": PaneKind("State", strip, 5.0),
    "word": PaneKind("State", word, 5.0),
    "now": PaneKind("Now", now, 5.0),
    "today": PaneKind("Today", today, staleness=freshness.plan),
    "positions": PaneKind("Positions", positions, staleness=freshness.books),
    "value": PaneKind("Net asset value", value, staleness=freshness.books),
    "models": PaneKind("Models", models, staleness=freshness.market),
    "research": PaneKind("Research", research, staleness=freshness.market),
    "jobs": PaneKind("Jobs", jobs, 2.0),
    "log": PaneKind("Log", log, 2.0),
    "accounts": PaneKind("All accounts", accounts),
}


class PageKind(NamedTuple):
    """One page: address, heading, panes."""

    address: str
    heading: str
    panes: tuple[str, ...]


PAGES: Final = {
    "desk": PageKind("/", "The account", ("now", "today", "positions", "value")),
    "models": PageKind("/page/models", "Models", ("models",)),
    "research": PageKind("/page/research", "Research", ("research",)),
    "jobs": PageKind("/page/jobs", "Jobs", ("jobs",)),
    "log": PageKind("/page/log", "Log", ("log",)),
    "accounts": PageKind("/page/accounts", "All accounts", ("accounts",)),
}
FOR_HALTERS: Final = PageKind("/", "Halt the account", ())
"""Page of those who may halt and not read: under the state, the button, and what it has done."""
OF_HALTERS: Final = ("word",)
"""Panes that those may see."""
LINKS: Final = (
    ("/#now", "Now"),
    ("/#today", "Today"),
    ("/#positions", "Positions"),
    ("/#value", "Net asset value"),
    *((kind.address, kind.heading) for name, kind in PAGES.items() if name != "desk"),
)
PATIENCE: Final = 3.0
"""Seconds that a page waits for its panes; later ones come as events."""


def with_token(html: str, form_token: str) -> Html:
    """Put the token of a visitor into the forms of a pane, which are drawn once for all visitors."""
    return markup(html.replace(FORM_TOKEN, form_token))


async def page(visit: Visit, name: str, outcome: Html | None = None, panes: dict[str, Html] | None = None) -> Response:
    """Answer with a page.

    Parameters
    ----------
    visit
        Who asks.
    name
        Which page.
    outcome
        What has just been done.
    panes
        Panes of this request alone, instead of those that everyone is shown.
    """
    visitor = visit.visitor
    kind, state = (PAGES[name], "strip") if visit.may_read else (FOR_HALTERS, "word")
    shown = () if panes is not None else kind.panes
    drawn = await visit.board.panes((state, *shown), PATIENCE)
    parts = list((panes or {pane: drawn[pane] for pane in shown}).items())
    above = visit.board.title
    html = draw(
        "page.html",
        title=f"{kind.heading}, {above.account}",
        heading=kind.heading,
        account=above.account,
        money=above.money,
        environment=above.environment,
        code=CODE,
        state=state,
        strip=drawn[state],
        parts=[(pane, with_token(part, visitor.form_token)) for pane, part in parts],
        outcome=outcome or Html(""),
        links=[(address, label, address == kind.address) for address, label in LINKS],
        at=instant(pd.Timestamp.now("UTC").floor("s")),
        live=f"/page/events?panes={','.join((state, *shown))}",
        may_read=visit.may_read,
        may_logout=visit.visitors.may_logout,
        may_halt=visitor.may(Scope.HALT),
        form_token=visitor.form_token,
        assets=addresses(),
    )
    answer = HTMLResponse(html)
    if visitor.is_new:
        visit.visitors.remember(answer, visitor, is_secure(visit.request))
    return answer


def fragment(html: Html, status: int = 200) -> Response:
    """Answer with a part of a page, or with one that has no panes."""
    return HTMLResponse(html, status)
