"""Recording of a plan: once per deal session, replaced only openly, never after it has been dealt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import pandas as pd

from quant_pipeline.exceptions import AccountError
from quant_pipeline.trading.account import fold
from quant_pipeline.trading.domain import Event, EventKind, Order, client_order_id, money


def record_plan(
    events: Sequence[Event], orders: pd.DataFrame, decided: pd.Timestamp, deal_session: pd.Timestamp
) -> tuple[Event, ...]:
    """Record the orders of a decision.

    Parameters
    ----------
    events
        Everything the ledger knows.
    orders
        ``instrument``, ``side``, ``quantity``, ``reference_price``, ``reason``; rows that hold are not recorded.
    decided, deal_session
        Session of the decision, and the next one, in which the orders deal.

    Returns
    -------
    tuple of Event
        One event, or none when the very same plan has been recorded before.

    Raises
    ------
    AccountError
        When the session has been dealt by another plan.
    """
    state = fold(events)
    wanted = orders[orders["side"].isin(["sell", "buy"]) & (orders["quantity"] > 0)]
    known = state.plans.get(deal_session)
    if known is not None and _same(wanted, known.orders):
        return ()
    if state.last_session is not None and state.last_session >= deal_session:
        if known is None and wanted.empty:
            return ()
        raise AccountError(
            f"account '{state.name}' has booked {deal_session:%Y-%m-%d} already, by other orders than those decided "
            f"now for {decided:%Y-%m-%d}. The past is not planned again: run with --params "
            f"as_of={state.last_session:%Y-%m-%d}, or start a new account."
        )
    revision = 0 if known is None else known.revision + 1
    planned = [
        Order(
            client_order_id=client_order_id(state.name, deal_session, row.instrument, row.side, revision),
            instrument=row.instrument,
            side=row.side,
            quantity=int(row.quantity),
            reference_price=money(row.reference_price),
            reason=row.reason,
        )
        for row in wanted.itertuples(index=False)
    ]
    payload = {
        "deal_session": f"{deal_session:%Y-%m-%d}",
        "revision": revision,
        "orders": [asdict(order) for order in planned],
    }
    key = f"plan:{deal_session:%Y-%m-%d}:{revision}"
    return (Event(decided, EventKind.PLAN_RECORDED, key, payload),)


def _same(wanted: pd.DataFrame, orders: tuple[Order, ...]) -> bool:
    decided = [
        (row.instrument, row.side, int(row.quantity), money(row.reference_price), row.reason)
        for row in wanted.itertuples(index=False)
    ]
    recorded = [(o.instrument, o.side, o.quantity, o.reference_price, o.reason) for o in orders]
    return decided == recorded
