"""The account as tables: computed from its ledger at the moment of the question, never kept."""

from __future__ import annotations

from typing import Any

import pandas as pd

from quant_pipeline.cli.opened_account import Opened, known_prices, rows_of
from quant_pipeline.trading.activities.quarantine import open_rows
from quant_pipeline.trading.ledger.account import Plan
from quant_pipeline.trading.ledger.tables import holdings_table, net_asset_value_table, trades_table
from quant_pipeline.trading.orders.courses import OrderCourses
from quant_pipeline.trading.orders.remarks import account_remarks

ORDER_COLUMNS = [
    "instrument",
    "side",
    "quantity",
    "reference_price",
    "state",
    "filled",
    "average_price",
    "message",
    "reason",
    "client_order_id",
    "session",
]
VERDICT_COLUMNS = ["instrument", "side", "quantity", "verdict", "message", "client_order_id", "session"]
QUARANTINE_COLUMNS = ["row", "session", "sort", "code", "problem", "instrument", "shares", "cash"]


def account_picture(account: Opened) -> dict[str, Any]:
    """Return the state of an account.

    Returns
    -------
    dict
        ``account``, ``environment``, ``trading_state``, ``why``, ``remarks``, ``armed`` (sessions), ``cash``,
        ``net_asset_value`` and ``session`` of the newest close, ``quarantine`` (rows), ``stop_file`` (whether it is
        there), ``money`` (simulated, paper or real; None where statements are imported).
    """
    state, book = account.state, account.book
    newest = [event.session for event in account.events]
    remarks = account_remarks(account.events, max(newest), account.account.filled_by).lines if newest else ()
    closes = state.closes
    return {
        "account": account.name,
        "environment": account.environment,
        "filled_by": account.account.filled_by,
        "money": str(account.gateway.adapter.money.value) if account.has_broker else None,
        "trading_state": str(book.trading_state),
        "why": book.state_code or None,
        "remarks": list(remarks),
        "armed": [f"{session:%Y-%m-%d}" for session in sorted(book.armed)],
        "cash": float(state.cash),
        "net_asset_value": float(closes[-1][1]) if closes else None,
        "session": f"{closes[-1][0]:%Y-%m-%d}" if closes else None,
        "quarantine": len(open_rows(state)),
        "stop_file": account.stop_file.exists(),
    }


def positions_table(account: Opened) -> pd.DataFrame:
    """Return the positions at their last known closes, the largest first; what has no close counts at its cost.

    ``has_close`` says which it is, ``close_of`` of which session the close is: it may be an older one than the books'.
    """
    state = account.state
    known = known_prices(account)
    prices = {name: float(known.get(name, held.cost / held.quantity)) for name, held in state.positions.items()}
    table = holdings_table(state, pd.Series(prices, dtype="float64"))
    days = table["instrument"].map(_days_of_closes(account)).astype("datetime64[ns]")
    return table.assign(has_close=days.notna(), close_of=days)


def _days_of_closes(account: Opened) -> dict[str, pd.Timestamp]:
    """Return the session of the last close of every position that has one, as the books know it."""
    state, catalog = account.state, account.catalog
    if state.last_session is None or not state.positions or not catalog.exists("bars"):
        return {}
    bars = rows_of(catalog, "bars", sorted(state.positions))
    known = bars[(bars["date"] <= state.last_session) & bars["close"].notna()]
    found: dict[str, pd.Timestamp] = known.groupby("instrument")["date"].max().to_dict()
    return found


def order_table(account: Opened) -> pd.DataFrame:
    """Return the orders of the newest plan and what became of each."""
    plan = _newest_plan(account)
    if plan is None:
        return pd.DataFrame(columns=ORDER_COLUMNS)
    courses = OrderCourses.of(account.book, account.events)
    rows = []
    for order in plan.orders:
        course = courses.course(order, plan.execution_session)
        rows.append(
            (
                order.instrument,
                order.side,
                float(order.quantity),
                float(order.reference_price),
                course.state,
                course.filled,
                None if course.price is None else float(course.price),
                course.message,
                course.reason,
                order.client_order_id,
                plan.execution_session,
            )
        )
    return pd.DataFrame(rows, columns=ORDER_COLUMNS)


def verdict_table(account: Opened) -> pd.DataFrame:
    """Return what the limits have said of the orders of the newest plan that were judged."""
    plan = _newest_plan(account)
    judged = () if plan is None else account.book.of_session(plan.execution_session)
    rows = [
        (
            tracked.order.instrument,
            tracked.order.side,
            float(tracked.quantity),
            "denied" if str(tracked.state) == "denied" else "approved",
            tracked.message if str(tracked.state) == "denied" else "",
            tracked.order.client_order_id,
            tracked.session,
        )
        for tracked in judged
    ]
    return pd.DataFrame(rows, columns=VERDICT_COLUMNS)


def nav_table(account: Opened) -> pd.DataFrame:
    """Return ``date``, ``nav`` and ``cash`` of every close."""
    return net_asset_value_table(account.state)


def trade_table(account: Opened) -> pd.DataFrame:
    """Return every order that was executed or ended, in the order of the ledger."""
    return trades_table(account.events)


def quarantine_table(account: Opened) -> pd.DataFrame:
    """Return the rows that wait for the operator's answer."""
    rows = [
        (
            row.activity_id,
            row.session,
            row.sort,
            row.code,
            row.problem,
            row.instrument,
            None if row.shares is None else float(row.shares),
            None if row.cash is None else float(row.cash),
        )
        for row in open_rows(account.state)
    ]
    return pd.DataFrame(rows, columns=QUARANTINE_COLUMNS)


def _newest_plan(account: Opened) -> Plan | None:
    plans = account.state.plans
    return plans[max(plans)] if plans else None
