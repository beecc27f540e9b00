"""``kedro account quarantine|adjust``: the operator explains what the books cannot know, with reason and name."""

from __future__ import annotations

import getpass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click

from quant_pipeline.cli.options import env_option, params_option
from quant_pipeline.cli.sessions import Place
from quant_pipeline.common.environments import in_environment
from quant_pipeline.common.exceptions import AccountError

if TYPE_CHECKING:
    from quant_pipeline.cli.opened_account import Opened
    from quant_pipeline.trading.ledger.events import Event


MOST_DECIMALS = 9
"""Decimals of amounts and shares, as brokers state them."""


class Amount(click.ParamType[Decimal]):
    """A number of the command line, exact to the last digit."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        """Read it."""
        from quant_pipeline.trading.activities.numbers import read_decimal

        try:
            number = read_decimal(value, "it")
        except ValueError as error:
            self.fail(f"{error}", param, ctx)
        if number != round(number, MOST_DECIMALS):
            self.fail(f"'{value}' has more than {MOST_DECIMALS} decimals", param, ctx)
        return number


class Words(click.ParamType[str]):
    """Words that say something."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Refuse blanks."""
        if not (words := str(value).strip()):
            self.fail("it is empty", param, ctx)
        return words


reason_option = click.option("--reason", required=True, type=Words(), help="Why, in words; it is kept in the ledger.")
name_option = click.option(
    "--name", default=getpass.getuser, type=Words(), help="Who decides it; by default your name here."
)
shares_options = (
    click.option("--cost", type=Amount(), help="What shares that come in have cost, in all."),
    click.option("--quantity", type=Amount(), help="Shares that come in, or go out when negative."),
    click.option(
        "--foreign",
        is_flag=True,
        help="They are carried and never traded, as a short position; coins and options always are.",
    ),
    click.option("--instrument", type=Words(), help="Which shares."),
    click.option("--cash", type=Amount(), help="Cash that comes in, or goes out when negative."),
)


def _with_shares(function: Any) -> Any:
    for option in shares_options:
        function = option(function)
    return function


@click.group()
def quarantine() -> None:
    """List what the broker reported and the books could not take, and answer it."""


@quarantine.command(name="list")
@env_option
@params_option
@click.pass_obj
def list_rows(metadata: Place, /, env: str | None, params: dict[str, Any]) -> None:
    """List the rows: what they are, what they move, and why they could not be booked."""
    from quant_pipeline.cli.opened_account import open_account
    from quant_pipeline.trading.activities.quarantine import open_rows

    with open_account(metadata, env, params) as opened:
        rows = open_rows(opened.state)
    for row in rows:
        shares = "" if not row.shares else f", {row.shares} {row.instrument}"
        cash = "unknown cash" if row.cash is None else f"{row.cash} cash"
        click.echo(f"{row.activity_id}  {row.session:%Y-%m-%d}  {row.sort}: {cash}{shares}; {row.problem} ({row.code})")
    click.echo(f"{opened.name}: {len(rows)} rows in quarantine")


@quarantine.command()
@click.argument("row")
@_with_shares
@reason_option
@name_option
@env_option
@params_option
@click.pass_obj
def book(metadata: Place, /, row: str, env: str | None, params: dict[str, Any], **answer: Any) -> None:
    """Book what ROW moved: its own cash and shares, or those that the options give."""
    from quant_pipeline.cli.opened_account import open_account
    from quant_pipeline.trading.activities.quarantine import PREFIX, QuarantinedRow

    with open_account(metadata, env, params) as opened:
        stored = QuarantinedRow.of(_find(opened, row))
        cash = stored.cash if answer["cash"] is None else answer["cash"]
        if cash is None:
            raise AccountError(f"what {row} moves is not known; say it with --cash, and --quantity if it moves shares")
        if stored.shares is None and answer["quantity"] is None:
            raise AccountError(
                f"how many shares {row} moves is not known; say it with --quantity, 0 when it moves none"
            )
        given = answer | {"cash": cash, "instrument": answer["instrument"] or stored.instrument}
        if given["quantity"] is None:
            given["quantity"] = stored.shares or Decimal(0)
        event = _adjustment(opened, given, f"adjustment:{stored.activity_id}", row=f"{PREFIX}{stored.activity_id}")
        _answer(opened, stored, "booked", answer, event)
    click.echo(f"{opened.name}: {row} is booked; {_remark(opened)}")


@quarantine.command()
@click.argument("row")
@reason_option
@name_option
@env_option
@params_option
@click.pass_obj
def dismiss(metadata: Place, /, row: str, env: str | None, params: dict[str, Any], **answer: Any) -> None:
    """Say that ROW moves nothing that the books do not have already."""
    from quant_pipeline.cli.opened_account import open_account
    from quant_pipeline.trading.activities.quarantine import QuarantinedRow

    with open_account(metadata, env, params) as opened:
        _answer(opened, QuarantinedRow.of(_find(opened, row)), "dismissed", answer)
    click.echo(f"{opened.name}: {row} is dismissed; {_remark(opened)}")


@click.command()
@_with_shares
@reason_option
@name_option
@env_option
@params_option
@click.pass_obj
def adjust(metadata: Place, /, env: str | None, params: dict[str, Any], **answer: Any) -> None:
    """Book a correction of cash or shares that no record of the broker explains."""
    from quant_pipeline.cli.opened_account import open_account

    if not answer["cash"] and not answer["quantity"]:
        raise click.UsageError("say what is corrected: --cash, or --instrument with --quantity and --cost")
    with open_account(metadata, env, params) as opened:
        given = answer | {"cash": answer["cash"] or Decimal(0), "quantity": answer["quantity"] or Decimal(0)}
        number = sum(1 for event in opened.events if event.key.startswith("adjustment:by-hand:")) + 1
        _append(opened, [_adjustment(opened, given, f"adjustment:by-hand:{number}")])
    click.echo(f"{opened.name}: the adjustment is booked; compare with `kedro account reconcile`")


def _find(opened: Opened, row: str) -> Event:
    from quant_pipeline.trading.activities.quarantine import PREFIX

    found = [event for key, event in opened.state.quarantine.items() if row in (key, key.removeprefix(PREFIX))]
    if not found:
        raise AccountError(f"'{row}' is not in quarantine; `kedro account quarantine list` shows what is")
    return found[0]


def _adjustment(opened: Opened, given: dict[str, Any], key: str, **more: str) -> Event:
    from quant_pipeline.trading.activities.alpaca import is_foreign
    from quant_pipeline.trading.ledger.events import Event, EventKind

    quantity: Decimal = given["quantity"]
    name: str = given["instrument"] or ""
    if quantity and not name:
        raise AccountError("say which shares with --instrument")
    facts = {"amount": str(given["cash"]), "quantity": str(quantity), "instrument": name}
    facts |= {"reason": given["reason"], "name": given["name"], **more}
    if quantity and (given["foreign"] or name in opened.state.foreign or is_foreign(name)):
        return Event(opened.stands_at, EventKind.FOREIGN_MOVED, key, facts)
    _require_sound(opened, name, quantity, given["cost"])
    facts["cost"] = str(given["cost"] or 0)
    return Event(opened.stands_at, EventKind.ADJUSTMENT, key, facts)


def _require_sound(opened: Opened, name: str, quantity: Decimal, cost: Decimal | None) -> None:
    if quantity > 0 and cost is None:
        raise AccountError("say with --cost what the shares that come in have cost, in all; 0 when nothing")
    if cost is not None and cost < 0:
        raise AccountError(f"--cost is {cost}; what shares have cost is not negative")
    held = opened.state.positions[name].quantity if name in opened.state.positions else Decimal(0)
    if quantity < -held:
        raise AccountError(
            f"{-quantity} {name} go out but the ledger holds {held}; say --foreign when the account is short of them"
        )


def _answer(opened: Opened, stored: Any, how: str, answer: dict[str, Any], *before: Event) -> None:
    from quant_pipeline.trading.activities.quarantine import PREFIX, resolution_event

    row = f"{PREFIX}{stored.activity_id}"
    answered = resolution_event(row, opened.stands_at, how, answer["name"], answer["reason"])
    _append(opened, [*before, answered])


def _append(opened: Opened, events: list[Event]) -> None:
    """Try the events on the account before they are stored: what the books cannot take is never in the ledger."""
    trial = opened.state.fork()
    for event in events:
        trial.apply(event)
    opened.append(*events)


def _remark(opened: Opened) -> str:
    left = len(opened.state.quarantine) - 1
    return in_environment(
        f"{left} more rows are in quarantine; `kedro account resume` lets buys pass again", opened.environment
    )
