"""What the report says about the run itself: where it stands, what to type next, where the numbers come from."""

from __future__ import annotations

import calendar as weekdays
import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, assert_never

import pandas as pd

from quant_pipeline import __version__
from quant_pipeline.common.environments import in_environment
from quant_pipeline.common.parameters import as_configured
from quant_pipeline.exchange.rules import MarketRules
from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.market.clock import execution_session
from quant_pipeline.market.currencies import unit_of_amounts
from quant_pipeline.pipelines.backtest.facts import hash_of_parameters
from quant_pipeline.pipelines.order_generation.parameters import OrderGenerationParameters
from quant_pipeline.pipelines.reporting.next_steps import AccountInReport, Step, next_steps
from quant_pipeline.pipelines.reporting.parameters import ReportParameters
from quant_pipeline.strategy.schedule import Schedule
from quant_pipeline.trading.ledger.account import owners_cash
from quant_pipeline.trading.ledger.events import Event
from quant_pipeline.trading.orders.remarks import account_remarks

LIBRARIES = ("kedro", "pandas", "numpy", "pyqlib", "lightgbm", "torch", "plotly")


def _version(library: str) -> str:
    """Return the version of a library; Qlib has none for Python 3.13."""
    try:
        return version(library)
    except PackageNotFoundError:
        return "not installed"


VERSIONS = {
    "quant-pipeline": __version__,
    "Python": platform.python_version(),
    **{library: _version(library) for library in LIBRARIES},
}
"""What is installed; it cannot change while Python runs."""


@dataclass(frozen=True)
class ReportContext:
    """Where a report stands.

    Attributes
    ----------
    account, market
        Names; the account is also the environment.
    as_of, executes_in
        Session of the decision, and the one in which its orders execute.
    deal_price
        Field of the bar at which they execute.
    currency
        Of all amounts.
    horizon
        Sessions of the label.
    combination
        The combination whose score becomes orders.
    decides
        When the strategy decides, in words: ``each close``.
    backtest_hash
        What a backtest of the account's parameters says that it is of, see `hash_of_parameters`.
    not_backtested
        Sentence that names the rules of the orders which the backtests do not follow; empty without any.
    path
        Where the page lies.
    next_commands
        Pairs of a command and what it does, in the order of the day.
    flows
        Cash that the owner paid in (positive) or took out, by session up to that of the decision.
    remarks
        What stands above everything else: a trading state that is not active, with the command that lifts it.
    parameters
        All parameters of the run as JSON, without ``as_of``.
    versions
        Library to version.
    """

    account: str
    market: str
    as_of: pd.Timestamp
    executes_in: pd.Timestamp
    deal_price: str
    currency: str
    horizon: int
    combination: str
    decides: str
    backtest_hash: str
    not_backtested: str
    path: str
    next_commands: tuple[Step, ...]
    remarks: tuple[str, ...]
    flows: tuple[tuple[pd.Timestamp, float], ...]
    parameters: str
    versions: Mapping[str, str]

    def command(self, pipelines: str) -> str:
        """Return the command that runs pipelines on this account."""
        return in_environment(f"kedro run --pipelines {pipelines}", self.account)

    @property
    def parameters_hash(self) -> str:
        """First twelve digits of the SHA-256 of the parameters; equal on all days with equal settings."""
        return hashlib.sha256(self.parameters.encode()).hexdigest()[:12]


def describe_run(
    report: ReportParameters,
    as_of: str,
    market_rules: MarketRules,
    combination: str,
    horizon: int,
    parameters: Mapping[str, Any],
    account: AccountInReport | None = None,
) -> ReportContext:
    """Collect what the report says about its own run.

    Parameters
    ----------
    report
        Account, market and folder.
    as_of
        Session at whose close the pipeline stands.
    market_rules
        Names the calendar and the execution price.
    combination
        Name of the default combination.
    horizon
        Sessions of the label.
    parameters
        All parameters, as models or as plain mappings.
    account
        Who fills its orders, how they are sent, and its ledger; None takes a simulated account without events.
    """
    account = account or AccountInReport()
    session = pd.Timestamp(as_of)
    calendar = TradingCalendar.of(market_rules.calendar, session, session)
    settings = {key: as_configured(value) for key, value in parameters.items() if key != "as_of"}
    executes_in = execution_session(calendar, session)
    remarks = account_remarks(account.events, executes_in, account.account.filled_by)
    return ReportContext(
        account=report.account,
        market=report.market,
        as_of=session,
        executes_in=executes_in,
        deal_price=market_rules.deal_price,
        currency=unit_of_amounts(market_rules.calendar),
        horizon=horizon,
        combination=combination,
        decides=_decides(Schedule.model_validate(settings.get("strategy", {}).get("schedule", {}))),
        backtest_hash=hash_of_parameters(settings),
        not_backtested=OrderGenerationParameters.model_validate(settings.get("order_generation", {})).not_backtested,
        path=f"{report.path}/{as_of}/report.html",
        next_commands=next_steps(report, account, calendar, session),
        flows=_flows(account.events, session),
        remarks=tuple(in_environment(line, report.account) for line in remarks.lines),
        parameters=json.dumps(settings, indent=2, sort_keys=True, ensure_ascii=False),
        versions=VERSIONS,
    )


def _flows(events: Sequence[Event], session: pd.Timestamp) -> tuple[tuple[pd.Timestamp, float], ...]:
    by_session: dict[pd.Timestamp, float] = {}
    for event in events:
        amount = owners_cash(event)
        if amount and event.session <= session:
            by_session[event.session] = by_session.get(event.session, 0.0) + float(amount)
    return tuple(sorted(by_session.items()))


def _decides(schedule: Schedule) -> str:
    """Say when a strategy decides: ``each close``, ``the close of each Monday``."""
    match schedule.frequency:
        case "daily":
            return "each close"
        case "weekly":
            return f"the close of each {weekdays.day_name[schedule.phase]}"
        case "every_n_sessions":
            return f"one close in {schedule.sessions}"
        case unknown:
            assert_never(unknown)
