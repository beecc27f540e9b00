"""Now: what the account may do, what comes next, how old everything is, and whether the books equal the broker's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from quant_pipeline.live.board import STOPPED
from quant_pipeline.live.market_data.files import best_scores
from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.reports import wording
from quant_pipeline.reports.elements import Html, paragraph
from quant_pipeline.service.account_tables import account_picture
from quant_pipeline.service.lease import holder_of
from quant_pipeline.service.page.drawing import Fact, facts, instant, pane, span
from quant_pipeline.service.page.looking import Look
from quant_pipeline.trading.ledger.events import Event, EventKind

BACK = pd.Timedelta(days=15)
BEST = 5
"""Instruments that are named with the highest live scores."""


def now(look: Look) -> Html:
    """Draw the state of the account, of its process, of its data and of its books."""
    account = look.account
    picture = account_picture(account)
    value = picture["net_asset_value"]
    items = [
        Fact("Net asset value", f"{wording.amount(value)} {look.currency}", look.close_in_words),
        Fact("Cash", f"{wording.amount(picture['cash'])} {look.currency}", look.newest_event),
        *_process(look),
        *watched(look.status.get("market"), look.live.folder, look.currency),
        _market(look),
        _books(look),
        _lease(look),
        Fact(
            "Quarantine",
            wording.plural(picture["quarantine"], "activity", "activities"),
            look.newest_event,
            "caution" if picture["quarantine"] else "",
        ),
    ]
    if _is_real(look):
        items.append(Fact("Armed for", ", ".join(picture["armed"]) or "no session", look.newest_event))
    remarks = [paragraph(line, style="callout") for line in picture["remarks"]]
    said = [f"{event.session:%Y-%m-%d}: {event.payload['message']}" for event in _alerts(look)]
    alerts = [paragraph(line, style="callout") for line in said]
    return pane("now", "Now", look.newest_event, facts(items), *remarks, *alerts)


def _is_real(look: Look) -> bool:
    account = look.account
    return account.has_broker and str(account.gateway.adapter.money.value) == "real"


def _process(look: Look) -> list[Fact]:
    status = look.status
    state, upcoming = status.get("state", STOPPED), status.get("next")
    at = instant(status.get("now")) if status.get("now") else "it has not lived yet"
    running = status.get("running")
    words = f"{state}, running {running}" if running else state
    found = [Fact("Live process", words, at, "caution" if state == STOPPED else "")]
    if upcoming is None:
        return [*found, Fact("Next due", "nothing is known yet", at)]
    due = pd.Timestamp(upcoming["due"])
    clock = pd.Timestamp(status["now"]) if status.get("now") and state != STOPPED else pd.Timestamp.now("UTC")
    left = (due - clock).total_seconds()
    when = f"in {span(left)}" if left >= 0 else f"{span(left)} ago"
    late = state == STOPPED and left < 0
    return [*found, Fact("Next due", upcoming["task"], f"{instant(due)}, {when}", "bad" if late else "")]


def watched(market: Mapping[str, Any] | None, folder: Path, currency: str) -> list[Fact]:
    """Say what the account is worth while its market is watched, and which live scores are the highest."""
    if not market:
        return []
    at, halted = instant(market["at"]), ", ".join(market["halted"])
    text = f"{market['change']:+.2%} since the close, {at}{f'; halted: {halted}' if halted else ''}"
    style = "bad" if market["alarms"] else ""
    found = [
        Fact("Value at last trades", f"{wording.amount(float(market['net_asset_value']))} {currency}", text, style)
    ]
    for model, names in best_scores(folder, market["session"], BEST).items():
        found.append(Fact(f"Live scores of {model}", ", ".join(names), "the highest, as if the session closed now"))
    return found


def _market(look: Look) -> Fact:
    newest, live = look.served.project.calendar[-1], look.live
    if live.is_simulated or live.is_rehearsed:
        return Fact("Market data", f"up to {newest:%Y-%m-%d}", "by the time of an invented exchange")
    return age_of_market(newest, look.account.calendar, pd.Timestamp.now("UTC"))


def age_of_market(newest: pd.Timestamp, calendar_name: str, clock: pd.Timestamp) -> Fact:
    """Say up to when market data are, and how many sessions have closed since.

    Parameters
    ----------
    newest
        Session of the newest bars.
    calendar_name
        Of the exchange.
    clock
        Now.
    """
    calendar = TradingCalendar.of(calendar_name, newest - BACK, clock.tz_localize(None))
    closed = calendar.latest_closed(clock)
    behind = int(((calendar.sessions > newest) & (calendar.sessions <= closed)).sum())
    if not behind:
        return Fact("Market data", f"up to {newest:%Y-%m-%d}", "the newest session that has closed", "good")
    text = f"{wording.plural(behind, 'session')} behind; {closed:%Y-%m-%d} has closed"
    return Fact("Market data", f"stale since {newest:%Y-%m-%d}", text, "bad")


def _books(look: Look) -> Fact:
    """Say whether books and broker were equal when they were compared last."""
    account = look.account
    if not account.has_broker:
        return Fact("Books and broker", "there is no broker", "the ledger is the account")
    breaks = [event for event in account.events if event.kind is EventKind.BREAK_FOUND]
    compared = look.status["last"].get("reconciliation")
    when = f"compared {instant(compared['at'])}" if compared else look.close_in_words
    if breaks and (look.closed is None or breaks[-1].session >= look.closed):
        facts_of = breaks[-1].payload
        text = f"{facts_of['what']}: {facts_of['ledger']} here, {facts_of['broker']} there"
        return Fact("Books and broker", "not equal", f"{text}, {breaks[-1].session:%Y-%m-%d}", "bad")
    if look.closed is None:
        return Fact("Books and broker", "not compared yet", when, "caution")
    return Fact("Books and broker", "equal", when, "good")


def _lease(look: Look) -> Fact:
    clock = pd.Timestamp.now("UTC")
    found = holder_of(look.account, clock)
    if found is None:
        return Fact("Lease to send", "free", f"at {instant(clock.floor('min'))}")
    host, process, _ = found.holder.split("/")
    until = pd.Timestamp(found.expires_at, unit="s", tz="UTC")
    return Fact("Lease to send", f"process {process} of {host}", f"until {instant(until)}, unless prolonged")


def _alerts(look: Look) -> list[Event]:
    """Return the alerts since the last close."""
    return [
        event
        for event in look.account.events
        if event.kind is EventKind.ALERT_RAISED and (look.closed is None or event.session >= look.closed)
    ][-5:]
