"""``kedro account show|orders|trades|pnl|missed``: what an operator asks about a session, answered from the ledger."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click

from quant_pipeline.cli.options import env_option, params_option
from quant_pipeline.cli.sessions import Place
from quant_pipeline.common.environments import in_environment
from quant_pipeline.common.exceptions import AccountError

if TYPE_CHECKING:
    import pandas as pd

    from quant_pipeline.cli.opened_account import Opened
    from quant_pipeline.trading.ledger.account import AccountState, Plan
    from quant_pipeline.trading.ledger.events import Event
    from quant_pipeline.trading.orders.account_orders import AccountOrders

date_option: Callable[[Any], Any] = click.option(
    "--date", type=click.DateTime(["%Y-%m-%d"]), help="Session, such as 2025-01-02; the newest one when not given."
)


@click.command()
@date_option
@env_option
@params_option
@click.pass_obj
def show(metadata: Place, date: Any, env: str | None, params: dict[str, Any]) -> None:
    """Draw the account as it is now, or as it was at the close of a session."""
    from quant_pipeline.cli.account_picture import AccountView, draw_account
    from quant_pipeline.cli.opened_account import known_prices, open_account
    from quant_pipeline.cli.terminal import print_drawing
    from quant_pipeline.trading.orders.account_orders import AccountOrders

    with open_account(metadata, env, params) as opened:
        state = state_at(opened, date)
        events = tuple(event for event in opened.events if date is None or event.session <= date)
        book = AccountOrders.of(events)
        remarks = _remarks(opened, book, events)
        view = AccountView(opened.name, state, book, events, known_prices(opened, state), remarks)
        print_drawing(draw_account(view))


@click.command()
@date_option
@env_option
@params_option
@click.pass_obj
def orders(metadata: Place, date: Any, env: str | None, params: dict[str, Any]) -> None:
    """Show the orders of the session that executes them: planned, filled, and why not."""
    from quant_pipeline.cli.account_tables import draw_orders
    from quant_pipeline.cli.opened_account import open_account
    from quant_pipeline.cli.terminal import print_drawing

    with open_account(metadata, env, params) as opened:
        plan = _plan_of(opened, date)
        print_drawing("no orders yet" if plan is None else draw_orders(plan, opened.book, opened.events), opened.name)


@click.command()
@date_option
@click.option("--last", type=click.IntRange(min=1), default=20, show_default=True, help="Newest trades to show.")
@env_option
@params_option
@click.pass_obj
def trades(metadata: Place, date: Any, last: int, env: str | None, params: dict[str, Any]) -> None:
    """Show the newest trades, or those of one session, with their sums."""
    from quant_pipeline.cli.account_tables import draw_trades
    from quant_pipeline.cli.opened_account import open_account
    from quant_pipeline.cli.terminal import print_drawing
    from quant_pipeline.trading.ledger.tables import trades_table

    with open_account(metadata, env, params) as opened:
        table = trades_table(opened.events)
        table = table[table["quantity"] > 0]
        chosen = table.tail(last) if date is None else table[table["date"] == date]
        if chosen.empty and date is not None:
            raise AccountError(_none("trade", opened, date))
        print_drawing("no trades yet" if chosen.empty else draw_trades(chosen), opened.name)


@click.command()
@date_option
@env_option
@params_option
@click.pass_obj
def pnl(metadata: Place, date: Any, env: str | None, params: dict[str, Any]) -> None:
    """Show the profit of a session and since the beginning: by source, by instrument, against the benchmark."""
    from quant_pipeline.cli.account_tables import draw_profits
    from quant_pipeline.cli.opened_account import known_prices, open_account
    from quant_pipeline.cli.terminal import print_drawing
    from quant_pipeline.trading.ledger.account import fold
    from quant_pipeline.trading.ledger.profits import session_profits

    with open_account(metadata, env, params) as opened:
        state = state_at(opened, date)
        if not state.closes:
            print_drawing("no session is closed yet", opened.name)
            return
        # What was booked after the close is no part of the value of that close.
        known = _known_at_close(opened.events, state.closes[-1][0])
        closed = fold(known)
        sessions = session_profits(known, state.closes[-1][0])
        prices: dict[str, Decimal] = known_prices(opened, closed)
        print_drawing(draw_profits(closed, sessions, prices, _benchmark(opened)), opened.name)
    if moved := state.cash - closed.cash:
        click.echo(f"Booked since this close, and counted at the next one: {moved:+,.2f} in cash")


@click.command()
@env_option
@params_option
@click.pass_obj
def missed(metadata: Place, env: str | None, params: dict[str, Any]) -> None:
    """Name the sessions without a daily run: never closed, or no orders were decided at their close."""
    import pandas as pd

    from quant_pipeline.cli.opened_account import open_account
    from quant_pipeline.trading.ledger.missed import missed_sessions

    with open_account(metadata, env, params) as opened:
        closed = [session for session, _, _ in opened.state.closes]
        if not closed:
            click.echo(f"{opened.name}: no session is closed yet")
            return
        newest = max(closed[-1], opened.stands_at)
        found = missed_sessions(opened.events, opened.calendar, newest + pd.Timedelta(days=1))
    for row in found.itertuples():
        click.echo(f"{row.session:%Y-%m-%d %A}: {row.missed}")
    span = f"from {closed[0]:%Y-%m-%d} to {newest:%Y-%m-%d}"
    click.echo(f"{opened.name}, sessions {span}: {len(found) or 'none'} missed")


def _known_at_close(events: Sequence[Event], session: pd.Timestamp) -> list[Event]:
    """Return the events that the close of a session has seen."""
    from quant_pipeline.trading.ledger.events import EventKind

    of_session = [event for event in events if event.session <= session]
    closes = [place for place, event in enumerate(of_session) if event.kind is EventKind.SESSION_CLOSED]
    return of_session[: closes[-1] + 1]


def _remarks(opened: Opened, book: AccountOrders, events: tuple[Event, ...]) -> tuple[str, ...]:
    """Return what stands above the picture; a session that is armed counts until it is closed."""
    from quant_pipeline.trading.orders.remarks import account_remarks

    newest = [*(event.session for event in events), *book.armed]
    if not newest:
        return ()
    lines = account_remarks(events, max(newest), opened.account.filled_by).lines
    return tuple(in_environment(line, opened.environment) for line in lines)


def _plan_of(opened: Opened, date: Any) -> Plan | None:
    """Return the plan of a session, or the newest one; None of an account that has none at all."""
    plans = opened.state.plans
    if date is not None and date not in plans:
        raise AccountError(_none("order", opened, date))
    return plans[max(plans) if date is None else date] if plans else None


def state_at(opened: Opened, date: Any) -> AccountState:
    """Return the account as it is, or as it was at the close of a session.

    Raises
    ------
    AccountError
        When no such session was closed.
    """
    from quant_pipeline.trading.ledger.account import fold

    state = opened.state if date is None else fold(opened.events, up_to=date)
    if date is not None and state.last_session != date:
        raise AccountError(_none("close", opened, date))
    return state


def _benchmark(opened: Opened) -> pd.Series | None:
    """Return the total return index of the benchmark by date; None while no market has been ingested."""
    if not opened.catalog.exists("benchmark"):
        return None
    level: pd.Series = opened.catalog.load("benchmark").set_index("date")["total_return_close"]
    return level


def _none(what: str, opened: Opened, date: Any) -> str:
    """Say that there is nothing of a kind, and where there is something."""
    known = {
        "order": sorted(opened.state.plans),
        "trade": sorted({event.session for event in opened.events if str(event.kind) == "fill"}),
        "close": [session for session, _, _ in opened.state.closes],
    }[what]
    where = f" of {date:%Y-%m-%d}" if date is not None else ""
    there = f"; the newest is of {known[-1]:%Y-%m-%d}" if known else " yet"
    return f"'{opened.name}' has no {what}{where}{there}"
