"""What to type next, in the order of the day and with its times: who copies from top to bottom skips nothing."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field

import pandas as pd

from quant_pipeline.common.environments import in_environment
from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.pipelines.reporting.parameters import ReportParameters
from quant_pipeline.strategy.account_parameters import AccountParameters
from quant_pipeline.trading.broker_records import TimeInForce
from quant_pipeline.trading.ledger.events import Event
from quant_pipeline.trading.orders.execution_parameters import ExecutionRules

Step = tuple[str, str]
"""A command, and when to type it and what for."""


@dataclass(frozen=True)
class AccountInReport:
    """What a report has to know of the account besides its tables."""

    account: AccountParameters = field(default_factory=lambda: AccountParameters(name="sim"))
    execution: ExecutionRules = field(default_factory=ExecutionRules)
    events: tuple[Event, ...] = ()


def next_steps(
    report: ReportParameters, account: AccountInReport, calendar: TradingCalendar, session: pd.Timestamp
) -> tuple[Step, ...]:
    """Return the commands of the next session.

    Parameters
    ----------
    report
        Names the account, and what every command has to repeat.
    account
        Who fills its orders, and how they are sent.
    calendar
        Sessions of the exchange.
    session
        Session of the decision.
    """
    steps = {"simulation": _simulated, "statements": _by_hand, "broker": _at_broker}[account.account.filled_by]
    following = calendar.next(session)
    days = _Days(report, session, following, *calendar.hours(following))
    lineage = ("kedro viz run", "see the lineage of every table")
    tracked = (in_environment("kedro mlflow ui", report.account), "compare the training runs")
    return (*steps(days, account.execution), lineage, tracked)


@dataclass(frozen=True)
class _Days:
    """The session of the decision and the next one with its hours, and how commands are written for them."""

    report: ReportParameters
    session: pd.Timestamp
    following: pd.Timestamp
    opens_at: pd.Timestamp
    closes_at: pd.Timestamp

    def command(self, words: str, as_of: pd.Timestamp, **more: str) -> str:
        repeated = {key: value for key, value in self.report.repeat.items() if value}
        given = {"as_of": f"{as_of:%Y-%m-%d}"} | repeated | more
        parameters = shlex.quote(",".join(f"{key}={value}" for key, value in given.items()))
        return in_environment(f"{words} --params {parameters}", self.report.account)

    @property
    def look(self) -> str:
        return self.command("kedro run --pipelines execution", self.session, dry_run="true")

    @property
    def go_on(self) -> str:
        return self.command("kedro run --pipelines daily", self.following)


def _simulated(days: _Days, execution: ExecutionRules) -> Iterator[Step]:
    yield days.look, "see the orders with their risk verdicts; without dry_run the limits judge them"
    yield days.go_on, "execute the orders and go on to the next session"


def _by_hand(days: _Days, execution: ExecutionRules) -> Iterator[Step]:
    opens = _moment(days.opens_at)
    yield in_environment("kedro account orders", days.report.account), f"the orders to execute by hand, from {opens} on"
    yield days.go_on, f"after {_moment(days.closes_at)}, with the new statement: go on to the next session"


def _at_broker(days: _Days, execution: ExecutionRules) -> Iterator[Step]:
    opens, closes = _moment(days.opens_at), _moment(days.closes_at)
    yield days.look, "now: see the orders with their risk verdicts"
    if execution.needs_arming:
        yield days.command("kedro account arm", days.session), f"before {opens}: let the session send real orders"
    when = f"from {opens} on"
    if execution.time_in_force is TimeInForce.OPENING:
        when = f"before the opening auction of {opens}"
    elif execution.time_in_force is TimeInForce.CLOSING:
        when = f"before the closing auction of {closes}"
    yield days.command("kedro run --pipelines execution", days.session), f"{when}: send the orders"
    yield days.go_on, f"after {closes}: book the session and decide on the next one"


def _moment(moment: pd.Timestamp) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
