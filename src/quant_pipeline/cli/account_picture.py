"""The account as a picture in the terminal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import pandas as pd
from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.text import Text

from quant_pipeline.cli.account_tables import draw_orders
from quant_pipeline.cli.terminal import amount_text, signed_text, terminal_table
from quant_pipeline.trading.ledger.account import AccountState
from quant_pipeline.trading.ledger.events import Event, EventKind
from quant_pipeline.trading.ledger.tables import holdings_table, trades_table
from quant_pipeline.trading.orders.account_orders import AccountOrders

FILLS_SHOWN = 8
ALERTS_SHOWN = 5


@dataclass(frozen=True)
class AccountView:
    """An account as it was known at some time.

    Attributes
    ----------
    name
        Name of the account.
    state, book, events
        Cash and positions; orders and trading state; the ledger; all of one time.
    prices
        Close of the last closed session by instrument; what has none is shown at its cost.
    remarks
        What stands above everything else, see `account_remarks`.
    """

    name: str
    state: AccountState
    book: AccountOrders
    events: Sequence[Event]
    prices: Mapping[str, Decimal]
    remarks: tuple[str, ...] = ()


def draw_account(view: AccountView) -> RenderableType:
    """Draw headline, holdings, the next orders, the last fills, and what the operator must look at.

    Between fills and the close, what was filled since the last close is valued at the price of its last fill, and the
    rest at its close: no profit appears that is only the difference between two days.
    """
    state = view.state
    since = _fills_since_close(view)
    known = {
        **view.prices,
        **since.groupby("instrument")["price"].last().map(lambda price: Decimal(str(price))).to_dict(),
    }
    priced = pd.Series(
        {name: known.get(name, position.cost / position.quantity) for name, position in state.positions.items()},
        dtype=object,
    )
    parts: list[RenderableType] = [Text(f"! {remark}", style="bold red") for remark in view.remarks]
    parts += [_headline(view, priced, since), _holdings(state, priced)]
    parts += [_carried(state)] if state.foreign else []
    closed = state.last_session
    upcoming = [plan for plan in state.plans.values() if closed is None or plan.execution_session > closed]
    parts += [draw_orders(plan, view.book, view.events) for plan in upcoming[-1:]]
    parts += [_draw_fills(view.events)]
    alerts = [event for event in view.events if event.kind in (EventKind.ALERT_RAISED, EventKind.BREAK_FOUND)]
    if alerts:
        parts.append(_alerts(alerts[-ALERTS_SHOWN:]))
    return Group(*parts)


def _fills_since_close(view: AccountView) -> pd.DataFrame:
    """Return the fills of sessions that are not closed yet, in the order of the ledger."""
    fills, closed = trades_table(view.events), view.state.last_session
    fills = fills[fills["quantity"] > 0]
    return fills if closed is None else fills[fills["date"] > closed]


def _headline(view: AccountView, prices: pd.Series, since: pd.DataFrame) -> RenderableType:
    state, trading = view.state, str(view.book.trading_state)
    held = sum((position.quantity * prices[name] for name, position in state.positions.items()), Decimal(0))
    foreign = state.foreign_values
    value = state.cash + held + sum((worth for worth in foreign.values() if worth is not None), Decimal(0))
    unknown = sum(worth is None for worth in foreign.values())
    facts: dict[str, str | Text] = {
        f"net asset value{f' without {unknown} of unknown value' if unknown else ''}": amount_text(value),
        "cash": amount_text(state.cash),
        "profit so far": signed_text(value - state.contributed),
        "realised": signed_text(state.realised),
        "dividends": amount_text(state.dividends),
        "fees": amount_text(state.fees),
        "trading": Text(trading, style="green" if trading == "active" else "bold red"),
    }
    title = f"{view.name}, {_when(state, since)}"
    cells = [Text.assemble((f"{name}\n", "dim"), text) for name, text in facts.items()]
    return Panel(Columns(cells, padding=(0, 3)), title=title, title_align="left")


def _when(state: AccountState, since: pd.DataFrame) -> str:
    if state.last_session is None and since.empty:
        return "nothing booked yet" if state.name else "an empty account, nothing booked yet"
    closed = "no close yet" if state.last_session is None else f"close of {state.last_session:%Y-%m-%d}"
    if since.empty:
        return closed
    return f"{closed}, and fills of {since['date'].iloc[-1]:%Y-%m-%d} at the prices of the fills"


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


def _carried(state: AccountState) -> RenderableType:
    """Draw what is carried and never traded: short positions, options, coins."""
    columns = ("quantity", "value at the broker")
    table = terminal_table("Carried, never traded", "instrument", *columns, numbers=columns)
    for name, worth in sorted(state.foreign_values.items()):
        table.add_row(name, f"{state.foreign[name]:,f}", "not known yet" if worth is None else amount_text(worth))
    return table


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
