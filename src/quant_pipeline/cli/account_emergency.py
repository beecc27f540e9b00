"""``kedro account resume|flatten``: resume needs keys and the ledger, flatten only keys."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from quant_pipeline.cli.account_without_ledger import flatten_without_ledger, in_words, ledger_problem, require_typed
from quant_pipeline.cli.options import env_option, params_option
from quant_pipeline.cli.sessions import Place, open_session
from quant_pipeline.common.environments import in_environment
from quant_pipeline.common.exceptions import AccountError, IncompleteError
from quant_pipeline.common.listing import first_of

if TYPE_CHECKING:
    import pandas as pd

    from quant_pipeline.cli.opened_account import Opened
    from quant_pipeline.trading.ledger.account import AccountState
    from quant_pipeline.trading.orders.desk import TradingDesk


@click.command()
@click.option("--reason", default="resumed by the operator", show_default=True)
@click.option("--reducing", is_flag=True, help="Let only exits pass.")
@env_option
@params_option
@click.pass_obj
def resume(metadata: Place, reason: str, reducing: bool, env: str | None, params: dict[str, Any]) -> None:
    """Send again: at the broker, in the ledger, and without the file."""
    from quant_pipeline.cli.opened_account import open_account, open_desk
    from quant_pipeline.trading.orders.risk_view import TradingState

    with open_account(metadata, env, params, reduces_risk=reducing) as opened:
        if opened.account.filled_by == "broker":
            with open_desk(opened) as desk:
                desk.broker.suspend_trading(False)
            click.echo("the broker has been instructed to take orders")
        state = TradingState.REDUCING if reducing else TradingState.ACTIVE
        opened.change_state(state, "PERSON", reason)
        _remove(opened.stop_file)
    click.echo(f"{opened.name} may send {'sales' if reducing else 'orders'} again")


def _remove(stop: Path) -> None:
    try:
        stop.unlink(missing_ok=True)
    except OSError as error:
        raise AccountError(
            f"{stop} cannot be removed ({error.strerror}), and nothing is sent while it exists; remove it by hand"
        ) from error


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@env_option
@params_option
@click.pass_obj
def flatten(metadata: Place, yes: bool, env: str | None, params: dict[str, Any]) -> None:
    """Sell everything, also from a halted account; buys stay closed until the operator resumes."""
    from quant_pipeline.cli.opened_account import open_account

    with open_account(metadata, env, params, reduces_risk=True) as opened:
        if opened.account.filled_by == "broker" and not opened.is_simulated:
            _flatten_at_broker(opened, yes)
            return
        if opened.account.filled_by == "statements":
            held = first_of(f"{held.quantity:g} {name}" for name, held in sorted(opened.state.positions.items()))
            raise AccountError(
                f"'{opened.name}' is kept by statements: nothing here reaches its broker. Sell there: "
                f"{held or 'nothing is held'}; the next statement books it"
            )
    _flatten_by_execution(metadata, yes, env, params)


def _flatten_at_broker(opened: Opened, yes: bool) -> None:
    """Sell what the broker holds; neither market data nor books are asked for it."""
    if not yes:
        click.confirm(f"Sell everything that the broker holds for {opened.name}?", abort=True)
    problem = ledger_problem(opened) or _flatten_with_ledger(opened)
    if problem is not None:
        flatten_without_ledger(opened, problem)


def _flatten_with_ledger(opened: Opened) -> str | None:
    """Sell through the desk, which records every step; return why it could not, when the ledger refuses."""
    from sqlalchemy.exc import SQLAlchemyError

    from quant_pipeline.trading.orders.emergency import require_sold, sell_everything
    from quant_pipeline.trading.ports import PartlyUnreadableError

    try:
        with opened.open_without_market() as desk:
            _require_armed(desk, opened)
            left = sell_everything(desk)
            orders = [o for o in desk.journal.book.of_session(desk.session) if o.order.side == "sell" and o.filled]
    except (OSError, SQLAlchemyError) as error:
        return f"the ledger cannot be used: {in_words(error)}"
    except PartlyUnreadableError as error:
        return f"the books cannot follow the broker: {error.message}"
    note = in_environment("buys stay closed until `kedro account resume`", opened.environment)
    for order in orders:
        click.echo(f"sold {order.filled} {order.order.instrument} at {order.average_price:.4f}")
    value = sum((order.value for order in orders), Decimal(0))
    sold = f"{len(orders)} sales were executed, worth {value:,.2f} USD; "
    click.echo(f"{sold}{note}, {len(left)} positions are left" if left else f"{sold}everything is sold; {note}")
    require_sold(left, opened.name)
    return None


def _require_armed(desk: TradingDesk, opened: Opened) -> None:
    """Arm the session of an emergency sale by the typed number, when the account needs it."""
    from quant_pipeline.trading.orders.desk import arming_event

    number = desk.rules.account_number or ""
    if desk.is_armed(number):
        return
    require_typed(number)
    desk.journal.append([arming_event(desk.session, number, desk.journal.book.arm_changes)])
    click.echo(f"{opened.name} is armed for {desk.session:%Y-%m-%d}")


def _flatten_by_execution(metadata: Place, yes: bool, env: str | None, params: dict[str, Any]) -> None:
    """Plan one sale per holding of a simulated account and execute the plan on the simulated exchange."""
    from quant_pipeline.cli.opened_account import known_prices, open_account
    from quant_pipeline.project.hooks.storage import without_locks
    from quant_pipeline.trading.ledger.account import fold
    from quant_pipeline.trading.orders.account_orders import AccountOrders
    from quant_pipeline.trading.orders.plans import record_plan
    from quant_pipeline.trading.orders.risk_view import FLATTEN, TradingState
    from quant_pipeline.trading.orders.states import OrderState

    with open_account(metadata, env, params, reduces_risk=True) as opened:
        as_of, orders = f"{opened.stands_at:%Y-%m-%d}", _sell_all(opened.state, known_prices(opened))
        if orders.empty:
            click.echo(f"{opened.name} holds no whole share")
            return
        # What the run below would refuse is refused before anything is recorded.
        run = params | {"as_of": as_of}
        with open_account(metadata, env, run) as strict:
            _ = strict.project.parameters
        if not yes:
            click.confirm(
                f"Sell {len(orders)} holdings of {opened.name} on {opened.next_session:%Y-%m-%d}?", abort=True
            )
        # Exits go through, buys do not, until the operator resumes.
        opened.change_state(TradingState.REDUCING, FLATTEN, "everything is sold by the operator's command")
        _remove(opened.stop_file)
        person = {"scores": "none, the operator's command"}
        session = opened.next_session
        opened.append(*record_plan(opened.events, orders, opened.stands_at, session, person, replaces_sent=True))
    with without_locks(), open_session(metadata, env, **run) as kedro_session:
        kedro_session.run(pipeline_names=["execution"])
    events = opened.catalog.load("ledger_as_found")
    plan, book = fold(events).plans[session], AccountOrders.of(events)
    sales = [book.orders[order.client_order_id] for order in plan.orders]
    failed = [sale for sale in sales if sale.state is not OrderState.FILLED and not sale.state.is_at_broker]
    executed = sum(sale.state is OrderState.FILLED for sale in sales)
    note = in_environment("buys stay closed until `kedro account resume`", opened.environment)
    waiting = len(sales) - len(failed) - executed
    waits = f", {waiting} wait for the next daily run, which executes them" if waiting else ""
    click.echo(f"{len(sales)} sales: {executed} executed{waits}; {note}")
    if failed:
        rows = first_of(
            (f"{sale.quantity:g} {sale.order.instrument}: {sale.message or sale.state}" for sale in failed), "; "
        )
        raise IncompleteError(f"not sold: {rows}")


def _sell_all(state: AccountState, prices: dict[str, Decimal]) -> pd.DataFrame:
    import pandas as pd

    rows = [
        {
            "instrument": name,
            "side": "sell",
            "quantity": int(position.quantity),
            "reference_price": prices.get(name, position.cost / position.quantity),
            "reason": "flattened by the operator",
        }
        for name, position in sorted(state.positions.items())
        if int(position.quantity) > 0
    ]
    return pd.DataFrame(rows, columns=["instrument", "side", "quantity", "reference_price", "reason"])
