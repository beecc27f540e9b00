"""Now: what the account may do, what comes next, how old everything is, and whether the books equal the broker's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from quant_pipeline.common.listing import first_of
from quant_pipeline.live.board import STOPPED
from quant_pipeline.live.market_data.files import WATCH_FILE, best_scores
from quant_pipeline.reports import wording
from quant_pipeline.reports.elements import Html, paragraph
from quant_pipeline.service.account_tables import account_picture
from quant_pipeline.service.faults import FAULTS, in_short
from quant_pipeline.service.lease import holder_of
from quant_pipeline.service.page.drawing import Fact, facts, instant, pane, span
from quant_pipeline.service.page.freshness import books, sessions_behind
from quant_pipeline.service.page.looking import Look
from quant_pipeline.trading.ledger.events import Event, EventKind

BEST = 5
"""Instruments that are named with the highest live scores."""


def now(look: Look) -> Html:
    """Draw the state of the account, of its process, of its data and of its books; one that is not known says why."""
    picture = account_picture(look.account)
    items = [
        *_value(look, picture["net_asset_value"]),
        Fact("Cash", f"{wording.amount(picture['cash'])} {look.currency}", look.newest_event),
        *_tried(look, "Live process", _process),
        *_tried(look, "Market data", _market),
        *_tried(look, "Books and broker", _books),
        *_tried(look, "Lease to send", _lease),
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


def _tried(look: Look, name: str, make: Callable[[Look], list[Fact]]) -> list[Fact]:
    """Return facts; those that cannot be known now are said to be so, and keep no others from being shown."""
    try:
        return make(look)
    except FAULTS as error:
        at = instant(pd.Timestamp.now("UTC").floor("min"))
        return [Fact(name, "not known", f"{in_short(error, look.served.project.place.project_path)}, at {at}", "bad")]


def _value(look: Look, value: float | None) -> list[Fact]:
    """Return the net asset value, with how far its close is behind."""
    try:
        stale = books(look)
    except FAULTS:
        # The fact of the market data says why it is not known.
        stale = None
    as_of = look.close_in_words if stale is None else f"{look.close_in_words}; {stale.why}"
    return [Fact("Net asset value", f"{wording.amount(value)} {look.currency}", as_of, "bad" if stale else "")]


def _process(look: Look) -> list[Fact]:
    status = look.status
    state, upcoming = status.get("state", STOPPED), status.get("next")
    at = instant(status.get("now")) if status.get("now") else "it has not run yet"
    running = status.get("running")
    words = f"{state}, running {running}" if running else state
    silent = status.get("silent_seconds")
    if silent is not None:
        found = [Fact("Live process", f"silent, was {words}", f"no sign of it for {span(silent)}", "bad")]
    else:
        found = [Fact("Live process", words, at, "caution" if state == STOPPED else "")]
    found += watched(
        status.get("market"), look.live.folder, look.currency, is_over=state == STOPPED or silent is not None
    )
    if upcoming is None:
        return [*found, Fact("Next due", "nothing is known yet", at)]
    due = pd.Timestamp(upcoming["due"])
    clock = pd.Timestamp(status["now"]) if status.get("now") and state != STOPPED else pd.Timestamp.now("UTC")
    left = (due - clock).total_seconds()
    when = f"in {span(left)}" if left >= 0 else f"{span(left)} ago"
    late = state == STOPPED and left < 0
    return [*found, Fact("Next due", upcoming["task"], f"{instant(due)}, {when}", "bad" if late else "")]


def watched(market: Mapping[str, Any] | None, folder: Path, currency: str, is_over: bool = False) -> list[Fact]:
    """Say what the account is worth while its market is watched, and which live scores are the highest.

    Parameters
    ----------
    market
        What the live process says of it; None while it watches none.
    folder
        Folder of the live process.
    currency
        Of the amounts.
    is_over
        Whether the process has ended since, so that nothing of it is of now.
    """
    if not market:
        return []
    at, halted = instant(market["at"]), first_of(market["halted"], whole=WATCH_FILE)
    since = f"stale since {at}" if is_over else at
    text = f"{market['change']:+.2%} since the close, {since}{f'; halted: {halted}' if halted else ''}"
    style = "bad" if market["alarms"] or is_over else ""
    found = [
        Fact("Value at last trades", f"{wording.amount(float(market['net_asset_value']))} {currency}", text, style)
    ]
    if (best := best_scores(folder, market["session"], BEST)) is not None:
        text = f"the highest, as if the session had closed at {instant(best.at)}"
        found += [Fact(f"Live scores of {model}", ", ".join(names), text) for model, names in best.models.items()]
    return found


def _market(look: Look) -> list[Fact]:
    newest, live = look.served.project.calendar[-1], look.live
    if live.is_simulated or live.is_rehearsed:
        return [Fact("Market data", f"up to {newest:%Y-%m-%d}", "by the clock of the rehearsed exchange")]
    return [age_of_market(newest, look.account.calendar, pd.Timestamp.now("UTC"))]


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
    behind, closed = sessions_behind(newest, calendar_name, clock)
    if not behind:
        return Fact("Market data", f"up to {newest:%Y-%m-%d}", "the newest session that has closed", "good")
    text = f"{wording.plural(behind, 'session')} behind; {closed:%Y-%m-%d} has closed"
    return Fact("Market data", f"stale since {newest:%Y-%m-%d}", text, "bad")


def _books(look: Look) -> list[Fact]:
    """Say whether books and broker were equal when they were compared last."""
    name, account = "Books and broker", look.account
    if not account.has_broker:
        return [Fact(name, "there is no broker", "the ledger is the account")]
    breaks = [event for event in account.events if event.kind is EventKind.BREAK_FOUND]
    compared = look.status["last"].get("reconciliation")
    when = f"compared {instant(compared['at'])}" if compared else look.close_in_words
    if breaks and (look.closed is None or breaks[-1].session >= look.closed):
        facts_of = breaks[-1].payload
        text = f"{facts_of['what']}: {facts_of['ledger']} here, {facts_of['broker']} there"
        return [Fact(name, "not equal", f"{text}, {breaks[-1].session:%Y-%m-%d}", "bad")]
    if look.closed is None:
        return [Fact(name, "not compared yet", when, "caution")]
    return [Fact(name, "equal", when, "good")]


def _lease(look: Look) -> list[Fact]:
    clock = pd.Timestamp.now("UTC")
    found = holder_of(look.account, clock)
    if found is None:
        return [Fact("Lease to send", "free", f"at {instant(clock.floor('min'))}")]
    host, process, _ = found.holder.split("/")
    until = pd.Timestamp(found.expires_at, unit="s", tz="UTC")
    return [Fact("Lease to send", f"process {process} of {host}", f"until {instant(until)}, unless prolonged")]


def _alerts(look: Look) -> list[Event]:
    """Return the alerts since the last close."""
    return [
        event
        for event in look.account.events
        if event.kind is EventKind.ALERT_RAISED and (look.closed is None or event.session >= look.closed)
    ][-5:]
