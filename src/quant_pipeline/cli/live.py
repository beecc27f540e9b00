"""``kedro live``: the process that does what is due, day after day; its check, its state, a test of its channels.

Commands import what they need when they are called: Kedro imports this module to describe it.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any, NoReturn

import click

from quant_pipeline.cli.options import ProjectGroup, env_option, flattened, params_option
from quant_pipeline.cli.sessions import Place

if TYPE_CHECKING:
    from quant_pipeline.live.account import LiveAccount
    from quant_pipeline.live.process import LiveProcess

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""What ends the process: the service manager, Ctrl-C, a terminal that is closed."""


@click.group(cls=ProjectGroup, invoke_without_command=True)
@click.option("--check", is_flag=True, help="Say what would stop it, and end.")
@click.option("--check-configuration", is_flag=True, help="Say whether the configuration can be used, and end.")
@click.option("--speed", type=click.FloatRange(min=0, min_open=True), help="Seconds in one, at the simulated exchange.")
@click.option("--sessions", type=click.IntRange(min=1), help="End after so many daily runs.")
@env_option
@params_option
@click.pass_context
def live(
    context: click.Context,
    check: bool,
    check_configuration: bool,
    speed: float | None,
    sessions: int | None,
    env: str | None,
    params: dict[str, Any],
) -> None:
    """Live through the days of an account: run what is due, and tell what happened."""
    if context.invoked_subcommand is not None:
        if check or check_configuration or speed or sessions or env or params:
            context.fail(f"options belong behind `{context.invoked_subcommand}`")
        return
    from quant_pipeline.cli.opened_account import open_account

    with open_account(context.obj, env, params) as opened:
        if check or check_configuration:
            from quant_pipeline.live.checks import CHECKS, OF_CONFIGURATION, report_problems

            report_problems(opened, click.echo, CHECKS if check else OF_CONFIGURATION)
            return
        from quant_pipeline.live.account import LiveAccount

        begins_again = _live(LiveAccount.of(context.obj, opened, flattened(params)), speed, sessions)
    if begins_again:
        begin_again()


@live.command()
@env_option
@params_option
@click.option("--json", "as_json", is_flag=True, help="As the file `status.json` says it.")
@click.pass_obj
def status(metadata: Place, env: str | None, params: dict[str, Any], as_json: bool) -> None:
    """Show what the live process does, what is due next, and what it did last."""
    from quant_pipeline.cli.opened_account import open_account
    from quant_pipeline.live.account import LiveAccount
    from quant_pipeline.live.status import describe, status_of

    with open_account(metadata, env, params) as opened:
        found = status_of(LiveAccount.of(metadata, opened, flattened(params)))
    if as_json:
        import json

        click.echo(json.dumps(found, indent=1))
        return
    for line in describe(found):
        click.echo(line)


@live.command()
@env_option
@params_option
@click.option("--parent", type=int, hidden=True, help="Number of the process that it belongs to.")
@click.pass_obj
def watch(metadata: Place, env: str | None, params: dict[str, Any], parent: int | None) -> None:
    """Watch the market of the session that goes on; the live process starts it. Nothing is sent or booked."""
    from quant_pipeline.cli.opened_account import open_account
    from quant_pipeline.live.account import LiveAccount
    from quant_pipeline.live.market_data.watch import watch_market

    belongs_to, asked = parent or os.getppid(), threading.Event()
    for number in SIGNALS:
        signal.signal(number, lambda *_: asked.set())
    with open_account(metadata, env, params) as opened:
        account = LiveAccount.of(metadata, opened, flattened(params))
        # When the process that started it was killed, also while this one still imported, the next one starts another.
        watch_market(account, lambda: asked.is_set() or os.getppid() != belongs_to)


@live.command(name="notify-test")
@env_option
@params_option
@click.pass_obj
def notify_test(metadata: Place, env: str | None, params: dict[str, Any]) -> None:
    """Send one message to every channel of the account."""
    from quant_pipeline.cli.opened_account import open_account
    from quant_pipeline.common.exceptions import ConfigurationError, IncompleteError
    from quant_pipeline.live.account import LiveAccount
    from quant_pipeline.live.notifications.messages import Message
    from quant_pipeline.live.opening import ways_of_account
    from quant_pipeline.live.parameters import Level, Topic

    with open_account(metadata, env, params) as opened:
        account = LiveAccount.of(metadata, opened, params)
        ways = ways_of_account(account)
    if not ways:
        raise ConfigurationError(
            f"'{account.name}' has no channel. Name one under notifications.channels in its parameters.yml, and its "
            "address under notifications: in its credentials.yml."
        )
    message = Message(Topic.PROCESS, Level.ALERT, f"{account.name}: a test", "Messages of this account arrive here.")
    failed = []
    for way in ways:
        taken = way.deliver(message)
        click.echo(f"{way.name}: {'delivered' if taken else 'not delivered'}")
        failed += [] if taken else [way.name]
    if failed:
        raise IncompleteError(f"{' and '.join(failed)} did not take the message; correct the address and try again")


def begin_again() -> NoReturn:
    """Put a new process in the place of this one, as it was called: with the configuration of now, nothing of then."""
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - the words that started this process


def _live(account: LiveAccount, speed: float | None, sessions: int | None) -> bool:
    """Live, and return whether the process should begin again."""
    from quant_pipeline.common.collection import collect_as_usual
    from quant_pipeline.common.locks import locked
    from quant_pipeline.live.opening import LOCK, open_reach
    from quant_pipeline.live.process import LiveProcess

    with locked(account.folder / LOCK, f"the live process of account '{account.name}'"):
        reach = open_reach(account, speed)
        process = LiveProcess(account, reach, sessions, _show)
        process.printer.take_over(logging.getLogger())
        _listen(process)
        collect_as_usual()
        process.run()
    # Who asks it to end while it begins again means the one that would begin.
    return process.begins_again and not process.is_stopping


def _show(line: str) -> None:
    """Write a line without Python's buffer: a reader that stands still must not hold its lock when the process ends."""
    try:
        file = sys.stdout.fileno()
    except OSError:
        click.echo(line)
        return
    rest = f"{line}\n".encode()
    while rest:
        rest = rest[os.write(file, rest) :]


def _listen(process: LiveProcess) -> None:
    for number in SIGNALS:
        # `nohup` lets a process outlive its terminal: the signal of a terminal that is closed is ignored.
        if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda *_: process.stop())
