"""``kedro account arm|replan|halt|resume|flatten``: what the operator decides about sending."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from quant_pipeline.cli.options import env_option, params_option
from quant_pipeline.cli.sessions import Place, open_session
from quant_pipeline.common.environments import in_environment
from quant_pipeline.common.exceptions import AccountError, ConfigurationError, QuantPipelineError
from quant_pipeline.common.storage_errors import explain_storage_error

if TYPE_CHECKING:
    import pandas as pd

    from quant_pipeline.cli.opened_account import Opened
    from quant_pipeline.trading.ledger.account import AccountState
    from quant_pipeline.trading.orders.desk import TradingDesk


@click.command()
@click.option("--account-number", help="The number, instead of being asked for it.")
@env_option
@params_option
@click.pass_obj
def arm(metadata: Place, account_number: str | None, env: str | None, params: dict[str, Any]) -> None:
    """Let a real account send orders in the next session, and in no other."""
    from quant_pipeline.cli.opened_account import open_account
    from quant_pipeline.trading.orders.desk import arming_event
    from quant_pipeline.trading.orders.rules import ExecutionRules

    with open_account(metadata, env, params) as opened:
        execution = opened.project.rules("execution", ExecutionRules)
        if not execution.needs_arming:
            raise ConfigurationError(f"'{opened.name}' needs no arming (execution.needs_arming is false)")
        if execution.account_number is None:
            raise ConfigurationError(
                f"'{opened.name}' is not pinned: write the number of the account at the broker into "
                "execution.account_number of its environment first"
            )
        session = opened.next_session
        question = f"Number of the account that may send real orders on {session:%Y-%m-%d}"
        if (account_number or click.prompt(question)) != execution.account_number:
            raise AccountError("this is not the number that execution.account_number pins; nothing was armed")
        opened.append(arming_event(session, execution.account_number))
    click.echo(f"{opened.name} may send orders in the session {session:%Y-%m-%d}")


@click.command()
@env_option
@params_option
@click.pass_obj
def replan(metadata: Place, env: str | None, params: dict[str, Any]) -> None:
    """Ask the limits again about a plan of the next session that they denied as a whole."""
    from quant_pipeline.cli.opened_account import open_account
    from quant_pipeline.trading.orders.plans import repeat_plan

    with open_account(metadata, env, params) as opened:
        event = repeat_plan(opened.events, opened.next_session)
        opened.append(event)
    click.echo(f"{opened.name} has planned {opened.next_session:%Y-%m-%d} again; execution asks for new verdicts")


@click.command()
@click.option("--reason", default="halted by the operator", show_default=True)
@env_option
@params_option
@click.pass_obj
def halt(metadata: Place, reason: str, env: str | None, params: dict[str, Any]) -> None:
    """Stop sending: a file, the ledger, then the broker, whose open orders are cancelled."""
    from quant_pipeline.cli.opened_account import open_account
    from quant_pipeline.trading.orders.risk_view import TradingState

    with open_account(metadata, env, params) as opened:
        # The file comes first: every sender looks at it before every order, and it needs neither database nor network.
        layers: dict[str, Callable[[], None]] = {
            "the file": lambda: _write_stop_file(opened.stop_file, reason),
            "the ledger": lambda: opened.change_state(TradingState.HALTED, "PERSON", reason),
            # Without the lease: a process that is sending right now must not keep the operator from stopping it.
            "the broker": lambda: _at_broker(opened, _stop_broker, takes_lease=False),
        }
        failed = [layer for layer, stop in layers.items() if not _has_stopped(layer, stop)]
    if failed:
        raise AccountError(f"{' and '.join(failed)} could not be stopped; what is named above was. Run halt again.")


@click.command()
@click.option("--reason", default="resumed by the operator", show_default=True)
@env_option
@params_option
@click.pass_obj
def resume(metadata: Place, reason: str, env: str | None, params: dict[str, Any]) -> None:
    """Send again: at the broker, in the ledger, and without the file."""
    from quant_pipeline.cli.opened_account import open_account
    from quant_pipeline.trading.orders.risk_view import TradingState

    with open_account(metadata, env, params) as opened:
        _at_broker(opened, lambda desk: desk.broker.suspend_trading(False))
        opened.change_state(TradingState.ACTIVE, "PERSON", reason)
        opened.stop_file.unlink(missing_ok=True)
    click.echo(f"{opened.name} may send orders again")


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@env_option
@params_option
@click.pass_obj
def flatten(metadata: Place, yes: bool, env: str | None, params: dict[str, Any]) -> None:
    """Sell everything: the plan of the next session becomes one sale per holding, and is sent."""
    from quant_pipeline.cli.opened_account import known_prices, open_account
    from quant_pipeline.project.hooks.storage import without_locks
    from quant_pipeline.trading.ledger.account import fold
    from quant_pipeline.trading.orders.book import OrderBook
    from quant_pipeline.trading.orders.plans import record_plan
    from quant_pipeline.trading.orders.risk_view import FLATTEN, TradingState

    with open_account(metadata, env, params) as opened:
        if opened.stop_file.exists():
            raise AccountError(f"{opened.stop_file} exists, nothing is sent; run `kedro account resume` first")
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
        person = {"scores": "none, the operator's command"}
        opened.append(*record_plan(opened.events, orders, opened.stands_at, opened.next_session, person))
    with without_locks(), open_session(metadata, env, **params | {"as_of": as_of}) as session:
        session.run(pipeline_names=["execution"])
    events = opened.catalog.load("ledger_as_found")
    plan, book = fold(events).plans[opened.next_session], OrderBook.of(events)
    sent = sum(1 for order in plan.orders if book.orders[order.client_order_id].submitted_at)
    note = in_environment("buys stay closed until `kedro account resume`", opened.environment)
    click.echo(f"sent {sent} of {len(plan.orders)} sales; {note}")


def _write_stop_file(file: Path, reason: str) -> None:
    """Create the file, which stops every sender, and then write the reason, for which there may be no space."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    click.echo(f"wrote {file}: nothing is sent while it exists")
    try:
        file.write_text(f"{reason}\n", encoding="utf-8")
    except OSError as error:
        click.secho(f"the reason was not written into it: {error.strerror}", fg="red", err=True)


def _has_stopped(layer: str, stop: Callable[[], None]) -> bool:
    """Stop one layer; that it fails must not keep the next one from being tried."""
    from kedro.io import DatasetError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        stop()
    except (QuantPipelineError, DatasetError, OSError, SQLAlchemyError) as error:
        explained = error if isinstance(error, QuantPipelineError) else explain_storage_error(error)
        click.secho(f"{layer} was not stopped: {error if explained is None else explained.message}", fg="red", err=True)
        return False
    return True


def _stop_broker(desk: TradingDesk) -> None:
    desk.cancel_own_orders()
    desk.broker.suspend_trading(True)


def _at_broker(opened: Opened, act: Callable[[TradingDesk], None], takes_lease: bool = True) -> None:
    """Act at the broker when there is one; that it cannot be reached does not undo the layers before."""
    from quant_pipeline.cli.opened_account import open_desk
    from quant_pipeline.trading.ports import BrokerError

    if opened.account.filled_by != "broker":
        return
    try:
        with open_desk(opened, takes_lease) as desk:
            act(desk)
    except BrokerError as error:
        click.secho(f"the broker was not reached: {error.message}. Do the same on its own page.", fg="red", err=True)
    else:
        click.echo("the broker has been instructed")


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
