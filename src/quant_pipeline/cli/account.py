"""``kedro account new|verify|reconcile``: make an account, verify it, compare it with its broker.

Commands import what they need when they are called: Kedro imports this module to describe it.
"""

from __future__ import annotations

from typing import Any

import click

from quant_pipeline.cli import (
    account_backup,
    account_books,
    account_control,
    account_emergency,
    account_explain,
    account_halt,
    account_preview,
    account_protect,
    account_queries,
    account_slippage,
    account_why,
)
from quant_pipeline.cli.options import ProjectGroup, env_option, params_option
from quant_pipeline.cli.sessions import Place, as_typed, configuration_folder
from quant_pipeline.common.environments import in_environment
from quant_pipeline.common.exceptions import AccountError


@click.group(cls=ProjectGroup)
def account() -> None:
    """Make an account, look at it, compare it with its broker, arm, stop and sell it."""


@account.command()
@click.argument("name")
@click.option("--from", "source", default="sim", show_default=True, help="Environment whose configuration is copied.")
@click.pass_obj
def new(metadata: Place, name: str, source: str) -> None:
    """Make the environment of a new account NAME."""
    from quant_pipeline.cli.account_environment import scaffold_environment

    for file in scaffold_environment(configuration_folder(metadata), name, source):
        click.echo(f"wrote {as_typed(file)}")
    click.echo(f"`kedro run --env {name}` runs it; it has no ledger, no keys and no pinned account number yet")


@account.command()
@env_option
@params_option
@click.pass_obj
def verify(metadata: Place, env: str | None, params: dict[str, Any]) -> None:
    """Hash the whole ledger again and recompute the account from it."""
    from quant_pipeline.cli.opened_account import open_account

    with open_account(metadata, env, params, of_session=False) as opened:
        number = opened.ledger.verify()
        if not number:
            click.echo(f"{opened.name}: an empty account, nothing has been booked yet")
            return
        if opened.state.discrepancy:
            raise AccountError(
                f"{opened.state.discrepancy} of the cash and cost of '{opened.name}' has no source in its events; "
                "keep the ledger as it is and report this"
            )
    closes = len(opened.state.closes)
    click.echo(f"{opened.name}: {number} events, the chain is whole; {closes} closes agree with them to the cent")


@account.command(name="reconcile")
@env_option
@params_option
@click.pass_obj
def reconcile_account(metadata: Place, env: str | None, params: dict[str, Any]) -> None:
    """Compare cash and every position with the broker, after booking what it reports."""
    from quant_pipeline.cli.opened_account import open_account, open_desk
    from quant_pipeline.trading.orders.reconciliation import open_books, reconcile

    with open_account(metadata, env, params) as opened, open_desk(opened) as desk:
        open_books(desk)
        breaks = reconcile(desk)
        held = len(desk.journal.account.positions)
    for found in breaks:
        click.echo(f"{found.what}: {found.ledger} in the books, {found.broker} at the broker")
    if breaks:
        remedy = in_environment("only exits are let through until `kedro account resume`", opened.environment)
        raise AccountError(f"{len(breaks)} differences; {remedy}")
    click.echo(f"{opened.name}: cash and {held} positions equal the broker's")


for command in ("show", "orders", "trades", "pnl", "missed"):
    account.add_command(getattr(account_queries, command))
for command in ("backup", "restore", "rename"):
    account.add_command(getattr(account_backup, command))
for command in ("arm", "disarm", "replan"):
    account.add_command(getattr(account_control, command))
for command in ("halt", "cancel"):
    account.add_command(getattr(account_halt, command))
for command in ("resume", "flatten"):
    account.add_command(getattr(account_emergency, command))
for command in ("quarantine", "adjust"):
    account.add_command(getattr(account_books, command))
account.add_command(account_preview.preview)
account.add_command(account_protect.protect)
account.add_command(account_why.why)
account.add_command(account_explain.explain)
account.add_command(account_slippage.adopt_slippage)
