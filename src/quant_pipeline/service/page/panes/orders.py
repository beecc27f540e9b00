"""Today: every order of the newest plan from its decision to its fills, why, and what trading has cost so far."""

from __future__ import annotations

from typing import Any

import pandas as pd

from quant_pipeline.reports import wording
from quant_pipeline.reports.elements import Column, Html, paragraph, table
from quant_pipeline.service.account_tables import order_table
from quant_pipeline.service.page.drawing import Fact, facts, instant, pane, state
from quant_pipeline.service.page.looking import Look
from quant_pipeline.trading.orders.account_orders import TrackedOrder
from quant_pipeline.trading.orders.courses import explained
from quant_pipeline.trading.orders.states import OrderState


def today(look: Look) -> Html:
    """Draw the orders of the newest plan."""
    orders = order_table(look.account)
    if orders.empty:
        return pane("today", "Today", look.newest_event, paragraph("No orders are planned.", style="empty"))
    session = orders["session"].iloc[0]
    shown = with_course(look, orders)
    filled = shown[shown["filled"] > 0]
    counts = shown["state"].value_counts()
    summary = ", ".join(f"{number} {word.replace('_', ' ')}" for word, number in counts.items())
    cost, value = filled["slippage"].sum(skipna=False), (filled["filled"] * filled["reference_price"]).sum()
    measured = f"{wording.plural(len(filled), 'order')} with fills, against the close of the decision"
    words = f"{wording.amount_signed(cost)} {look.currency}, {_basis_points(cost / value * 1e4)} bp" if value else ""
    items = [
        Fact("Executes in", f"{session:%Y-%m-%d}", look.newest_event),
        Fact("Orders", summary, look.newest_event),
        Fact("Delay and slippage so far", words or wording.MISSING, measured if value else "no fills yet"),
    ]
    columns = [
        Column("instrument", "instrument", kind="text"),
        Column("side", "side", kind="tag"),
        Column("quantity", "shares decided", wording.count),
        Column("reference_price", f"close at the decision, {look.currency}", wording.price),
        Column("verdict", "verdict of the limits", state, "text"),
        Column("sent", "sent", wording.text, "text"),
        Column("state", "state", state, "text"),
        Column("filled", "shares filled", wording.count),
        Column("average_price", f"mean price, {look.currency}", wording.price),
        Column("slippage_bps", "against the decision, bp", _basis_points),
        Column("why", "why", wording.text, "long"),
    ]
    drawn = table(shown, columns, f"Orders of {session:%Y-%m-%d}")
    return pane("today", "Today", look.newest_event, facts(items), drawn)


def with_course(look: Look, orders: pd.DataFrame) -> pd.DataFrame:
    """Add to orders what the limits have said, when they were sent, and what their fills cost against the decision.

    Returns
    -------
    pandas.DataFrame
        `orders` with ``verdict`` (in words), ``sent`` (instant), ``slippage`` (currency; a cost is positive),
        ``slippage_bps``, ``why`` (the reason, and what has kept the order from being filled).
    """
    book = look.account.book.orders
    tracked = [book.get(name) for name in orders["client_order_id"]]
    price = orders["average_price"].astype("float64")
    sign = orders["side"].map({"buy": 1.0, "sell": -1.0})
    slippage = sign * (price - orders["reference_price"]) * orders["filled"]
    return orders.assign(
        verdict=[_verdict(found) for found in tracked],
        sent=[instant(found.submitted_at) if found and found.submitted_at else wording.MISSING for found in tracked],
        # Of what is filled at a price that is not known, the cost is not known.
        slippage=slippage.where(orders["filled"] > 0, 0.0),
        slippage_bps=sign * (price / orders["reference_price"] - 1) * 1e4,
        why=list(map(explained, orders["reason"], orders["message"])),
    )


def _verdict(found: TrackedOrder | None) -> str:
    if found is None:
        return "not judged yet"
    if found.state is OrderState.DENIED:
        return "denied"
    return "approved" if found.quantity == found.order.quantity else f"approved for {found.quantity:,}"


def _basis_points(value: Any) -> str:
    return wording.MISSING if pd.isna(value) else f"{value:+,.1f}".replace("-", "\N{MINUS SIGN}")
