"""``kedro account arm|disarm|replan``: what the operator decides about the next session."""

from __future__ import annotations

import sys
from typing import Any

import click

from quant_pipeline.cli.options import env_option, params_option
from quant_pipeline.cli.sessions import Place
from quant_pipeline.common.exceptions import AccountError, ConfigurationError


@click.command()
@click.option("--account-number", help="The number, instead of being asked for it.")
@env_option
@params_option
@click.pass_obj
def arm(metadata: Place, account_number: str | None, env: str | None, params: dict[str, Any]) -> None:
    """Let a real account send orders in the next session, and in no other."""
    from quant_pipeline.cli.opened_account import open_account
    from quant_pipeline.trading.orders.desk import arming_event
    from quant_pipeline.trading.orders.execution_parameters import ExecutionRules

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
        # In a terminal it is typed in any case; only a program may give it as an option.
        typed = [account_number] if account_number and not sys.stdin.isatty() else [click.prompt(question)]
        if set(filter(None, [*typed, account_number])) != {execution.account_number}:
            raise AccountError("this is not the number that execution.account_number pins; nothing was armed")
        opened.append(arming_event(session, execution.account_number, opened.book.arm_changes))
    click.echo(f"{opened.name} may send orders in the session {session:%Y-%m-%d}")


@click.command()
@env_option
@params_option
@click.pass_obj
def disarm(metadata: Place, env: str | None, params: dict[str, Any]) -> None:
    """Take back the leave to send in the next session."""
    from quant_pipeline.cli.opened_account import open_account
    from quant_pipeline.trading.orders.desk import disarming_event

    with open_account(metadata, env, params, reduces_risk=True) as opened:
        session = opened.next_session
        if session not in opened.book.armed:
            raise AccountError(f"{opened.name} is not armed for {session:%Y-%m-%d}; there is nothing to take back")
        opened.append(disarming_event(session, opened.book.arm_changes))
    click.echo(f"{opened.name} sends nothing in the session {session:%Y-%m-%d} unless it is armed again")


@click.command()
@env_option
@params_option
@click.pass_obj
def replan(metadata: Place, env: str | None, params: dict[str, Any]) -> None:
    """Ask the limits again about the orders of the next session that they denied."""
    from quant_pipeline.cli.opened_account import open_account
    from quant_pipeline.trading.orders.plans import repeat_plan

    with open_account(metadata, env, params) as opened:
        event = repeat_plan(opened.events, opened.next_session)
        opened.append(event)
    click.echo(f"{opened.name} has planned {opened.next_session:%Y-%m-%d} again; execution asks for new verdicts")
