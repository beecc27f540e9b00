"""``kedro account halt|cancel``: they need keys only; file, ledger, orders and broker are tried one by one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from quant_pipeline.cli.account_without_ledger import in_words
from quant_pipeline.cli.options import env_option, params_option
from quant_pipeline.cli.sessions import Place, configuration_folder
from quant_pipeline.common.environments import DEFAULT_ENVIRONMENT
from quant_pipeline.common.exceptions import AccountError, IncompleteError, QuantPipelineError
from quant_pipeline.common.listing import first_of

if TYPE_CHECKING:
    from quant_pipeline.cli.opened_account import Opened

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
        with open_account(metadata, env, params, reduces_risk=True) as opened:
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
@env_option
@params_option
@click.pass_obj
def cancel(metadata: Place, env: str | None, params: dict[str, Any]) -> None:
    """Cancel every open order of the account, and what has replaced one; what was not sent yet is not stopped."""
    from quant_pipeline.cli.opened_account import open_account

    with open_account(metadata, env, params, reduces_risk=True) as opened:
        click.echo(_cancel_orders(opened))


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

    from quant_pipeline.cli.opened_account import open_desk
    from quant_pipeline.trading.orders.emergency import cancel_own

    if not opened.has_broker:
        return "there is no broker that could have orders of it"
    if opened.is_simulated:
        with open_desk(opened, takes_lease=False) as desk:
            desk.cancel_own_orders()
        return "open orders at the simulated broker were cancelled"
    try:
        known = set(opened.book.orders)
    except (QuantPipelineError, DatasetError, SQLAlchemyError, OSError):
        known = set()  # Orders of ours are known by their names.
    cancelled = cancel_own(opened.reach_broker(), opened.safe_name, known)
    if cancelled.failed:
        rows = first_of((f"{name}: {why}" for name, why in cancelled.failed.items()), "; ")
        raise IncompleteError(f"{len(cancelled.failed)} orders may still be open: {rows}. Cancel them at the broker")
    return f"{len(cancelled.done)} open orders were cancelled at the broker"


def _suspend(opened: Opened) -> str:
    from quant_pipeline.cli.opened_account import open_desk

    if not opened.has_broker:
        return "there is no broker that could take orders"
    if opened.is_simulated:
        with open_desk(opened, takes_lease=False) as desk:
            desk.broker.suspend_trading(True)
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
        click.secho(f"{layer}: not stopped, {in_words(error)}", fg="red", err=True)
        return False
    return True
