"""``kedro account halt|resume|flatten``: they need keys and the ledger, and each layer is tried independently."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from quant_pipeline.cli.options import env_option, params_option
from quant_pipeline.cli.sessions import Place, configuration_folder, open_session
from quant_pipeline.common.environments import DEFAULT_ENVIRONMENT, in_environment
from quant_pipeline.common.exceptions import AccountError, IncompleteError, QuantPipelineError
from quant_pipeline.common.storage_errors import explain_storage_error

if TYPE_CHECKING:
    import pandas as pd

    from quant_pipeline.cli.opened_account import Opened
    from quant_pipeline.trading.ledger.account import AccountState
    from quant_pipeline.trading.orders.desk import TradingDesk

LAYERS = ("the file", "the ledger", "the orders at the broker", "trading at the broker")


@click.command()
@click.option("--reason", default="halted by the operator", show_default=True)
@env_option
@params_option
@click.pass_obj
def halt(metadata: Place, reason: str, env: str | None, params: dict[str, Any]) -> None:
    """Stop sending: a file, the ledger, then at the broker: open orders are cancelled, new ones refused."""
    from quant_pipeline.cli.opened_account import open_account
    from quant_pipeline.project.rehearsal import folder_of

    # A folder without configuration is the wrong one: a file there would stop no sender.
    configuration_folder(metadata)
    failed: list[str] = []
    try:
        with open_account(metadata, env, params) as opened:
            # The file comes first: every sender looks at it before every order; it needs neither database nor network.
            file, ledger, orders, trading = LAYERS
            layers: dict[str, Callable[[], str]] = {
                file: lambda: _write_stop_file(opened.stop_file, reason),
                ledger: lambda: _halt_ledger(opened, reason),
                orders: lambda: _cancel_orders(opened),
                trading: lambda: _suspend(opened),
            }
            failed = [layer for layer, stop in layers.items() if not _has_stopped(layer, stop)]
    except QuantPipelineError as error:
        # The configuration cannot be read at all. The file stops every sender of this account all the same.
        folder = folder_of(env or DEFAULT_ENVIRONMENT, params.get("alpaca_url"))
        stop = metadata.project_path / "data" / "accounts" / folder / "STOP"
        _has_stopped(LAYERS[0], lambda: _write_stop_file(stop, reason))
        raise AccountError(f"only {stop} was written, where accounts have it by default: {error.message}") from error
    if failed:
        raise AccountError(f"{' and '.join(failed)} could not be stopped; what is named above was. Run halt again.")


@click.command()
@click.option("--reason", default="resumed by the operator", show_default=True)
@click.option("--reducing", is_flag=True, help="Let only exits pass.")
@env_option
@params_option
@click.pass_obj
def resume(metadata: Place, reason: str, reducing: bool, env: str | None, params: dict[str, Any]) -> None:
    """Send again: at the broker, in the ledger, and without the file."""
    from quant_pipeline.cli.opened_account import open_account
    from quant_pipeline.trading.orders.risk_view import TradingState

    with open_account(metadata, env, params) as opened:
        if opened.account.filled_by == "broker":
            _at_desk(opened, lambda desk: desk.broker.suspend_trading(False))
            click.echo("the broker has been instructed to take orders")
        state = TradingState.REDUCING if reducing else TradingState.ACTIVE
        opened.change_state(state, "PERSON", reason)
        opened.stop_file.unlink(missing_ok=True)
    click.echo(f"{opened.name} may send {'sales' if reducing else 'orders'} again")


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@env_option
@params_option
@click.pass_obj
def flatten(metadata: Place, yes: bool, env: str | None, params: dict[str, Any]) -> None:
    """Sell everything, also from a halted account; buys stay closed until the operator resumes."""
    from quant_pipeline.cli.opened_account import open_account

    with open_account(metadata, env, params) as opened:
        if opened.account.filled_by == "broker" and not opened.is_simulated:
            _flatten_at_broker(opened, yes)
            return
        if opened.account.filled_by == "statements":
            held = ", ".join(f"{held.quantity:g} {name}" for name, held in sorted(opened.state.positions.items()))
            raise AccountError(
                f"'{opened.name}' is kept by statements: nothing here reaches its broker. Sell there: "
                f"{held or 'nothing is held'}; the next statement books it"
            )
    _flatten_by_execution(metadata, yes, env, params)


def _flatten_at_broker(opened: Opened, yes: bool) -> None:
    """Sell what the broker holds; neither market data nor books are asked for it."""
    from quant_pipeline.trading.orders.emergency import require_sold, sell_everything

    if not yes:
        click.confirm(f"Sell everything that the broker holds for {opened.name}?", abort=True)
    note = in_environment("buys stay closed until `kedro account resume`", opened.environment)
    with opened.open_without_market() as desk:
        _require_armed(desk, opened)
        left = sell_everything(desk)
        orders = [o for o in desk.journal.book.of_session(desk.session) if o.order.side == "sell" and o.filled]
    for order in orders:
        click.echo(f"sold {order.filled} {order.order.instrument} at {order.average_price:.4f}")
    value = sum((order.value for order in orders), Decimal(0))
    sold = f"{len(orders)} sales were executed, worth {value:,.2f} USD; "
    click.echo(f"{sold}{note}, {len(left)} positions are left" if left else f"{sold}everything is sold; {note}")
    require_sold(left, opened.name)


def _require_armed(desk: TradingDesk, opened: Opened) -> None:
    """Arm the session of an emergency sale by the typed number, when the account needs it."""
    from quant_pipeline.trading.orders.desk import arming_event

    number = desk.rules.account_number or ""
    if desk.is_armed(number):
        return
    if not number or click.prompt("Number of the account whose holdings are sold") != number:
        raise AccountError("this is not the number that execution.account_number pins; nothing was sold")
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

    with open_account(metadata, env, params) as opened:
        as_of, orders = f"{opened.stands_at:%Y-%m-%d}", _sell_all(opened.state, known_prices(opened))
        if orders.empty:
            click.echo(f"{opened.name} holds no whole share")
            return
        if not yes:
            click.confirm(
                f"Sell {len(orders)} holdings of {opened.name} on {opened.next_session:%Y-%m-%d}?", abort=True
            )
        # Exits go through, buys do not, until the operator resumes.
        opened.change_state(TradingState.REDUCING, FLATTEN, "everything is sold by the operator's command")
        opened.stop_file.unlink(missing_ok=True)
        person = {"scores": "none, the operator's command"}
        session = opened.next_session
        opened.append(*record_plan(opened.events, orders, opened.stands_at, session, person, replaces_sent=True))
    with without_locks(), open_session(metadata, env, **params | {"as_of": as_of}) as kedro_session:
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
        rows = "; ".join(f"{sale.quantity:g} {sale.order.instrument}: {sale.message or sale.state}" for sale in failed)
        raise IncompleteError(f"not sold: {rows}")


def _write_stop_file(file: Path, reason: str) -> str:
    """Create the file, which stops every sender, and then write the reason, for which there may be no space."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    try:
        file.write_text(f"{reason}\n", encoding="utf-8")
    except OSError as error:
        click.secho(f"the reason was not written into it: {error.strerror}", fg="red", err=True)
    return f"wrote {file}: nothing is sent while it exists"


def _halt_ledger(opened: Opened, reason: str) -> str:
    from quant_pipeline.trading.orders.risk_view import TradingState

    opened.change_state(TradingState.HALTED, "PERSON", reason)
    return "the ledger says halted"


def _cancel_orders(opened: Opened) -> str:
    """Cancel at the broker; what the ledger knows helps, and is not needed."""
    from kedro.io import DatasetError
    from sqlalchemy.exc import SQLAlchemyError

    from quant_pipeline.trading.orders.emergency import cancel_own

    if not opened.has_broker:
        return "there is no broker that could have orders of it"
    if opened.is_simulated:
        _at_desk(opened, lambda desk: desk.cancel_own_orders(), takes_lease=False)
        return "open orders at the simulated broker were cancelled"
    try:
        known = set(opened.book.orders)
    except (QuantPipelineError, DatasetError, SQLAlchemyError, OSError):
        known = set()  # Orders of ours are known by their names.
    cancelled = cancel_own(opened.reach_broker(), opened.safe_name, known)
    if cancelled.failed:
        rows = "; ".join(f"{name}: {why}" for name, why in cancelled.failed.items())
        raise AccountError(f"{len(cancelled.failed)} orders may still be open: {rows}. Cancel them at the broker")
    return f"{len(cancelled.done)} open orders were cancelled at the broker"


def _suspend(opened: Opened) -> str:
    if not opened.has_broker:
        return "there is no broker that could take orders"
    if opened.is_simulated:
        _at_desk(opened, lambda desk: desk.broker.suspend_trading(True), takes_lease=False)
    else:
        opened.reach_broker().suspend_trading(True)
    return "the broker has been instructed to refuse new orders"


def _has_stopped(layer: str, stop: Callable[[], str]) -> bool:
    """Stop one layer and report it; that it fails must not keep the next one from being tried."""
    from kedro.io import DatasetError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        click.echo(stop())
    except (QuantPipelineError, DatasetError, OSError, SQLAlchemyError) as error:
        explained = error if isinstance(error, QuantPipelineError) else explain_storage_error(error)
        click.secho(f"{layer}: not stopped, {error if explained is None else explained.message}", fg="red", err=True)
        return False
    return True


def _at_desk(opened: Opened, act: Callable[[TradingDesk], object], takes_lease: bool = True) -> None:
    from quant_pipeline.cli.opened_account import open_desk

    with open_desk(opened, takes_lease) as desk:
        act(desk)


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
