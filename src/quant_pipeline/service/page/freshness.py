"""Whether what a pane shows is still of now: the market, the books and the plan, each against the exchange's calendar.

An account at the simulated or a rehearsed exchange lives by a time of its own, in which nothing gets stale by waiting.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import pandas as pd

from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.reports import wording
from quant_pipeline.service.page.looking import Look

BACK: Final = pd.Timedelta(days=15)
GRACE: Final = pd.Timedelta(hours=6)
"""How long after a close what belongs to it may be missing: bars come, and books are closed, in the hours after it."""


class Stale(NamedTuple):
    """Since when something is not of now any more, and why."""

    since: str
    why: str


def sessions_behind(newest: pd.Timestamp, calendar_name: str, clock: pd.Timestamp) -> tuple[int, pd.Timestamp]:
    """Return how many sessions have closed since one, and the last of them.

    Parameters
    ----------
    newest
        A session.
    calendar_name
        Of the exchange.
    clock
        Now.
    """
    calendar = TradingCalendar.of(calendar_name, newest - BACK, clock.tz_localize(None))
    closed = calendar.latest_closed(clock)
    return int(((calendar.sessions > newest) & (calendar.sessions <= closed)).sum()), closed


def market(look: Look) -> Stale | None:
    """Say since when the market data are behind the exchange; None when they are not."""
    if not look.served.project.has("sessions"):
        return None
    return _behind(look, look.served.project.calendar[-1], "market data end there")


def books(look: Look) -> Stale | None:
    """Say since when the books are behind the exchange, or what they are priced by."""
    if look.closed is None:
        return None
    return _behind(look, look.closed, "no later close is booked") or market(look)


def plan(look: Look) -> Stale | None:
    """Say since when the newest plan is one of the past."""
    plans = look.account.state.plans
    if not plans:
        return None
    return _behind(look, plans[max(plans)].execution_session, "there is no newer plan")


def _behind(look: Look, newest: pd.Timestamp, why: str) -> Stale | None:
    if look.live.is_simulated or look.live.is_rehearsed:
        return None
    behind, closed = sessions_behind(newest, look.account.calendar, pd.Timestamp.now("UTC") - GRACE)
    if not behind:
        return None
    text = f"{why}, and {wording.plural(behind, 'session')} closed since, the last one {closed:%Y-%m-%d}"
    return Stale(f"the close of {newest:%Y-%m-%d}", text)
