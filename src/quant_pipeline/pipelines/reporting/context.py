"""What the report says about the run itself: where it stands, what to type next, where the numbers come from."""

from __future__ import annotations

import calendar as weekdays
import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any, assert_never

import pandas as pd

from quant_pipeline import __version__
from quant_pipeline.common.environments import in_environment
from quant_pipeline.common.listing import first_of
from quant_pipeline.common.parameters import as_configured
from quant_pipeline.exchange.rules import MarketRules
from quant_pipeline.factors.labels import describe_label, expression_of
from quant_pipeline.factors.model_label import ModelLabel
from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.market.clock import DealPrice, execution_session
from quant_pipeline.market.currencies import unit_of_amounts
from quant_pipeline.pipelines.backtest.facts import hash_of_parameters
from quant_pipeline.pipelines.features.nodes import LabelParameters
from quant_pipeline.pipelines.order_generation.parameters import OrderGenerationParameters
from quant_pipeline.pipelines.reporting.next_steps import AccountInReport, Step, next_steps
from quant_pipeline.pipelines.reporting.parameters import ReportParameters
from quant_pipeline.project.backtest_folder import OWN
from quant_pipeline.strategy.schedule import Schedule, decides_on
from quant_pipeline.trading.ledger.account import owners_cash
from quant_pipeline.trading.ledger.events import Event, EventKind
from quant_pipeline.trading.orders.remarks import AccountRemarks, account_remarks

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
    other_labels
        Sentence that names models which learned other returns than all are measured on; empty without any.
    combination
        The combination whose score becomes orders.
    decides
        When the strategy decides, in words: ``each close``.
    is_decided
        Whether it decides at the close of this session.
    backtest_hash
        What a backtest of the account's parameters says that it is of, see `hash_of_parameters`.
    not_backtested
        Sentences that say what keeps the backtest from being one of the orders: rules that it does not follow, other
        versions of models, other parameters than the account's; empty without any.
    scored_by
        Bundle by model behind the newest plan.
    path
        Where the page lies.
    next_commands
        Pairs of a command and what it does, in the order of the day.
    flows
        Cash that the owner paid in (positive) or took out, by session up to that of the decision.
    remarks
        What stands above everything else: a trading state that is not active, with the command that lifts it.
    denials
        Which orders the trading state denies, and what to say of them.
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
    other_labels: str
    combination: str
    decides: str
    is_decided: bool
    backtest_hash: str
    not_backtested: str
    scored_by: Mapping[str, str]
    path: str
    next_commands: tuple[Step, ...]
    remarks: tuple[str, ...]
    denials: AccountRemarks
    flows: tuple[tuple[pd.Timestamp, float], ...]
    parameters: str
    versions: Mapping[str, str]

    def command(self, pipelines: str) -> str:
        """Return the command that runs pipelines on this account."""
        return in_environment(f"kedro run --pipelines {pipelines}", self.account)

    def with_backtest(self, facts: Mapping[str, Any]) -> ReportContext:
        """Say which models of a stored backtest are in other versions than those that score now.

        Parameters
        ----------
        facts
            ``backtest_facts``; those of former versions do not state their bundles.
        """
        behind = facts.get("bundles", {})
        others = [name for name, bundle in behind.items() if self.scored_by.get(name, bundle) != bundle]
        if facts.get("hash") != self.backtest_hash or not others:
            return self
        said = (
            f"The backtest is of other versions of {first_of(others)} than the orders; "
            f"`{self.command('ensemble,backtest')}` makes one of the newest training."
        )
        return replace(self, not_backtested=f"{said} {self.not_backtested}".rstrip())

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
    schedule = Schedule.model_validate(settings.get("strategy", {}).get("schedule", {}))
    remarks = account_remarks(account.events, executes_in, account.account.filled_by)
    return ReportContext(
        account=report.account,
        market=report.market,
        as_of=session,
        executes_in=executes_in,
        deal_price=market_rules.deal_price,
        currency=unit_of_amounts(market_rules.calendar),
        horizon=horizon,
        other_labels=_other_labels(settings, market_rules.deal_price),
        combination=combination,
        decides=decides_at(schedule),
        is_decided=decides_on(calendar, session, schedule),
        backtest_hash=hash_of_parameters(settings),
        not_backtested=_not_backtested(report, settings),
        scored_by=_scored_by(account.events, session),
        path=f"{report.path}/{as_of}/report.html",
        next_commands=next_steps(report, account, calendar, session),
        flows=_flows(account.events, session),
        remarks=tuple(in_environment(line, report.account) for line in remarks.lines),
        denials=remarks,
        parameters=json.dumps(settings, indent=2, sort_keys=True, ensure_ascii=False),
        versions=VERSIONS,
    )


def _not_backtested(report: ReportParameters, settings: Mapping[str, Any]) -> str:
    """Name a backtest that is not the account's own, and the rules of the orders that no backtest follows."""
    orders = OrderGenerationParameters.model_validate(settings.get("order_generation", {}))
    name = report.backtest.rpartition("/")[2]
    other = (
        ""
        if report.backtest == OWN
        else f"This is backtest {name}, of the --params of this run: not the account's own."
    )
    return f"{other} {orders.not_backtested}".strip()


def _other_labels(settings: Mapping[str, Any], deal_price: DealPrice) -> str:
    """Say which models learned other returns than those of the label that all are measured on."""
    common = LabelParameters.model_validate(settings.get("label", {}))
    measured = expression_of(common, deal_price)
    own = {
        name: expression_of(ModelLabel.model_validate(entry["label"]), deal_price)
        for name, entry in settings.get("models", {}).items()
        if entry.get("enabled", True) and entry.get("label")
    }
    others = first_of(f"{describe_label(label)} ({name})" for name, label in own.items() if label != measured)
    if not others:
        return ""
    return f"All are measured on the label of the account ({describe_label(measured)}), although some learned {others}."


def _scored_by(events: Sequence[Event], session: pd.Timestamp) -> dict[str, str]:
    """Return the bundles behind the newest plan that was decided up to a session, by model."""
    plans = [event for event in events if event.kind is EventKind.PLAN_RECORDED and event.session <= session]
    origin = plans[-1].payload.get("provenance", {}) if plans else {}
    prefix = "bundle."
    return {name.removeprefix(prefix): str(made) for name, made in origin.items() if name.startswith(prefix)}


def _flows(events: Sequence[Event], session: pd.Timestamp) -> tuple[tuple[pd.Timestamp, float], ...]:
    by_session: dict[pd.Timestamp, float] = {}
    for event in events:
        amount = owners_cash(event)
        if amount and event.session <= session:
            by_session[event.session] = by_session.get(event.session, 0.0) + float(amount)
    return tuple(sorted(by_session.items()))


def decides_at(schedule: Schedule) -> str:
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
