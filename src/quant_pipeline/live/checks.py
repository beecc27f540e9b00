"""Everything that would stop the account tomorrow morning, looked at today; nothing is changed and nothing is sent."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping

import pandas as pd
import sqlalchemy as sa

from quant_pipeline.cli.opened_account import Opened
from quant_pipeline.common.environments import in_environment
from quant_pipeline.common.exceptions import ConfigurationError, NotReadyError, QuantPipelineError
from quant_pipeline.common.listing import first_of
from quant_pipeline.exchange.rules import MarketRules
from quant_pipeline.live.account import timetable_of
from quant_pipeline.live.notifications.ways import ways_of
from quant_pipeline.live.opening import CREDENTIALS
from quant_pipeline.live.parameters import LiveParameters, NotificationParameters
from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.trading.orders.execution_parameters import ExecutionRules
from quant_pipeline.trading.orders.kill_switch import KILL_SWITCH_VARIABLE
from quant_pipeline.trading.orders.lease import read_holder
from quant_pipeline.trading.orders.remarks import account_remarks
from quant_pipeline.trading.orders.risk_limits import RiskLimits

AHEAD = pd.Timedelta(days=30)
"""How far the calendar has to know sessions."""
HOURS_DIFFER = pd.Timedelta(minutes=1)


Check = Callable[[Opened], Iterator[str]]


def report_problems(opened: Opened, say: Callable[[str], object], checks: Mapping[str, Check]) -> None:
    """Check and say what is found, line by line.

    Parameters
    ----------
    opened
        The account.
    say
        Takes a line.
    checks
        What is looked at: `CHECKS` or `OF_CONFIGURATION`.

    Raises
    ------
    NotReadyError
        When something would stop the account.
    """
    failed = 0
    for name, check in checks.items():
        try:
            problems = list(check(opened))
        except (QuantPipelineError, sa.exc.SQLAlchemyError, OSError) as error:
            problems = [getattr(error, "message", str(error).splitlines()[0])]
        failed += len(problems)
        say(f"{name}: {'as it should be' if not problems else ''}".rstrip())
        for problem in problems:
            say(f"  ! {in_environment(problem, opened.environment)}")
    if failed:
        raise NotReadyError(f"{failed} {'thing' if failed == 1 else 'things'} would stop '{opened.name}'; see above.")


def _configuration(opened: Opened) -> Iterator[str]:
    rules = opened.project.rules
    for block, kind in (("live", LiveParameters), ("risk", RiskLimits), ("execution", ExecutionRules)):
        try:
            rules(block, kind)
        except ConfigurationError as error:
            yield error.message
    if opened.has_broker:
        market, execution = rules("market_rules", MarketRules), rules("execution", ExecutionRules)
        opened.gateway.adapter.capability.require(market.deal_price, execution.time_in_force)


def _disk(opened: Opened) -> Iterator[str]:
    home = opened.stop_file.parent
    place = next(each for each in (home, *home.parents) if each.exists())
    free, least = shutil.disk_usage(place).free / 2**20, opened.project.rules("live", LiveParameters).min_free_megabytes
    if free < least:
        yield f"the disk of {place} has {free:,.0f} MB free, less than live.min_free_megabytes={least:g}; free some."


def _calendar(opened: Opened) -> Iterator[str]:
    """Look whether the calendar knows the coming sessions, and whether orders can be executed in them."""
    now = pd.Timestamp.now("UTC").tz_localize(None).normalize()
    if opened.is_simulated:
        return
    calendar = TradingCalendar.of(opened.calendar, now - AHEAD, now + AHEAD)
    timetable = timetable_of(opened, opened.project.rules("live", LiveParameters), calendar)
    coming = calendar.between(now, now + AHEAD) if opened.has_broker else ()
    if never := [session for session in coming if not timetable.is_executed(session)]:
        yield (
            f"orders are never executed in {len(never)} of the coming sessions, the first is {never[0]:%Y-%m-%d}: "
            "their time is over before the daily run is due. Lower live.daily_after_close_minutes, or raise "
            "live.execution_within_minutes."
        )


def _switches(opened: Opened) -> Iterator[str]:
    if opened.stop_file.exists():
        yield f"{opened.stop_file} stops every order while it exists; `kedro account resume` takes it back."
    if os.environ.get(KILL_SWITCH_VARIABLE):
        yield f"{KILL_SWITCH_VARIABLE} is set and stops every order; unset it where the process starts."
    yield from account_remarks(opened.events, opened.next_session, opened.account.filled_by).problems


def _lease(opened: Opened) -> Iterator[str]:
    """Look who may send now. Trying it would take the right from a holder that is slow, in the middle of its orders."""
    file = opened.ledger.file
    if not opened.has_broker or (file is not None and not file.exists()):
        return
    engine = opened.ledger.open().engine
    holder = read_holder(engine, time.time())
    engine.dispose()
    if holder is not None:
        yield f"another process ({holder.holder}) may be sending orders of this account; wait until it ends."


def _broker(opened: Opened) -> Iterator[str]:
    if not opened.has_broker:
        return
    broker = opened.reach_broker()
    account, clock = broker.account(), broker.clock()
    execution = opened.project.rules("execution", ExecutionRules)
    if execution.account_number not in (None, account.account_number):
        yield (
            f"the keys open account {account.account_number}, but execution.account_number pins "
            f"{execution.account_number}. Correct the keys or the pin."
        )
    if account.trading_blocked:
        yield f"the broker blocks trading in account {account.account_number}; ask the broker why."
    if account.suspended:
        yield f"trading of {account.account_number} is suspended at the broker; `kedro account resume` resumes it."
    skew = abs((pd.Timestamp.now("UTC") - clock.now).total_seconds())
    most = opened.project.rules("risk", RiskLimits).max_clock_skew_seconds
    if not opened.gateway.adapter.has_own_time and skew > most:
        yield (
            f"the clock of this machine is {skew:.0f} s off the broker's, and risk.max_clock_skew_seconds allows "
            f"{most:g} s; synchronise it (ntp)."
        )
    opens_at = TradingCalendar.of(opened.calendar, opened.stands_at, opened.stands_at).hours(opened.next_session)[0]
    if not clock.is_open and clock.now < opens_at and abs(clock.next_open - opens_at) > HOURS_DIFFER:
        yield (
            f"the broker opens next at {clock.next_open:%Y-%m-%d %H:%M} UTC, the calendar {opened.calendar} at "
            f"{opens_at:%Y-%m-%d %H:%M} UTC: update exchange_calendars, or expect no order in that session."
        )


def _arming(opened: Opened) -> Iterator[str]:
    execution = opened.project.rules("execution", ExecutionRules)
    session = opened.next_session
    if execution.needs_arming and execution.account_number is None:
        yield (
            "it is not pinned, so it cannot be armed; write its number at the broker into execution.account_number of "
            "the environment."
        )
    elif execution.needs_arming and opened.book.armed.get(session) != execution.account_number:
        yield f"it is not armed for {session:%Y-%m-%d}; `kedro account arm` arms it, at any time before the open."


def _age(opened: Opened) -> Iterator[str]:
    """Look whether the market was ingested up to the close before at least: the newest one may still be due."""
    if not opened.has_broker or not opened.catalog.exists("sessions"):
        return
    newest, at = opened.catalog.load("sessions")["date"].max(), opened.stands_at
    if newest < TradingCalendar.of(opened.calendar, at, at).previous(at):
        yield (
            f"the market was ingested up to {newest:%Y-%m-%d}, and {at:%Y-%m-%d} has closed; `kedro run --pipelines "
            "daily` ingests it, if the source has newer bars."
        )


def _plan(opened: Opened) -> Iterator[str]:
    """Look whether a close that is booked has left a plan; before its daily run there is none yet."""
    session, booked = opened.next_session, opened.state.last_session
    if opened.has_broker and booked == opened.stands_at and session not in opened.state.plans:
        yield f"there is no plan for {session:%Y-%m-%d}; `kedro run --pipelines daily` makes it."


def _daily_run(opened: Opened) -> Iterator[str]:
    from kedro.pipeline import Pipeline

    from quant_pipeline.pipeline_registry import register_pipelines
    from quant_pipeline.pipelines.readiness import problems_of

    known = register_pipelines()
    names = opened.project.rules("live", LiveParameters).daily_pipelines
    if unknown := set(names) - known.keys():
        raise ConfigurationError(
            f"live.daily_pipelines names {first_of(sorted(unknown))}; `kedro registry list` names the pipelines."
        )
    pipeline = sum((known[name] for name in names), Pipeline([]))
    for problem in problems_of(pipeline, opened.catalog, opened.project.configuration):
        yield problem.message


def _channels(opened: Opened) -> Iterator[str]:
    from kedro.config import MissingConfigException

    rules = opened.project.rules("notifications", NotificationParameters)
    try:
        credentials = opened.project.configuration["credentials"]
    except MissingConfigException:
        credentials = {}
    for way in ways_of(rules, credentials.get(CREDENTIALS) or {}):
        way.prepare()
    yield from ()


CHECKS: dict[str, Check] = {
    "configuration and limits": _configuration,
    "disk": _disk,
    "calendar": _calendar,
    "switches and state of the account": _switches,
    "right to send": _lease,
    "broker, keys, clock and hours": _broker,
    "arming": _arming,
    "age of the market data": _age,
    "plan of the next session": _plan,
    "market, models and weights of the daily run": _daily_run,
    "channels": _channels,
}
"""What is looked at, in this sequence; each check yields what is wrong, or raises it."""
OF_CONFIGURATION = {name: CHECKS[name] for name in ("configuration and limits", "channels")}
"""What a changed configuration is asked before a process begins again with it."""
