"""``kedro account why``: why an instrument is bought, sold, held or left alone, from its bars to its last fill."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from quant_pipeline.cli.account_queries import date_option, state_at
from quant_pipeline.cli.options import env_option, params_option
from quant_pipeline.cli.sessions import Place
from quant_pipeline.common.environments import in_environment
from quant_pipeline.common.exceptions import AccountError

if TYPE_CHECKING:
    import pandas as pd

    from quant_pipeline.cli.opened_account import Opened
    from quant_pipeline.strategy.rules import StrategyRules
    from quant_pipeline.trading.ledger.account import AccountState


@click.command()
@click.argument("instrument")
@date_option
@env_option
@params_option
@click.pass_obj
def why(metadata: Place, instrument: str, date: Any, env: str | None, params: dict[str, Any]) -> None:
    """Say why INSTRUMENT is bought, sold, held or left alone: universe, rank, decision, cash, limits, fills."""
    from quant_pipeline.cli.opened_account import open_account

    with open_account(metadata, env, params) as opened:
        state = state_at(opened, date)
        day = state.last_session
        if day is None:
            raise AccountError(f"'{opened.name}' has no close yet, so nothing has been decided")
    # Tables of a session lie under its date.
    with open_account(metadata, env, params | {"as_of": f"{day:%Y-%m-%d}"}) as opened:
        lines = [*_universe(opened, instrument, day), *_scores(opened, instrument, day)]
        lines += [*_decision(opened, instrument), *_holding(state, instrument), *_orders(opened, instrument, day)]
        click.echo(f"{instrument} at the close of {day:%Y-%m-%d}, account {opened.name}")
        for line in lines:
            click.echo(f"  {in_environment(line, opened.environment)}")


def _universe(opened: Opened, instrument: str, day: pd.Timestamp) -> list[str]:
    from quant_pipeline.cli.opened_account import rows_of
    from quant_pipeline.common.parameters import did_you_mean
    from quant_pipeline.market.universe import UniverseParameters, reasons_against

    if not opened.catalog.exists("universe_members"):
        return ["universe: no market has been ingested; run `kedro run --pipelines ingestion` first"]
    members = rows_of(opened.catalog, "universe_members", [instrument])
    if (members["date"] == day).any():
        return ["universe: a member of this session"]
    known = rows_of(opened.catalog, "instruments", [instrument])
    if known.empty:
        names = opened.catalog.load("instruments")["instrument"].astype(str)
        near = did_you_mean(instrument.upper(), names)
        return [f"universe: no member, the market does not know it{near}"]
    bars, rules = rows_of(opened.catalog, "bars", [instrument]), opened.project.rules("universe", UniverseParameters)
    named = opened.catalog.load("named_universes") if rules.name and "named_universes" in opened.catalog else None
    reasons = reasons_against(bars, known, rules, day, named) or ["its conditions were others when it was ingested"]
    return [f"universe: no member, {'; '.join(reasons)}"]


def _scores(opened: Opened, instrument: str, day: pd.Timestamp) -> list[str]:
    if not opened.catalog.exists("opinions"):
        is_newest = day == opened.state.last_session
        remedy = "; `kedro run --pipelines order_generation` makes them" if is_newest else ", and the session is over"
        return [f"scores: none were decided on at this close{remedy}"]
    opinions = opened.catalog.load("opinions")
    scored = opinions[opinions["rank"] > 0].groupby("source")["rank"].max()
    lines = []
    for row in opinions[opinions["instrument"] == instrument].itertuples(index=False):
        rank = f"rank {row.rank} of {scored[row.source]}, score {row.score:.6g}" if row.rank else "no score"
        chosen = ", which gives the orders" if row.is_chosen else ""
        lines.append(f"scores: {row.source}{chosen}: {rank}, would {_verb(row.opinion)}")
    return sorted(lines, key=lambda line: "which gives" not in line) or ["scores: no source has a score of it"]


def _verb(opinion: str) -> str:
    return {"BUY": "buy", "SELL": "sell", "HOLD": "hold"}.get(opinion, "do nothing")


def _decision(opened: Opened, instrument: str) -> list[str]:
    from quant_pipeline.strategy.rules import StrategyRules

    rules = opened.project.rules("strategy", StrategyRules)
    cap = "" if rules.max_weight == 1 else f", at most {rules.max_weight:.1%} of the account each"
    words = f"the strategy ({rules.method}) invests {rules.risk_degree:.0%} in the best {rules.topk}{cap}"
    if not opened.catalog.exists("orders_csv"):
        return [f"decision: none at this close; {words}"]
    orders = opened.catalog.load("orders_csv")
    rows = orders[orders["instrument"].astype(str) == instrument]
    if rows.empty:
        return [f"decision: nothing, {_why_nothing(opened, rules, instrument)}; {words}", _budget(orders)]
    lines = []
    for row in rows.itertuples(index=False):
        lines.append(f"decision: {row.side} {row.quantity:,} at about {row.reference_price:,.2f}; {row.reason}")
        remark = getattr(row, "remark", "")
        lines += [f"decision: {remark}"] if isinstance(remark, str) and remark not in row.reason else []
    return [*lines, f"decision: {words}", _budget(orders)]


def _why_nothing(opened: Opened, rules: StrategyRules, instrument: str) -> str:
    """Say why there is no order of an instrument that is not held."""
    if instrument in rules.blacklist:
        return "strategy.blacklist names it: it is never bought, and a holding is sold as soon as it can be"
    if instrument in rules.watchlist:
        return "strategy.watchlist names it: it is never bought, and a holding is kept or sold by its rank"
    if opened.catalog.exists("opinions"):
        opinions = opened.catalog.load("opinions")
        is_own = opinions["is_chosen"] & (opinions["instrument"] == instrument)
        if not (is_own & (opinions["rank"] > 0)).any():
            return "it is not held, and what gives the orders has no score of it"
    return "it is not held and others came first"


def _budget(orders: pd.DataFrame) -> str:
    """Say what the orders of the session bring and cost."""
    worth = (orders["quantity"] * orders["reference_price"]).groupby(orders["side"]).sum()
    return f"cash: sales bring about {worth.get('sell', 0.0):,.2f}, buys cost about {worth.get('buy', 0.0):,.2f}"


def _holding(state: AccountState, instrument: str) -> list[str]:
    held, cash = state.positions.get(instrument), f"cash: {state.cash:,.2f} in the account at the close"
    if held is None:
        return [cash, "holding: none"]
    cost = held.cost / held.quantity
    return [cash, f"holding: {held.quantity:f} shares at {cost:,.2f}, {held.sessions_held} sessions"]


def _orders(opened: Opened, instrument: str, day: pd.Timestamp) -> list[str]:
    """Say what became of its orders of the next session: the verdict of the limits, then the broker's."""
    from quant_pipeline.trading.orders.courses import OrderCourses

    sessions = sorted(session for session in opened.state.plans if session > day)
    if not sessions:
        return ["order: none"]
    plan = opened.state.plans[sessions[0]]
    courses, lines = OrderCourses.of(opened.book, opened.events), []
    for order in plan.orders:
        if order.instrument == instrument:
            course = courses.course(order, plan.execution_session)
            at = "" if course.price is None else f" at {course.price:,.2f}"
            said = f"; {course.message}" if course.message else ""
            lines.append(f"order: {order.side} {order.quantity:,} {course.state}, {course.filled:,g} filled{at}{said}")
    return lines or ["order: none"]
