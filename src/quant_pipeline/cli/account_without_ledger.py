"""Selling everything while the ledger cannot be used, and words for what it refuses."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from quant_pipeline.common.environments import in_environment
from quant_pipeline.common.exceptions import AccountError, ConfigurationError, QuantPipelineError
from quant_pipeline.common.exit_status import ExitStatus
from quant_pipeline.common.storage_errors import explain_storage_error, repairable_cause

if TYPE_CHECKING:
    from pathlib import Path

    from quant_pipeline.cli.opened_account import Opened


def in_words(error: Exception) -> str:
    """Return what refused to store or to read, in one line."""
    if (cause := repairable_cause(error)) is not None:
        return cause.message
    explained = explain_storage_error(error)
    return (str(error).splitlines() or [type(error).__name__])[0] if explained is None else explained.message


def ledger_problem(opened: Opened) -> str | None:
    """Return why the ledger of an account cannot be used: it was lost, changed or is another's; None when it can."""
    from kedro.io import DatasetError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        opened.ledger.load()
        opened.ledger.verify()
    except (QuantPipelineError, DatasetError, SQLAlchemyError, OSError) as error:
        return f"the ledger cannot be used: {in_words(error)}"
    return None


def require_typed(number: str) -> None:
    """Let the operator type the pinned number before real holdings are sold.

    Raises
    ------
    AccountError
        When another number is typed, or none is pinned.
    """
    if not number or click.prompt("Number of the account whose holdings are sold") != number:
        raise AccountError("this is not the number that execution.account_number pins; nothing was sold")


def flatten_without_ledger(opened: Opened, problem: str) -> None:
    """Sell at the broker what it holds, without recording it; the kill switch's file stops every other sender.

    Raises
    ------
    IncompleteError
        When something is left.
    click.exceptions.Exit
        When everything is sold: the operator still has to compare the books with the broker.
    """
    from quant_pipeline.trading.brokers.gateway import require_arming_rule
    from quant_pipeline.trading.orders.emergency import require_sold
    from quant_pipeline.trading.orders.unrecorded_sale import sell_without_ledger

    said = f"{problem}\nwhat is sold now is not recorded; {opened.stop_file} stops senders"
    click.secho(said, fg="red", err=True)
    rules = opened.desk_rules.execution
    require_arming_rule(opened.gateway.adapter, opened.name, rules.needs_arming)
    if rules.needs_arming:
        require_typed(rules.account_number or "")
    _stop_senders(opened.stop_file)
    sold = sell_without_ledger(
        opened.reach_broker(),
        opened.name,
        rules.account_number,
        max(rules.missing_fill_polls, int(rules.wait_for_sales_seconds / rules.poll_seconds)),
        lambda: time.sleep(rules.poll_seconds),
    )
    for order in sold.orders:
        click.echo(f"sold {order.filled_quantity} {order.instrument} at {order.average_fill_price or 0:.4f}")
    require_sold(sold.left, opened.name)
    command = "`kedro account reconcile` as soon as the ledger can be used, then `kedro account resume`"
    click.echo(in_environment(f"everything is sold; run {command}", opened.environment))
    raise click.exceptions.Exit(int(ExitStatus.ATTENTION))


def _stop_senders(file: Path) -> None:
    """Create the kill switch's file, without which another process could buy meanwhile.

    Raises
    ------
    ConfigurationError
        When it cannot be made.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    except OSError as error:
        raise ConfigurationError(
            f"{file} cannot be made ({error.strerror}), so other senders would go on; nothing was sold"
        ) from error
