"""Nodes of order generation: the orders of the next session, the opinion of every model, the plan in the ledger."""

import logging
from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from quant_pipeline.common.environments import in_environment
from quant_pipeline.exchange.rules import MarketRules
from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.market.clock import execution_session
from quant_pipeline.market.currencies import unit_of_amounts
from quant_pipeline.pipelines.ensemble.parameters import EnsembleParameters
from quant_pipeline.pipelines.order_generation.decision import (
    DecisionRules,
    Situation,
    add_alternates,
    explain_unscored,
    mark_denied,
    require_coverage,
)
from quant_pipeline.pipelines.order_generation.limits import unknown_names
from quant_pipeline.pipelines.order_generation.opinions import compare_opinions, opinions_of_sources
from quant_pipeline.pipelines.order_generation.page import compose_opinion_page, draw_ranks, write_header
from quant_pipeline.pipelines.order_generation.parameters import FUSED, OrderGenerationParameters
from quant_pipeline.pipelines.order_generation.sources import (
    InForce,
    choose_source,
    fingerprint_of_scores,
    provenance_of,
    scores_by_source,
    sources_of_session,
)
from quant_pipeline.pipelines.wiring import takes_records
from quant_pipeline.strategy.account_parameters import AccountParameters
from quant_pipeline.trading.ledger.events import Event
from quant_pipeline.trading.orders.plans import record_plan
from quant_pipeline.trading.orders.remarks import account_remarks
from quant_pipeline.trading.orders.risk_limits import RiskLimits

logger = logging.getLogger(__name__)


@takes_records(situation=Situation.at, rules=DecisionRules, in_force=InForce)
def generate_orders(
    score_file: pd.DataFrame | None,
    situation: Situation,
    rules: DecisionRules,
    ensemble: EnsembleParameters,
    universe_members: pd.DataFrame,
    in_force: InForce,
    risk: RiskLimits,
    latest_fused_scores: pd.DataFrame | None = None,
    **latest_scores: pd.DataFrame,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Turn the scores of the chosen source into the orders of the next session.

    Parameters
    ----------
    score_file
        ``datetime``, ``instrument``, ``score`` made elsewhere; None when there is no file.
    situation
        Account and market at the close of the session of the decision; the orders execute in the next one.
    rules, ensemble
        The rules that the backtest uses, the chosen source, and the default combination.
    universe_members
        ``date``, ``instrument``: who may be traded.
    in_force
        What scores must have been made by.
    risk
        Limits of the account: what the orders exceed of them is logged with the rule that keeps below.
    latest_fused_scores
        ``datetime``, ``instrument``, ``combination``, ``score`` of the session; None when the scores of a file become
        the orders.
    **latest_scores
        ``<model>_latest_scores``: panel with column ``score``; none then either.

    Returns
    -------
    tuple of pandas.DataFrame
        For Parquet: ``instrument``, ``side`` (``sell``, ``buy``, ``hold``), ``quantity``, ``reference_price`` (close),
        ``estimated_value``, ``score``, ``rank``, ``reason``. For CSV the same with the alternates, flagged,
        and with what the trading state of the account denies.

    Raises
    ------
    ConfigurationError
        When the scores predict returns between other prices than those that orders execute at.
    StaleDataError
        When the scores are not of that session, were made by bundles or weights that are not in force any more, or
        cover too small a part of the universe.
    """
    session, own = situation.session, rules.order_generation
    sources = scores_by_source(latest_fused_scores, latest_scores, score_file)
    today = choose_source(sources, own.source, ensemble, session, rules.market_rules.deal_price)
    in_force.require(_name(own, ensemble), today)
    members = pd.Index(universe_members.loc[universe_members["date"] == session, "instrument"])
    scores = today.set_index("instrument")["score"]
    require_coverage(scores, members, own.min_coverage, session)
    orders = explain_unscored(situation.decide_by_schedule(scores, rules), members)
    value = orders["quantity"] * orders["reference_price"]
    orders.insert(orders.columns.get_loc("reference_price") + 1, "estimated_value", value)
    for remark in (*unknown_names(rules.strategy, situation.prices.index), *situation.planned(orders).exceeded(risk)):
        logger.warning("%s", remark)
    with_alternates = add_alternates(orders, scores, situation, rules)
    return orders, mark_denied(with_alternates, situation)


@takes_records(situation=Situation.at, rules=DecisionRules)
def tell_opinions(
    score_file: pd.DataFrame | None,
    situation: Situation,
    orders_with_alternates: pd.DataFrame,
    rules: DecisionRules,
    ensemble: EnsembleParameters,
    latest_fused_scores: pd.DataFrame | None = None,
    **latest_scores: pd.DataFrame,
) -> tuple[pd.DataFrame, pd.DataFrame, go.Figure, str]:
    """Return what every source of scores would do with this account: models, combinations, the file.

    Returns
    -------
    tuple
        Opinions by source and instrument, the same side by side, the rank chart, and the page.
    """
    sources = scores_by_source(latest_fused_scores, latest_scores, score_file)
    sources = sources_of_session(sources, situation.session, rules.market_rules.deal_price)
    chosen = _name(rules.order_generation, ensemble)
    opinions = opinions_of_sources(sources, chosen, situation, rules)
    every = rules.order_generation.opinions_of_all
    comparison, figure = compare_opinions(opinions, every=every), draw_ranks(opinions)
    header = write_header(situation, chosen)
    as_of, currency = f"{situation.session:%Y-%m-%d}", unit_of_amounts(rules.market_rules.calendar)
    page = compose_opinion_page(comparison, orders_with_alternates, figure, header, as_of, currency)
    return opinions, comparison, figure, page


def record_orders(
    score_file: pd.DataFrame | None,
    events: Sequence[Event],
    orders: pd.DataFrame,
    ensemble: EnsembleParameters,
    order_generation: OrderGenerationParameters,
    market_rules: MarketRules,
    account: AccountParameters,
    as_of: str,
    latest_fused_scores: pd.DataFrame | None = None,
    **latest_scores: pd.DataFrame,
) -> tuple[Event, ...]:
    """Record the plan in the ledger before anything is sent, with the fingerprint of its scores and their bundles.

    Returns
    -------
    tuple of Event
        One event, or none when the very same plan is recorded.
    """
    decided = pd.Timestamp(as_of)
    sources = scores_by_source(latest_fused_scores, latest_scores, score_file)
    today = choose_source(sources, order_generation.source, ensemble, decided, market_rules.deal_price)
    name = _name(order_generation, ensemble)
    provenance = {"scores": name, "scores_sha256": fingerprint_of_scores(today)} | provenance_of(today)
    session = execution_session(_calendar(market_rules, decided), decided)
    for remark in account_remarks(events, session, account.filled_by).lines:
        logger.warning("%s", in_environment(remark, account.name))
    return record_plan(events, orders, decided, session, provenance, market_rules.deal_price)


def _name(order_generation: OrderGenerationParameters, ensemble: EnsembleParameters) -> str:
    return ensemble.default if order_generation.source == FUSED else order_generation.source


def _calendar(market_rules: MarketRules, session: pd.Timestamp) -> TradingCalendar:
    return TradingCalendar.of(market_rules.calendar, session, session)
