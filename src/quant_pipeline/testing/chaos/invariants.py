"""Nine sentences that must be true after every rehearsal, whatever was killed and whatever failed."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from pathlib import Path

from quant_pipeline.common.exceptions import AccountError
from quant_pipeline.testing.chaos.broker import FaultyBroker
from quant_pipeline.testing.chaos.faults import Fault
from quant_pipeline.testing.chaos.rehearsal import ACCOUNT, LATER_ORDERS, LIMITS, ORDERS, PRICES, SESSION
from quant_pipeline.trading.activities.quarantine import effects_of, open_rows
from quant_pipeline.trading.ledger.account import AccountState, fold
from quant_pipeline.trading.ledger.events import EventKind
from quant_pipeline.trading.ledger.store import Ledger
from quant_pipeline.trading.orders.account_orders import AccountOrders
from quant_pipeline.trading.orders.risk_view import TradingState
from quant_pipeline.trading.orders.states import OrderState

HARMLESS = frozenset(Fault) - {
    Fault.REJECTS,
    Fault.CANCELS_REST,
    Fault.MISSING_ACTIVITY,
    Fault.LATE_FILL,
    Fault.BUST,
    Fault.OUTSIDE_TRADE,
    Fault.SPLIT,
    Fault.RENAMING,
    Fault.UNBOOKABLE,
    Fault.CLOSED,
    Fault.SUPERSEDED,
}
"""Faults under which every approved order is filled and the account stays active all the same."""


def find_violations(ledger_file: Path, broker: FaultyBroker) -> list[str]:
    """Check a finished rehearsal.

    Returns
    -------
    list of str
        One line per violation, beginning with the name of the invariant.
    """
    ledger = Ledger.at(ledger_file)
    try:
        ledger.verify()
        events = ledger.events()
        book, account = AccountOrders.of(events), fold(events)
    except AccountError as error:
        return [f"I3 the ledger cannot be replayed: {error.message}"]
    violations = _orders_exactly_once(book, broker)
    violations += [f"I4 {o.order.client_order_id} is still {o.state}" for o in book.live.values()]
    if account.last_session != SESSION:
        violations.append("I4 the session was never closed")
    cash, shares = effects_of(account)
    if account.cash + cash != broker.cash:
        violations.append(f"I2 cash is {account.cash} in the books and {broker.cash} at the broker")
    for name in sorted({*broker.held, *account.positions}):
        ours = account.positions[name].quantity if name in account.positions else Decimal(0)
        ours += shares.get(name, Decimal(0))
        theirs = broker.held.get(name, Decimal(0))
        if ours != theirs:
            violations.append(f"I2 {name} is {ours} in the books and {theirs} at the broker")
    violations += _nothing_above_a_limit(broker)
    violations += [f"I7 {name} was sent while the exchange was closed" for name in broker.sent_while_closed]
    violations += _quarantine_and_state(book, account, broker)
    violations += _nothing_of_a_superseded_plan(broker)
    for event in events:
        if event.kind in (EventKind.ORDER_RECORDED, EventKind.ORDER_DENIED) and f"order:{ACCOUNT}" in event.key:
            provenance = event.payload.get("provenance", {})
            if not {"scores", "data"} <= set(provenance):
                violations.append(f"I6 {event.key} does not say what it was decided from")
    return violations


def _orders_exactly_once(book: AccountOrders, broker: FaultyBroker) -> list[str]:
    violations = []
    at_broker = {o.client_order_id: o for o in broker.all_orders() if not o.client_order_id.startswith("hand-")}
    for client_id in at_broker:
        if client_id not in book.orders:
            violations.append(f"I1 the broker has {client_id}, which was never recorded")
    for (instrument, side), count in Counter((o.instrument, o.side) for o in at_broker.values()).items():
        if count > 1:
            violations.append(f"I1 {instrument} was ordered {count} times on the {side} side")
    for client_id, tracked in book.orders.items():
        known = at_broker.get(client_id)
        if known is not None and tracked.state in (OrderState.DENIED, OrderState.REJECTED):
            violations.append(f"I1 {client_id} is {tracked.state} here and {known.status} at the broker")
        if known is not None and known.filled_quantity != tracked.filled:
            violations.append(f"I1 {client_id} executed {known.filled_quantity}, the books have {tracked.filled}")
    if broker.faults <= HARMLESS:
        if book.trading_state is not TradingState.ACTIVE:
            violations.append(f"I1 a harmless fault left the account {book.trading_state}")
        for instrument, side, _ in ORDERS:
            if instrument == "BIG":
                continue
            matching = [o for o in book.orders.values() if (o.order.instrument, o.order.side) == (instrument, side)]
            if [o.state for o in matching] != [OrderState.FILLED]:
                violations.append(f"I1 {instrument} was not executed: {[str(o.state) for o in matching]}")
    return violations


def _quarantine_and_state(book: AccountOrders, account: AccountState, broker: FaultyBroker) -> list[str]:
    """Only what cannot be booked stays in quarantine, and it lets only exits pass."""
    expected = {"GIFT"} if broker.held.get("GIFT") else set()
    found = {row.instrument for row in open_rows(account)}
    violations = [] if found == expected else [f"I8 in quarantine are {sorted(found)}, not {sorted(expected)}"]
    if expected and book.trading_state is TradingState.ACTIVE:
        violations.append("I8 the account is active although a row is in quarantine")
    return violations


def _nothing_of_a_superseded_plan(broker: FaultyBroker) -> list[str]:
    if not broker.is_planned_again():
        return []
    sent = [(o.instrument, o.side, int(o.filled_quantity)) for o in broker.all_orders()]
    return [] if sent == [*LATER_ORDERS] else [f"I9 {sent} were executed, the later plan has {[*LATER_ORDERS]}"]


def _nothing_above_a_limit(broker: FaultyBroker) -> list[str]:
    violations = []
    equity = Decimal(12_000)
    for request in broker.received:
        weight = LIMITS.max_order_weight if request.side == "buy" else LIMITS.max_exit_weight
        if request.quantity * PRICES[request.instrument] > Decimal(str(weight)) * equity:
            violations.append(f"I5 {request.side} {request.quantity} {request.instrument} stands above its limit")
    return violations
