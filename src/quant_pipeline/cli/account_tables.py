"""Tables of an account in the terminal: orders, trades, profits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

import pandas as pd
from rich.console import Group, RenderableType
from rich.text import Text

from quant_pipeline.cli.terminal import amount_text, signed_text, terminal_table
from quant_pipeline.trading.ledger.account import AccountState, Plan
from quant_pipeline.trading.ledger.events import Event
from quant_pipeline.trading.ledger.profits import profit_by_instrument, profit_by_source
from quant_pipeline.trading.orders.account_orders import AccountOrders
from quant_pipeline.trading.orders.courses import OrderCourses, explained

CENT = Decimal("0.01")


def draw_orders(plan: Plan, book: AccountOrders, events: Sequence[Event]) -> RenderableType:
    """Draw the orders of a plan, and those of earlier plans of the session that were sent, with what became of each.

    Parameters
    ----------
    plan
        Newest plan of a session.
    book
        Orders that were judged or sent; a simulated account sends none.
    events
        The ledger.
    """
    title = f"Orders of {plan.execution_session:%Y-%m-%d}" + (f", revision {plan.revision}" if plan.revision else "")
    columns = ("instrument", "side", "shares", "reference", "state", "filled", "price", "why")
    table = terminal_table(title, *columns, numbers=("shares", "reference", "filled", "price"))
    courses = OrderCourses.of(book, events)
    planned = {order.client_order_id for order in plan.orders}
    earlier = [sent.order for sent in book.of_session(plan.execution_session) if sent.submitted_at]
    orders = [*(order for order in earlier if order.client_order_id not in planned), *plan.orders]
    if not orders:
        return Text(f"\n{title}: none", style="dim")
    for order in orders:
        course = courses.course(order, plan.execution_session)
        price = "" if course.price is None else amount_text(course.price)
        facts = (course.state, f"{course.filled:,g}", price, explained(course.reason, course.message))
        table.add_row(
            order.instrument, order.side, f"{order.quantity:,}", amount_text(Decimal(order.reference_price)), *facts
        )
    return table


def draw_trades(trades: pd.DataFrame) -> RenderableType:
    """Draw trades, oldest first, and their sums; see `trades_table`."""
    numbers = ("shares", "price", "fee", "cash")
    table = terminal_table("Trades", "date", "instrument", "side", *numbers, "note", numbers=numbers)
    for row in trades.itertuples(index=False):
        amounts = (f"{row.quantity:,g}", amount_text(row.price), amount_text(row.fee), signed_text(row.cash))
        note = "" if pd.isna(row.amendment) else str(row.amendment)
        table.add_row(f"{row.date:%Y-%m-%d}", row.instrument, row.side, *amounts, note)
    value = trades["quantity"] * trades["price"]
    bought, sold = (value[trades["side"] == side].sum() for side in ("buy", "sell"))
    sums = f"{len(trades)} trades: bought {bought:,.2f}, sold {sold:,.2f}, fees {trades['fee'].sum():,.2f}"
    return Group(table, f"\n{sums}")


def draw_profits(
    state: AccountState, sessions: pd.DataFrame, prices: Mapping[str, Decimal], benchmark: pd.Series | None
) -> RenderableType:
    """Draw the profit of the newest of some sessions, that since the beginning, and where it comes from.

    Parameters
    ----------
    state
        The account at the close of that session.
    sessions
        See `session_profits`.
    prices
        Known closes of that session; what has none counts at cost.
    benchmark
        Total return index by date; None when there is none.
    """
    priced = {name: prices.get(name, held.cost / held.quantity) for name, held in state.positions.items()}
    return Group(_periods(state, sessions, benchmark), _sources(state, priced), _instruments(state, priced))


def _periods(state: AccountState, sessions: pd.DataFrame, benchmark: pd.Series | None) -> RenderableType:
    columns = ("profit", "return", "benchmark", "deposits less withdrawals", "net asset value")
    table = terminal_table(f"Profit, close of {state.last_session:%Y-%m-%d}", "period", *columns, numbers=columns)
    for period, rows in (("session", sessions.tail(1)), ("since the beginning", sessions)):
        compound = (1 + rows["return"]).prod() - 1
        compared = _benchmark_return(sessions["date"], len(rows), benchmark)
        facts = (f"{compound:+.2%}", compared, signed_text(rows["flow"].sum()), amount_text(rows["nav"].iloc[-1]))
        table.add_row(period, signed_text(rows["profit"].sum()), *facts)
    return table


def _benchmark_return(dates: pd.Series, number: int, benchmark: pd.Series | None) -> str:
    """Return of the benchmark over the newest sessions, from the close before them where there is one."""
    if benchmark is None:
        return "none"
    before = max(len(dates) - number - 1, 0)
    levels = benchmark.reindex([dates.iloc[before], dates.iloc[-1]])
    return "unknown" if levels.isna().any() else f"{levels.iloc[1] / levels.iloc[0] - 1:+.2%}"


def _sources(state: AccountState, prices: Mapping[str, Decimal]) -> RenderableType:
    table = terminal_table("Where it comes from, since the beginning", "source", "profit", numbers=("profit",))
    amounts = profit_by_source(state, prices)
    rest = state.closes[-1][1] - state.contributed - sum(amounts.values())
    if abs(rest) >= CENT:
        amounts["foreign positions and other prices"] = rest
    for source, amount in amounts.items():
        table.add_row(source, signed_text(amount))
    table.add_row("profit", signed_text(sum(amounts.values())), style="bold")
    return table


def _instruments(state: AccountState, prices: Mapping[str, Decimal]) -> RenderableType:
    numbers = ("shares", "realised", "unrealised", "profit")
    table = terminal_table("By instrument, without dividends", "instrument", *numbers, numbers=numbers)
    for row in profit_by_instrument(state, prices).itertuples(index=False):
        amounts = (signed_text(row.realised), signed_text(row.unrealised), signed_text(row.profit))
        table.add_row(row.instrument, f"{row.quantity:,g}", *amounts)
    return table
