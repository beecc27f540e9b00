"""The account as a picture in the terminal."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

import pandas as pd
from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from quant_pipeline.trading.ledger.account import AccountState, Plan
from quant_pipeline.trading.ledger.events import Event, EventKind
from quant_pipeline.trading.ledger.tables import holdings_table, trades_table
from quant_pipeline.trading.orders.account_orders import AccountOrders

FILLS_SHOWN = 8
ALERTS_SHOWN = 5


def draw_account(
    state: AccountState, book: AccountOrders, events: Sequence[Event], prices: Mapping[str, Decimal]
) -> RenderableType:
    """Draw the account at its last booked close.

    Parameters
    ----------
    state, book
        Cash and positions; orders and trading state.
    events
        The ledger.
    prices
        Last known close by instrument; what has none is shown at its cost.

    Returns
    -------
    rich.console.RenderableType
        Headline, holdings, the next orders, the last fills, and what the operator must look at.
    """
    priced = pd.Series(
        {name: prices.get(name, position.cost / position.quantity) for name, position in state.positions.items()},
        dtype=object,
    )
    parts = [_headline(state, book, priced), _holdings(state, priced)]
    closed = state.last_session
    upcoming = [plan for plan in state.plans.values() if closed is None or plan.execution_session > closed]
    parts += [_plan(plan) for plan in upcoming[-1:]]
    parts += [_draw_fills(events)]
    alerts = [event for event in events if event.kind in (EventKind.ALERT_RAISED, EventKind.BREAK_FOUND)]
    if alerts:
        parts.append(_alerts(alerts[-ALERTS_SHOWN:]))
    return Group(*parts)


def _headline(state: AccountState, book: AccountOrders, prices: pd.Series) -> RenderableType:
    held = sum((position.quantity * prices[name] for name, position in state.positions.items()), Decimal(0))
    value = state.cash + held
    profit = value - state.contributed
    facts: dict[str, str | Text] = {
        "net asset value": amount_text(value),
        "cash": amount_text(state.cash),
        "profit so far": signed_text(profit),
        "realised": signed_text(state.realised),
        "dividends": amount_text(state.dividends),
        "fees": amount_text(state.fees),
        "trading": Text(str(book.trading_state), style="green" if str(book.trading_state) == "active" else "bold red"),
    }
    closed = "nothing booked yet" if state.last_session is None else f"close of {state.last_session:%Y-%m-%d}"
    cells = [Text.assemble((f"{name}\n", "dim"), text) for name, text in facts.items()]
    return Panel(Columns(cells, padding=(0, 3)), title=f"{state.name or 'empty account'}, {closed}", title_align="left")


def _holdings(state: AccountState, prices: pd.Series) -> RenderableType:
    table = terminal_table(
        "Holdings", "instrument", "shares", "average cost", "price", "value", "profit", "weight", "sessions"
    )
    for row in holdings_table(state, prices).itertuples(index=False):
        table.add_row(
            row.instrument,
            f"{row.quantity:,g}",
            amount_text(row.average_cost),
            amount_text(row.price),
            amount_text(row.market_value),
            signed_text(row.unrealised_profit),
            f"{row.weight:.1%}",
            str(row.sessions_held),
        )
    return table if state.positions else Text("\nno holdings", style="dim")


def _plan(plan: Plan) -> RenderableType:
    title = f"Orders of {plan.execution_session:%Y-%m-%d}" + (f", revision {plan.revision}" if plan.revision else "")
    table = terminal_table(title, "instrument", "side", "shares", "reference", numbers=("shares", "reference"))
    for order in plan.orders:
        table.add_row(order.instrument, order.side, f"{order.quantity:,}", amount_text(Decimal(order.reference_price)))
    return table if plan.orders else Text(f"\n{title}: none", style="dim")


def _draw_fills(events: Sequence[Event]) -> RenderableType:
    fills = trades_table(events)
    shown = fills[fills["quantity"] > 0].tail(FILLS_SHOWN)
    table = terminal_table("Last fills", "date", "instrument", "side", "shares", "price", "fee")
    for row in shown.itertuples(index=False):
        facts = (f"{row.quantity:,g}", amount_text(row.price), amount_text(row.fee))
        table.add_row(f"{row.date:%Y-%m-%d}", row.instrument, row.side, *facts)
    return table if len(shown) else Text("\nno fills yet", style="dim")


def _alerts(alerts: Sequence[Event]) -> RenderableType:
    table = terminal_table("To look at", "date", "what", numbers=())
    for event in alerts:
        facts = event.payload
        text = facts.get("message") or f"{facts['what']}: {facts['ledger']} here, {facts['broker']} at the broker"
        table.add_row(f"{event.session:%Y-%m-%d}", text)
    return table


NUMBERS = ("shares", "average cost", "price", "value", "profit", "weight", "sessions", "fee")


def terminal_table(title: str, *columns: str, numbers: Sequence[str] = NUMBERS) -> Table:
    """Make a table without rows; columns of numbers are aligned to the right."""
    table = Table(title=f"\n{title}", title_justify="left", title_style="bold", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in numbers else "left", header_style="dim")
    return table


def amount_text(amount: Decimal | float) -> str:
    """Write an amount of money."""
    return f"{amount:,.2f}"


def signed_text(amount: Decimal | float) -> Text:
    """Write an amount with its sign, gains green and losses red."""
    return Text(f"{amount:+,.2f}", style="green" if amount > 0 else "red" if amount < 0 else "")
