"""``kedro account backup|restore|rename``: a ledger in one file, put back, under another name."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from quant_pipeline.cli.account_books import name_option, reason_option
from quant_pipeline.cli.options import TypedPath, env_option, params_option
from quant_pipeline.cli.sessions import Place, as_typed
from quant_pipeline.common.exceptions import AccountError, ConfigurationError

if TYPE_CHECKING:
    from quant_pipeline.cli.opened_account import Opened
    from quant_pipeline.trading.ledger.backup import Backup

FILE = TypedPath(dir_okay=False)
DEFAULT_FOLDER = "backups"


@click.command()
@click.argument("file", type=FILE, required=False)
@env_option
@params_option
@click.pass_obj
def backup(metadata: Place, file: Path | None, env: str | None, params: dict[str, Any]) -> None:
    """Write the ledger into one new FILE, also while orders are sent, and verify it.

    Without FILE it goes to `backups` in the folder of the account. Copy it to another machine.
    """
    from quant_pipeline.cli.opened_account import open_account
    from quant_pipeline.trading.ledger.backup import back_up

    with open_account(metadata, env, params, of_session=False) as opened:
        if not opened.events:
            raise AccountError(f"'{opened.name}' has no events yet; there is nothing to back up")
        made = back_up(opened.ledger.open(), file or _dated(opened, DEFAULT_FOLDER, "ledger-{}.sqlite"))
        click.echo(f"{opened.name}: {_described(made)} are in {as_typed(made.file)}; the chain is whole")


@click.command()
@click.argument("file", type=FILE)
@click.option("--discard-newer", is_flag=True, help="Also when the ledger is whole and has newer events.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@env_option
@params_option
@click.pass_obj
def restore(
    metadata: Place, file: Path, discard_newer: bool, yes: bool, env: str | None, params: dict[str, Any]
) -> None:
    """Put the backup FILE in the place of the ledger; what is there now is kept in a folder beside it."""
    from quant_pipeline.cli.opened_account import open_account
    from quant_pipeline.common.locks import locked
    from quant_pipeline.project.hooks.storage import LOCK
    from quant_pipeline.trading.ledger import backup as backups

    with open_account(metadata, env, params, of_session=False) as opened:
        ledger, found = _ledger_file(opened), backups.read_backup(file)
        _require_same_account(opened, found)
        with locked(ledger.parent / LOCK, f"the account '{opened.name}'"):
            newer = backups.newer_events(ledger, found)
            if newer and not discard_newer:
                raise AccountError(
                    f"the ledger of '{opened.name}' is whole and has {newer} events more than {file}; nothing was "
                    "restored. With --discard-newer they are moved aside."
                )
            if not yes:
                click.confirm(f"Put {_described(found)} in the place of {as_typed(ledger)}?", abort=True)
            kept = _dated(opened, "replaced", "{}")
            backups.restore(found, ledger, kept)
    aside = f"; what was there is in {as_typed(kept)}" if kept.exists() else ""
    click.echo(f"{opened.name}: restored {_described(found)}{aside}")
    if opened.account.filled_by == "broker":
        click.echo(f"`kedro account reconcile --env {opened.environment}` books what the broker has reported since")


@click.command()
@click.argument("former")
@reason_option
@name_option
@env_option
@params_option
@click.pass_obj
def rename(metadata: Place, former: str, reason: str, name: str, env: str | None, params: dict[str, Any]) -> None:
    """Let the ledger of the account FORMER, which lies in the folder of this account, go on as this account's."""
    from quant_pipeline.cli.opened_account import open_account
    from quant_pipeline.trading.ledger.identity import account_of, renaming_event

    with open_account(metadata, env, params) as opened:
        events = opened.ledger.load_of_any()
        found = account_of(events)
        if found is None:
            raise AccountError(f"'{opened.name}' has no ledger yet; copy the one of '{former}' into its folder first")
        if found != former:
            raise AccountError(f"the ledger of '{opened.name}' is of the account '{found}', not of '{former}'")
        if found == opened.name:
            raise AccountError(f"the ledger of '{opened.name}' bears that name already")
        newest = max(event.session for event in events)
        opened.append(renaming_event(events, newest, opened.name, reason, name))
    click.echo(f"{opened.name}: the ledger of '{former}' goes on under this name")


def _ledger_file(opened: Opened) -> Path:
    file = opened.ledger.file
    if file is None:
        raise ConfigurationError(
            f"the ledger of '{opened.name}' is kept by a database server; restore it there, or restore the file into "
            "a SQLite ledger"
        )
    return file


def _require_same_account(opened: Opened, found: Backup) -> None:
    from quant_pipeline.trading.ledger.identity import account_of
    from quant_pipeline.trading.ledger.store import Ledger

    name = account_of(Ledger.read(found.file).events())
    if name is not None and name != opened.name:
        raise AccountError(
            f"{found.file} is a backup of the account '{name}', not of '{opened.name}'; to go on with it as "
            f"'{opened.name}', copy it to the place of the ledger and run `kedro account rename {name} --reason WHY`"
        )


def _dated(opened: Opened, folder: str, name: str) -> Path:
    """Name what is made now, in a folder beside the file that stops trading, which is the account's own."""
    return opened.stop_file.parent / folder / name.format(f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}")


def _described(backup: Backup) -> str:
    return f"{backup.end.sequence} events (the last one {backup.end.hash[:12]})"
