"""The books of an account, session by session: rows of statements, fills of the simulated exchange, the close."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pandas as pd

from quant_pipeline.common.exceptions import AccountError
from quant_pipeline.common.listing import first_of
from quant_pipeline.exchange.money import (
    payment_units,
    price_after_dividend,
    price_after_split,
    split_terms,
    ticks_to_decimal,
    to_ticks,
)
from quant_pipeline.trading.ledger.account import AccountState, fold
from quant_pipeline.trading.ledger.events import Event, EventKind, money
from quant_pipeline.trading.ledger.late_events import EFFECTIVE, effective, effective_session, matters_when

# Books are read by commands that should not wait for the kernels of a market.
if TYPE_CHECKING:
    from quant_pipeline.exchange.market import TradingMarket

logger = logging.getLogger(__name__)

Execute = Callable[[AccountState, pd.Timestamp], Sequence[Event]]
"""What the exchange does to an account in one session; only the simulated account has its own exchange."""


@dataclass(frozen=True)
class StatementEntry:
    """What one row of a statement books, or that a file was read.

    Attributes
    ----------
    event
        The event; its session is that of the row, or the next one when the row is dated on a day without trading.
    place
        File and row, for messages.
    cash
        Cash by which the statement says that the account changes; None when it does not say.
    replaces
        Keys of fills of which this one is the whole: one that is booked already is corrected by it.
    rows
        Names of the rows it comes from, whatever is made of them.
    """

    event: Event
    place: str
    cash: Decimal | None
    replaces: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()


def book_days(
    events: Sequence[Event],
    account: str,
    initial_cash: float,
    market: TradingMarket,
    entries: Sequence[StatementEntry] = (),
    execute: Execute | None = None,
    lot_method: str = "fifo",
) -> tuple[Event, ...]:
    """Book every session after the last booked one, in order: statements, fills, close.

    Parameters
    ----------
    events
        Everything the ledger knows.
    account, initial_cash
        Name and first deposit of an account that has no events yet.
    market
        Prices up to the as-of session, which is its last.
    entries
        What statements report, in the order of their sessions. What is dated later than the last session waits. What is
        dated in a session that is closed already is booked in the next one that is open: closed sessions stay.
    execute
        What the simulated exchange does; None when the fills come from statements.
    lot_method
        Which lots sales take.

    Returns
    -------
    tuple of Event
        New events in order; none when everything is booked.

    Raises
    ------
    AccountError
        When a statement was edited, a row contradicts the books, or its cash is not what was booked.
    """
    state = fold(events)
    unknown = _unknown(events, entries)
    if execute is not None:
        _refuse_fills(unknown)
    new = _settings(state, account, initial_cash, market.sessions, unknown if execute is None else (), lot_method)
    for event in new:
        state.apply(event)
    is_new = state.last_session is None
    first = new[0].session if is_new else state.last_session
    sessions = market.sessions[market.sessions >= first if is_new else market.sessions > first]
    waiting = _schedule(unknown, sessions)
    problems: list[str] = []
    for session in sessions:
        for entry in waiting.get(session, ()):
            try:
                book_entry(state, entry)
            except AccountError as error:
                problems.append(error.message)
            new.append(entry.event)
        if execute is not None and state.last_session is not None:
            for event in execute(state, session):
                state.apply(event)
                new.append(event)
        close = closing_event(state, market, session)
        state.apply(close)
        new.append(close)
    if problems:
        raise AccountError(first_of(dict.fromkeys(problems), "\n"))
    _warn_of_unpriced(state, market)
    return tuple(new)


def _warn_of_unpriced(state: AccountState, market: TradingMarket) -> None:
    """Name what the market does not price, once and not for every session."""
    places = dict(zip(state.positions, market.instruments.get_indexer(list(state.positions)), strict=True))
    unpriced = sorted(name for name, place in places.items() if place < 0 or market.arrays.mark[-1][place] <= 0)
    if unpriced:
        last, names = f"{market.sessions[-1]:%Y-%m-%d}", first_of(unpriced)
        logger.warning("without a price up to %s, valued at cost, kept and not traded: %s", last, names)


def _settings(
    state: AccountState,
    account: str,
    initial_cash: float,
    sessions: pd.DatetimeIndex,
    entries: Sequence[StatementEntry],
    lot_method: str,
) -> list[Event]:
    """Open a new account, at the first entry when there is one; change the lot method of an old one."""
    if state.last_session is None:
        first = min([entry.event.session for entry in entries] + [sessions[-1]])
        if first < sessions[0]:
            raise AccountError(
                f"{entries[0].place} is dated {first:%Y-%m-%d}, before the first session of the market, "
                f"{sessions[0]:%Y-%m-%d}; ingest bars from there, or begin the statements later"
            )
        facts = {"account": account, "cash": money(initial_cash), "lot_method": lot_method}
        return [Event(first, EventKind.ACCOUNT_OPENED, f"open:{account}", facts)]
    later = sessions[sessions > state.last_session]
    if lot_method == state.lot_method or later.empty:
        return []
    key = f"lots:{later[0]:%Y-%m-%d}:{lot_method}"
    return [Event(later[0], EventKind.LOT_METHOD_CHOSEN, key, {"method": lot_method})]


def book_entry(state: AccountState, entry: StatementEntry) -> None:
    """Book what one row of a statement says.

    Raises
    ------
    AccountError
        When it contradicts the books, or moves another amount of cash than the statement says.
    """
    _refuse_short_sale(state, entry)
    _refuse_split_of_others(state, entry)
    _refuse_another_trade(state, entry)
    before = state.cash
    try:
        state.apply(entry.event)
    except AccountError as error:
        raise AccountError(f"{entry.place}: {error.message}") from error
    booked = state.cash - before
    if entry.cash is not None and booked != entry.cash:
        raise AccountError(
            f"{entry.place}: the statement says that cash changes by {entry.cash}, the books by {booked}"
        )


def is_same_fact(one: Event, other: Event) -> bool:
    """Whether two events with one key say the same; words may be reworded, and records of the broker rewritten."""
    if one.kind in (EventKind.ACTIVITY_QUARANTINED, EventKind.ALERT_RAISED):
        return one.kind is other.kind

    def facts(event: Event) -> dict[str, Any]:
        return {name: value for name, value in event.payload.items() if name not in ("note", EFFECTIVE)}

    return facts(one) == facts(other)


def _refuse_short_sale(state: AccountState, entry: StatementEntry) -> None:
    facts = entry.event.payload
    if entry.event.kind is not EventKind.FILL or facts["side"] != "sell":
        return
    position = state.positions.get(facts["instrument"])
    held = Decimal(0) if position is None else position.quantity
    if Decimal(facts["quantity"]) > held:
        raise AccountError(
            f"{entry.place}: sells {facts['quantity']} {facts['instrument']}, but {held} are held. This is a short "
            "sale, and this account keeps no shorts; or a statement that buys or brings in the shares is missing"
        )


def _refuse_split_of_others(state: AccountState, entry: StatementEntry) -> None:
    """Compare the old shares that a split names with those that are held: one fact is missing when they differ."""
    facts = entry.event.payload
    if entry.event.kind is not EventKind.SPLIT or "quantity_before" not in facts:
        return
    held = state.held_at_open(facts["instrument"], effective_session(entry.event))
    if held != Decimal(facts["quantity_before"]):
        raise AccountError(
            f"{entry.place}: the split is of {facts['quantity_before']} {facts['instrument']}, but {held} are held; a "
            "statement before it is missing"
        )


def _refuse_another_trade(state: AccountState, entry: StatementEntry) -> None:
    """Refuse a correction that turns a trade into one of another instrument or on the other side."""
    facts = entry.event.payload
    if entry.event.kind is not EventKind.TRADE_CORRECTION or "instrument" not in facts:
        return
    fill = next((event.payload for event in state.history if event.key == facts["fill"]), facts)
    was, found = (f"{trade.get('instrument')} {trade.get('side')}" for trade in (fill, facts))
    if was != found:
        raise AccountError(
            f"{entry.place}: turns a trade of {was} into one of {found}; bust it and book the right one instead"
        )


def _standing_for(entry: StatementEntry, known: Mapping[str, Event]) -> StatementEntry:
    """Let the whole of an order correct the part of it that an earlier statement had booked."""
    booked = [key for key in entry.replaces if key in known]
    if not booked:
        return entry
    facts = {"fill": booked[0], **entry.event.payload}
    return replace(entry, event=replace(entry.event, kind=EventKind.TRADE_CORRECTION, payload=facts), cash=None)


def _unknown(events: Sequence[Event], entries: Sequence[StatementEntry]) -> list[StatementEntry]:
    known = {event.key: event for event in events}
    booked = dict(known)
    unknown = []
    for entry in (_standing_for(entry, booked) for entry in entries):
        first = known.setdefault(entry.event.key, entry.event)
        if first is entry.event:
            unknown.append(entry)
        elif not is_same_fact(first, entry.event):
            raise _edited(entry, first)
    return unknown


def _edited(entry: StatementEntry, first: Event) -> AccountError:
    if entry.event.kind == EventKind.STATEMENT_IMPORTED:
        return AccountError(
            f"{entry.place} was imported before with another content (SHA-256 {first.payload['sha256'][:12]}…, now "
            f"{entry.event.payload['sha256'][:12]}…). A statement is never edited: restore it, and put what is new or "
            "corrected into a file of another name."
        )
    return AccountError(
        f"{entry.place}: the ledger knows {entry.event.key} with another content: {first.content}, not "
        f"{entry.event.content}. A fact is never edited; book a correction."
    )


def _refuse_fills(entries: Sequence[StatementEntry]) -> None:
    for entry in entries:
        if entry.event.kind in (EventKind.FILL, EventKind.SPLIT, EventKind.CASH_DIVIDEND):
            raise AccountError(
                f"{entry.place}: a {entry.event.kind} of a statement contradicts the simulated exchange, which "
                "executes the orders of this account itself. Set account.filled_by to statements, or remove the file."
            )


def _schedule(
    entries: Sequence[StatementEntry], sessions: pd.DatetimeIndex
) -> dict[pd.Timestamp, list[StatementEntry]]:
    """Give every entry its session, the first open one at the earliest; what is later than the last waits."""
    scheduled: dict[pd.Timestamp, list[StatementEntry]] = {}
    late = waiting = 0
    for entry in entries:
        index = sessions.searchsorted(entry.event.session)
        if index == len(sessions):
            waiting += 1
            continue
        session = sessions[index]
        late += session != entry.event.session
        event = replace(entry.event, session=session)
        if session != entry.event.session and matters_when(event.kind):
            event = effective(event, entry.event.session)
        scheduled.setdefault(session, []).append(replace(entry, event=event))
    if waiting:
        logger.info("%d rows of statements wait for a session that has not been booked yet", waiting)
    if late:
        logger.warning("%d rows of statements are dated in closed sessions and are booked on %s", late, sessions[0])
    return scheduled


def closing_event(state: AccountState, market: TradingMarket, session: pd.Timestamp) -> Event:
    """Close a session: cash and net asset value at its closes."""
    facts = {"net_asset_value": money(net_asset_value(state, market, session)), "cash": _exactly(state.cash)}
    return Event(session, EventKind.SESSION_CLOSED, f"close:{session:%Y-%m-%d}", facts)


def _exactly(amount: Decimal) -> str:
    text = money(amount)
    return text if Decimal(text) == amount else str(amount)


def net_asset_value(state: AccountState, market: TradingMarket, session: pd.Timestamp) -> Decimal:
    """Value the account at a close; what never had a price counts at its cost."""
    prices = last_prices(state, market, session)
    return state.cash + sum(
        (position.quantity * prices[name] for name, position in state.positions.items()), Decimal(0)
    )


def last_prices(state: AccountState, market: TradingMarket, session: pd.Timestamp) -> dict[str, Decimal]:
    """Return the last known close of every holding; the cost of a share when the market has no price of it."""
    marks = market.arrays.mark[market.sessions.get_loc(session)]
    places = dict(zip(state.positions, market.instruments.get_indexer(list(state.positions)), strict=True))
    closes = {name: int(marks[place]) for name, place in places.items() if place >= 0}
    return priced_at_closes(state, closes)


def priced_at_closes(state: AccountState, closes: Mapping[str, int]) -> dict[str, Decimal]:
    """Return the last known close of every holding, given in ticks; the cost of a share without one."""
    prices = {}
    for instrument, position in state.positions.items():
        if closes.get(instrument, 0) > 0:
            prices[instrument] = ticks_to_decimal(closes[instrument])
        else:
            prices[instrument] = position.cost / position.quantity
    return prices


def last_closes(bars: pd.DataFrame, corporate_actions: pd.DataFrame) -> dict[str, int]:
    """Return the last close of every instrument in ticks, ex the splits and dividends since, as a market carries it.

    Parameters
    ----------
    bars
        As-traded bars, up to the as-of session.
    corporate_actions
        Up to the same session.
    """
    newest = bars[bars["close"].notna()].sort_values("date", kind="stable").groupby("instrument").tail(1)
    closes = dict(zip(newest["instrument"], to_ticks(newest["close"]).tolist(), strict=True))
    actions = corporate_actions.merge(newest[["instrument", "date"]], on="instrument", suffixes=("", "_of_close"))
    since = actions[actions["date"] > actions["date_of_close"]]
    # Of one session, a split comes before a dividend, which is paid on the new shares.
    in_order = since.assign(is_dividend=since["kind"] == "cash_dividend").sort_values(["date", "is_dividend"])
    for action in in_order.itertuples(index=False):
        closes[action.instrument] = _price_after(action.kind, closes[action.instrument], action.value)
    return closes


def _price_after(kind: str, price: int, value: float) -> int:
    match kind:
        case "split":
            return price_after_split(price, *split_terms(value))
        case "cash_dividend":
            return price_after_dividend(price, payment_units(value))
    return price
