"""Reconciliation: the books against the broker, to the share and to the cent."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

import pandas as pd

from quant_pipeline.trading.activities.booked import alert
from quant_pipeline.trading.activities.quarantine import effects_of, open_rows
from quant_pipeline.trading.activities.records import EXTERNAL
from quant_pipeline.trading.broker_records import Activity, BrokerPosition
from quant_pipeline.trading.ledger.events import Event, EventKind
from quant_pipeline.trading.orders.collection import collect
from quant_pipeline.trading.orders.desk import TradingDesk
from quant_pipeline.trading.orders.risk_view import TradingState

CENT = Decimal("0.01")


class Break(NamedTuple):
    """A difference between the books and the broker; ``what`` is ``cash`` or an instrument."""

    what: str
    ledger: Decimal
    broker: Decimal


def open_books(desk: TradingDesk) -> None:
    """Begin the ledger of an account that is traded on at a broker: its cash and shares as found there.

    Earlier activities are not read again: the cursor starts after them.
    """
    if desk.journal.account.name:
        return
    account = desk.check_account()
    positions = desk.ask(desk.broker.positions)
    past: tuple[Activity, ...] = desk.ask(lambda: tuple(desk.broker.activities()))
    session = desk.calendar.previous(desk.session)
    opened = {"account": desk.account, "cash": str(account.cash)}
    events = [Event(session, EventKind.ACCOUNT_OPENED, f"open:{desk.account}", opened)]
    for position in positions:
        events += _brought(position, session)
    if past:
        last = past[-1].activity_id
        facts = {"activity_id": last, "opening": True}
        events.append(Event(session, EventKind.CURSOR_MOVED, f"cursor:{last}", facts))
    desk.journal.append(events)


def _brought(position: BrokerPosition, session: pd.Timestamp) -> list[Event]:
    """Take over what the account holds; what these books keep no lots of is carried as foreign."""
    name, key = position.instrument, f"opening:{position.instrument}"
    facts = {"instrument": name, "quantity": str(position.quantity)}
    if not position.is_foreign:
        cost = position.quantity * position.average_entry_price
        return [Event(session, EventKind.TRANSFER, key, {**facts, "cost": str(cost)})]
    words = f"{position.quantity} {name} is held at the broker; it is carried, counted in exposure and never traded"
    moved = Event(session, EventKind.FOREIGN_MOVED, key, {**facts, "amount": "0"})
    return [moved, alert(session, key, "FOREIGN_POSITION", words)]


def find_breaks(desk: TradingDesk) -> tuple[Break, ...]:
    """Compare cash and every position with the broker, as both stand now.

    What rows in quarantine explain is no difference: the operator answers those by themselves.
    """
    account = desk.check_account()
    held = {position.instrument: position.quantity for position in desk.ask(desk.broker.positions)}
    books = desk.journal.account
    cash, shares = effects_of(books)
    booked = {instrument: position.quantity for instrument, position in books.positions.items()}
    for moved in (books.foreign, shares):
        for instrument, quantity in moved.items():
            booked[instrument] = booked.get(instrument, Decimal(0)) + quantity
    breaks = []
    if abs(books.cash + cash - account.cash) >= CENT:
        breaks.append(Break("cash", books.cash + cash, account.cash))
    for instrument in sorted({*held, *booked}):
        ours, theirs = booked.get(instrument, Decimal(0)), held.get(instrument, Decimal(0))
        if ours != theirs:
            breaks.append(Break(instrument, ours, theirs))
    return tuple(breaks)


def reconcile(desk: TradingDesk) -> tuple[Break, ...]:
    """Collect until the books equal the broker; what stays different lets only exits through.

    Returns
    -------
    tuple of Break
        What is still different after the grace.
    """
    breaks: tuple[Break, ...] = ()
    for attempt in range(desk.rules.missing_fill_polls + 1):
        collect(desk, late=True)
        breaks = find_breaks(desk)
        if not breaks:
            break
        if attempt < desk.rules.missing_fill_polls:
            desk.sleep(desk.rules.poll_seconds)
    for found in breaks:
        key = f"break:{desk.session:%Y-%m-%d}:{found.what}:{found.ledger}:{found.broker}"
        facts = {"what": found.what, "ledger": str(found.ledger), "broker": str(found.broker)}
        desk.journal.append([Event(desk.session, EventKind.BREAK_FOUND, key, facts)])
    if breaks:
        found = breaks[0]
        message = f"{found.what} is {found.ledger} in the books and {found.broker} at the broker"
        desk.tighten(TradingState.REDUCING, "BREAK", message)
    if rows := open_rows(desk.journal.account):
        words = f"{rows[0].sort} {rows[0].activity_id} is in quarantine: {rows[0].problem}"
        desk.tighten(TradingState.REDUCING, "QUARANTINE", words)
    _watch_external_trades(desk)
    return breaks


def _watch_external_trades(desk: TradingDesk) -> None:
    """Let only exits through while trades outside of the plans are worth more than the limit."""
    outside = sum(
        (
            Decimal(event.payload["quantity"]) * Decimal(event.payload["price"])
            for event in desk.journal.account.history
            if event.kind is EventKind.FILL
            and event.session == desk.session
            and event.payload.get("client_order_id", "").startswith(f"{EXTERNAL}:")
        ),
        Decimal(0),
    )
    most = Decimal(str(desk.limits.max_external_position_weight)) * desk.check_account().equity
    if outside > most:
        message = f"trades outside of the plans are worth {outside:.2f}, more than {most:.2f}"
        desk.tighten(TradingState.REDUCING, "EXTERNAL_FILLS", message)
