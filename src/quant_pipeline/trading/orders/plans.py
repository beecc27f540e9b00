"""Recording of a plan: once per execution session, replaced only openly, never after it has been executed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

import pandas as pd

from quant_pipeline.common.exceptions import AccountError
from quant_pipeline.market.clock import DealPrice
from quant_pipeline.trading.ledger.account import AccountState, Plan, fold
from quant_pipeline.trading.ledger.events import Event, EventKind, Order, client_order_id, money
from quant_pipeline.trading.orders.account_orders import AccountOrders
from quant_pipeline.trading.orders.states import OrderState


def record_plan(
    events: Sequence[Event],
    orders: pd.DataFrame,
    decided: pd.Timestamp,
    execution_session: pd.Timestamp,
    provenance: Mapping[str, str] | None = None,
    deal_price: DealPrice | None = None,
    replaces_sent: bool = False,
) -> tuple[Event, ...]:
    """Record the orders of a decision.

    Parameters
    ----------
    events
        Everything the ledger knows.
    orders
        ``instrument``, ``side``, ``quantity``, ``reference_price``, ``reason``; rows that hold are not recorded.
    decided, execution_session
        Session of the decision, and the next one, in which the orders execute.
    provenance
        What the decision was made from, in words and fingerprints.
    deal_price
        Price of the session at which the orders are to execute, whatever is configured by then; None for any.

    replaces_sent
        Whether the plan may replace one of which orders have left: only the sale of everything may.

    Returns
    -------
    tuple of Event
        One event, or none when the very same plan has been recorded before. The same orders made from something else
        are recorded as the next revision, as long as none of them was judged.

    Raises
    ------
    AccountError
        When the session has been executed by another plan, or an order of it has left.
    """
    state = fold(events)
    wanted = orders[orders["side"].isin(["sell", "buy"]) & (orders["quantity"] > 0)]
    known = state.plans.get(execution_session)
    is_same = known is not None and known.deal_price in (deal_price, None) and _same(wanted, known.orders)
    is_again = replaces_sent and known is not None and _has_failed(events, known)
    if is_same and not is_again:
        is_sent = bool(_sent(events, execution_session))
        if is_sent or not _has_new_origin(events, state, execution_session, provenance):
            return ()
    if state.last_session is not None and state.last_session >= execution_session:
        if known is None and wanted.empty:
            return ()
        raise AccountError(
            f"account '{state.name}' has booked {execution_session:%Y-%m-%d} already, by other orders than those "
            f"decided now for {decided:%Y-%m-%d}. The past is not planned again: run with --params "
            f"as_of={state.last_session:%Y-%m-%d}, or start a new account."
        )
    if known is not None and not replaces_sent:
        _refuse_sent(events, execution_session)
    revision = 0 if known is None else known.revision + 1
    planned = [
        Order("", row.instrument, row.side, _shares(row.quantity), money(row.reference_price), row.reason)
        for row in wanted.itertuples(index=False)
    ]
    plan = Plan(execution_session, revision, tuple(planned), deal_price)
    return (_plan_event(state.name, decided, plan, provenance or {}),)


def _has_failed(events: Sequence[Event], plan: Plan) -> bool:
    """Return whether an order of a plan has ended without being executed."""
    book = AccountOrders.of(events)
    found = [book.orders[o.client_order_id] for o in plan.orders if o.client_order_id in book.orders]
    return any(order.state.is_final and order.state is not OrderState.FILLED for order in found)


def _sent(events: Sequence[Event], execution_session: pd.Timestamp) -> list[str]:
    """Return the names of the orders of a session that the broker may have seen."""
    orders = AccountOrders.of(events).of_session(execution_session)
    return [order.order.client_order_id for order in orders if order.submitted_at or order.broker_order_id]


def _refuse_sent(events: Sequence[Event], execution_session: pd.Timestamp) -> None:
    """Refuse to plan a session of which an order has left: it would be executed twice."""
    sent = _sent(events, execution_session)
    if sent:
        raise AccountError(
            f"{sent[0]} of {execution_session:%Y-%m-%d} has left already ({len(sent)} orders in all); the session "
            "cannot be planned again with other orders. `kedro account replan` repeats what was denied, `kedro account "
            "flatten` sells everything."
        )


def _has_new_origin(
    events: Sequence[Event], state: AccountState, execution_session: pd.Timestamp, provenance: Mapping[str, str] | None
) -> bool:
    """Whether a known plan was made from something else than stated now, and nothing has been decided on it yet."""
    known = state.plans[execution_session]
    if provenance is None or not known.orders:
        return False
    if state.last_session is not None and state.last_session >= execution_session:
        return False
    book = AccountOrders.of(events)
    is_judged = any(order.client_order_id in book.orders for order in known.orders)
    return not is_judged and provenance != _provenance(events, execution_session, known.revision)


def _provenance(events: Sequence[Event], execution_session: pd.Timestamp, revision: int) -> Mapping[str, str]:
    (recorded,) = (event for event in events if event.key == _plan_key(execution_session, revision))
    found: Mapping[str, str] = recorded.payload.get("provenance", {})
    return found


def repeat_plan(events: Sequence[Event], execution_session: pd.Timestamp) -> Event:
    """Plan the denied orders of a session again, word for word but under new names: they get new verdicts.

    Parameters
    ----------
    events
        Everything the ledger knows.
    execution_session
        Session of the plan.

    Returns
    -------
    Event
        The next revision of the plan.

    Raises
    ------
    AccountError
        When the session has no plan or no verdicts yet, when nothing of it was denied, or when an order is under way.
    """
    state, book = fold(events), AccountOrders.of(events)
    known = state.plans.get(execution_session)
    if known is None or not known.orders:
        raise AccountError(f"account '{state.name}' has planned no order for {execution_session:%Y-%m-%d}")
    judged = [book.orders[o.client_order_id] for o in known.orders if o.client_order_id in book.orders]
    if not judged:
        raise AccountError(f"the plan of {execution_session:%Y-%m-%d} has no verdicts yet; execution will ask for them")
    waiting = [o.order.client_order_id for o in judged if o.state in (OrderState.INTENDED, OrderState.SUBMITTING)]
    if waiting:
        raise AccountError(
            f"{waiting[0]} is about to be sent ({len(waiting)} orders in all); run execution to its end before the "
            "denied orders are repeated"
        )
    denied = tuple(o.order for o in judged if o.state is OrderState.DENIED)
    if not denied:
        raise AccountError(f"no order of {execution_session:%Y-%m-%d} was denied; there is nothing to repeat")
    known = replace(known, orders=denied)
    (recorded,) = (event for event in events if event.key == _plan_key(execution_session, known.revision))
    provenance = _provenance(events, execution_session, known.revision)
    return _plan_event(state.name, recorded.session, replace(known, revision=known.revision + 1), provenance)


def _plan_key(execution_session: pd.Timestamp, revision: int) -> str:
    return f"plan:{execution_session:%Y-%m-%d}:{revision}"


def _plan_event(account: str, decided: pd.Timestamp, plan: Plan, provenance: Mapping[str, str]) -> Event:
    """Record orders under the names that this revision of the plan gives them."""
    session, revision = plan.execution_session, plan.revision
    named = [
        replace(o, client_order_id=client_order_id(account, session, o.instrument, o.side, revision))
        for o in plan.orders
    ]
    payload = {
        "deal_session": f"{session:%Y-%m-%d}",
        "revision": revision,
        "orders": [order.facts for order in named],
        "provenance": dict(provenance),
        "deal_price": plan.deal_price,
    }
    return Event(decided, EventKind.PLAN_RECORDED, _plan_key(session, revision), payload)


def _shares(quantity: int | Decimal) -> int | Decimal:
    """Return whole shares; only the sale of everything names fractions, as decimals."""
    return quantity if isinstance(quantity, Decimal) and quantity % 1 else int(quantity)


def _same(wanted: pd.DataFrame, orders: tuple[Order, ...]) -> bool:
    decided = [
        (row.instrument, row.side, _shares(row.quantity), money(row.reference_price), row.reason)
        for row in wanted.itertuples(index=False)
    ]
    recorded = [(o.instrument, o.side, o.quantity, o.reference_price, o.reason) for o in orders]
    return decided == recorded
