"""Nodes of execution; those that reach the broker do it through the gateway, and through nothing else."""

import hashlib
import logging
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import pandas as pd

from quant_pipeline.common.environments import in_environment
from quant_pipeline.common.exceptions import StaleDataError
from quant_pipeline.common.exit_status import ExitStatus
from quant_pipeline.common.json_files import parse_object
from quant_pipeline.common.listing import say_first
from quant_pipeline.market.point_in_time import known_at
from quant_pipeline.pipelines.execution.page import compose_execution_page
from quant_pipeline.pipelines.execution.summary import summary_of_dry_run, summary_of_run
from quant_pipeline.pipelines.execution.tables import (
    breaks_table,
    market_table,
    order_states_table,
    verdict_table,
    verdicts_of,
)
from quant_pipeline.pipelines.wiring import takes_records
from quant_pipeline.strategy.reasons import NOT_SENT, not_carried_out
from quant_pipeline.trading.brokers.adapter import Exchange
from quant_pipeline.trading.brokers.gateway import DeskRules, Gateway
from quant_pipeline.trading.ledger.events import Event, EventKind
from quant_pipeline.trading.orders.desk import TradingDesk
from quant_pipeline.trading.orders.execution import execute, judge, recover, verdict_events
from quant_pipeline.trading.orders.outcome import Outcome, outcome_of
from quant_pipeline.trading.orders.risk_inputs import instrument_views
from quant_pipeline.trading.orders.risk_limits import RiskLimits
from quant_pipeline.trading.orders.risk_view import InstrumentView
from quant_pipeline.trading.orders.windows import refuse_too_early

logger = logging.getLogger(__name__)


def describe_instruments(
    bars: pd.DataFrame,
    instruments: pd.DataFrame,
    universe_members: pd.DataFrame,
    sessions: pd.DataFrame,
    risk: RiskLimits,
    as_of: str,
) -> pd.DataFrame:
    """Return what the risk check must know of every instrument at the close of ``as_of``.

    Returns
    -------
    pandas.DataFrame
        See `quant_pipeline.pipelines.execution.tables.market_table`.

    Raises
    ------
    StaleDataError
        When ``as_of`` has not been ingested.
    """
    days, bars = known_at(as_of, sessions, bars)
    table = market_table(bars, instruments, universe_members, days, risk.volume_window)
    nameless = table.loc[table["member"] & (table["sector"] == ""), "instrument"]
    if len(nameless):
        logger.warning(
            "%d instruments, %s among them, have no sector: risk.max_sector_weight does not hold them. Name their "
            "sectors in the market source.",
            len(nameless),
            nameless.iloc[0],
        )
    return table


@takes_records(exchange=Exchange.at_close, rules=DeskRules.of)
def judge_orders(
    trading_desk: Gateway,
    events: Sequence[Event],
    execution_market: pd.DataFrame,
    exchange: Exchange,
    rules: DeskRules,
    dry_run: bool,
) -> pd.DataFrame:
    """Settle what an earlier run left, then ask the limits about the plan of the next session.

    Parameters
    ----------
    trading_desk
        The way to the broker.
    events
        The ledger with the plan recorded.
    execution_market
        What is known of the instruments.
    exchange
        The market and its rules, up to the session of the decision.
    rules
        The account, how it sends, and its limits.
    dry_run
        Only look: neither the ledger nor the broker is changed.

    Returns
    -------
    pandas.DataFrame
        One row per order of the plan, see `quant_pipeline.pipelines.execution.tables.verdict_table`.

    Raises
    ------
    ConfigurationError
        When the broker would execute the orders at another price than ``market_rules.deal_price``.
    StaleDataError
        When it is too early to send orders of the session; a dry run may look at any time.
    """
    session = exchange.execution_session()
    plan = _newest_plan(events, session)
    with trading_desk.open(session, rules, exchange, takes_lease=not dry_run) as desk:
        if not dry_run:
            recover(desk)
            refuse_too_early(desk)
        market = _as_the_broker_sees(desk, instrument_views(execution_market), plan)
        decided = exchange.sessions[-1] if plan is None else plan.session
        age = len(exchange.sessions) - 1 - int(exchange.sessions.get_indexer([decided])[0])
        verdicts = judge(desk, market, age)
        table = verdict_table(
            desk.journal.book, verdicts, session, _provenance(plan, exchange.sessions[-1], rules.limits)
        )
    # What is denied comes first: the rest goes as it was decided.
    lines = (
        f"{row.side:<4} {row.quantity:7g} {row.instrument:<6} at {float(row.reference_price):.2f}: "
        f"{row.message or row.verdict}"
        for row in table.sort_values("verdict", key=lambda verdict: verdict != "denied", kind="stable").itertuples()
    )
    _say_orders(lines, rules.account)
    if len(table) and not dry_run and (table["verdict"] == "denied").all():
        command = in_environment("kedro account replan", rules.account)
        logger.warning("nothing may be sent; when the cause is removed, `%s` asks the limits again", command)
    return table


def _provenances(risk_verdicts: pd.DataFrame) -> list[dict[str, Any]]:
    try:
        return [parse_object(text) for text in risk_verdicts["provenance"]]
    except (TypeError, ValueError) as error:
        raise StaleDataError(
            f"the stored verdicts do not say what was judged ({error}). Ask for new ones: "
            "`kedro run --pipelines execution`"
        ) from error


def record_verdicts(risk_verdicts: pd.DataFrame, dry_run: bool) -> tuple[Event, ...]:
    """Record orders and denials before anything is sent.

    Returns
    -------
    tuple of Event
        One per new verdict; none in a dry run.
    """
    if dry_run or risk_verdicts.empty:
        return ()
    session, provenance = risk_verdicts["deal_session"].iloc[0], _provenances(risk_verdicts)[0]
    return verdict_events(verdicts_of(risk_verdicts), session, provenance)


@takes_records(exchange=Exchange.at_close, rules=DeskRules.of)
def send_orders(
    trading_desk: Gateway,
    ledger_recorded: Sequence[Event],
    execution_market: pd.DataFrame,
    exchange: Exchange,
    rules: DeskRules,
    dry_run: bool,
) -> tuple[pd.DataFrame, pd.DataFrame, Outcome]:
    """Send the recorded orders: sales, then buys; follow them to their end and compare with the broker.

    Parameters
    ----------
    trading_desk
        The way to the broker.
    ledger_recorded
        The ledger with the orders recorded; that it is an input lets this node come after.
    execution_market
        What is known of the instruments.
    exchange
        The market and its rules, up to the session of the decision.
    rules
        The account, how it sends, and its limits.
    dry_run
        Send nothing.

    Returns
    -------
    tuple
        Orders with what became of them, the breaks between books and broker, and the outcome with its reasons.
    """
    session = exchange.execution_session()
    with trading_desk.open(session, rules, exchange, takes_lease=not dry_run) as desk:
        if dry_run:
            logger.info("this was a dry run: nothing was recorded and nothing was sent")
            return order_states_table(desk.journal.book, session, {}), breaks_table(()), outcome_of(desk)
        breaks = execute(desk, instrument_views(execution_market), 0)
        orders, outcome = order_states_table(desk.journal.book, session, desk.held_back), outcome_of(desk, breaks)
    lines = (
        f"{row.side:<4} {row.quantity:7g} {row.instrument:<6} {row.state}, executed {row.filled:g}"
        for row in orders.itertuples(index=False)
    )
    _say_orders(lines, rules.account)
    differences = (f"{found.what}: {found.ledger} in the books, {found.broker} at the broker" for found in breaks)
    command = in_environment("`kedro account reconcile`", rules.account)
    say_first(partial(logger.error, "%s"), differences, whole=command)
    return orders, breaks_table(breaks), outcome


def _say_orders(lines: Iterable[str], account: str) -> None:
    say_first(partial(logger.info, "%s"), lines, whole=in_environment("`kedro account orders`", account))


def report_execution(
    risk_verdicts: pd.DataFrame,
    execution_orders: pd.DataFrame,
    execution_outcome: Outcome,
    as_of: str,
    dry_run: bool,
    execution_folder: str,
) -> tuple[pd.DataFrame, str, str, int]:
    """Write the page of verdicts, orders and breaks, the summary, and the exit status.

    Returns
    -------
    tuple
        One row per order for CSV, one HTML page, plain text, and the status with which the command ends.
    """
    sent = execution_orders[["client_order_id", "quantity", "filled", "average_price", "state"]]
    limits = sorted({source["limits"] for source in _provenances(risk_verdicts) if "limits" in source})
    verdicts = risk_verdicts.drop(columns=["provenance", "is_new", "deal_session"])
    verdicts = verdicts.rename(columns={"quantity": "planned"})
    table = verdicts.merge(sent, on="client_order_id", how="left", validate="one_to_one")
    table["state"] = table["state"].fillna("not sent")
    orders = {order.tracked.order.client_order_id: order for order in execution_outcome.orders}
    told_since = table["client_order_id"].map({name: order.reason for name, order in orders.items()}).fillna("")
    table["message"] = table["message"].where(told_since == "", told_since)
    table["reason"] = [
        orders[row.client_order_id].tracked.reason(row.message)
        if row.client_order_id in orders
        else not_carried_out(row.reason, NOT_SENT, "this was a dry run" if dry_run and not row.code else row.message)
        for row in table.itertuples(index=False)
    ]
    page = compose_execution_page(table, execution_outcome, as_of, dry_run, limits)
    place = f"{execution_folder}/{as_of}/execution.html"
    if dry_run:
        return table, page, summary_of_dry_run(execution_outcome, risk_verdicts, place), int(ExitStatus.DONE)
    return table, page, summary_of_run(execution_outcome, place), int(execution_outcome.status)


def _newest_plan(events: Sequence[Event], session: pd.Timestamp) -> Event | None:
    """Return the plan that holds for the session: the last one recorded for it."""
    session_text = f"{session:%Y-%m-%d}"
    plans = [e for e in events if e.kind is EventKind.PLAN_RECORDED and e.payload["deal_session"] == session_text]
    return plans[-1] if plans else None


def _as_the_broker_sees(
    desk: TradingDesk, market: dict[str, InstrumentView], plan: Event | None
) -> dict[str, InstrumentView]:
    """Mark what the plan wants and the broker does not trade."""
    for name in sorted({order["instrument"] for order in plan.payload["orders"]} if plan else ()):
        asset = desk.ask(partial(desk.broker.asset, name))
        if name in market and (asset is None or not asset.tradable):
            market[name] = market[name]._replace(tradable=False)
    return market


def _provenance(plan: Event | None, watermark: pd.Timestamp, limits: RiskLimits) -> dict[str, str]:
    """Return what the decision was made of, and by which limits it is judged."""
    if plan is None:
        return {}
    digest = hashlib.sha256(plan.content.encode()).hexdigest()
    facts = {"plan": plan.key, "plan_sha256": digest, "data": f"{watermark:%Y-%m-%d}"}
    facts["limits"] = limits.fingerprint
    return {**plan.payload.get("provenance", {}), **facts}
