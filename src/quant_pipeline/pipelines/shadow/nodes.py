"""Nodes of the shadow account: replay what is new, and raise an alert for what has no cause."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pandas as pd

from quant_pipeline.exchange.shared_market import market_of
from quant_pipeline.pipelines.shadow.again import Deciding, EarlierScores, Tables
from quant_pipeline.pipelines.shadow.parameters import ShadowParameters
from quant_pipeline.pipelines.wiring import takes_records
from quant_pipeline.trading.activities.booked import alert
from quant_pipeline.trading.brokers.adapter import Exchange
from quant_pipeline.trading.ledger.events import Event, EventKind
from quant_pipeline.trading.ledger.session_effects import REVISING, walk_effects
from quant_pipeline.trading.shadow.causes import ShadowSession, compare_session
from quant_pipeline.trading.shadow.session_orders import planned_for
from quant_pipeline.trading.shadow.shortfall import shortfall_table
from quant_pipeline.trading.shadow.tables import differences_table, sessions_table

logger = logging.getLogger(__name__)

UNEXPLAINED = "SHADOW_UNEXPLAINED"
"""Code of the alert about a difference without a cause."""


@takes_records(exchange=Exchange.at_close, deciding=Deciding.of, scores=EarlierScores)
def compare_with_shadow(
    events: Sequence[Event],
    exchange: Exchange,
    deciding: Deciding,
    scores: EarlierScores,
    shadow: ShadowParameters,
    shadow_sessions_found: pd.DataFrame | None,
    shadow_differences_found: pd.DataFrame | None,
    order_shortfall_found: pd.DataFrame | None,
    **earlier_scores: Tables,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, tuple[Event, ...]]:
    """Replay the sessions that have not been replayed yet, each with its decision made again where its scores are kept.

    Parameters
    ----------
    events
        The ledger with the session booked.
    exchange, deciding
        The market up to the session, and the rules of backtest and orders.
    scores, **earlier_scores
        Scores of the sessions before.
    shadow
        How many sessions a first run replays, and the limit of the alert.
    shadow_sessions_found, shadow_differences_found, order_shortfall_found
        What earlier runs have found; None before the first.

    Returns
    -------
    tuple
        Account and shadow by session (`sessions_table`), every difference (`differences_table`), the shortfall of every
        planned order (`shortfall_table`), and the alert that is to be appended to the ledger, if any.
    """
    newest = exchange.sessions[-1]
    closed = _closed(events, newest)
    known = set() if shadow_sessions_found is None else set(shadow_sessions_found["date"])
    wanted = [day for day in closed[-shadow.sessions :] if day not in known or day == newest]
    for day, before in after_a_gap(closed, exchange.sessions).items():
        if day in wanted and day >= max(known, default=day):
            logger.warning("%s", words_of_gap(day, before))
    scores = replace(scores, models=earlier_scores)
    compared, again = compare_sessions(events, exchange, deciding, scores, wanted)
    days = {each.session for each in compared}
    # What a session was is not changed by what comes later, but what its orders have really cost is.
    revised = (_revised(events, set(wanted)) & known) - days
    measured = [*compare_sessions(events, exchange, deciding, scores, sorted(revised))[0], *compared]
    sessions = _joined(shadow_sessions_found, sessions_table(compared, again), days)
    differences = _joined(shadow_differences_found, differences_table(compared), days)
    shortfall = shortfall_table(measured, exchange.bars, exchange.corporate_actions, events)
    alerts = tuple(event for each in compared for event in _alerts(each, shadow))
    return sessions, differences, _joined(order_shortfall_found, shortfall, days | revised), alerts


def compare_sessions(
    events: Sequence[Event],
    exchange: Exchange,
    deciding: Deciding,
    scores: EarlierScores,
    wanted: Sequence[pd.Timestamp],
) -> tuple[list[ShadowSession], list[pd.Timestamp]]:
    """Replay sessions, each with its decision made again where its scores are kept.

    Parameters
    ----------
    events, exchange, deciding
        See `compare_with_shadow`.
    scores
        Scores of the sessions before, by source.
    wanted
        Booked sessions, in their order. One whose session before was never closed is left out, see `after_a_gap`: its
        change is that of several sessions, and the backtest makes one of it.

    Returns
    -------
    tuple
        The sessions compared, and those of which the decision could be made again.
    """
    closed = _closed(events, exchange.sessions[-1])
    gaps, before = after_a_gap(closed, exchange.sessions), dict(zip(closed[1:], closed, strict=False))
    days = [day for day in wanted if day not in gaps]
    if not days:
        return [], []
    is_simulated = deciding.account.filled_by == "simulation"
    compared, again = [], []
    market = market_of(*exchange.parts[:-1])
    for effects in walk_effects(events, market, days[0], days[-1]):
        day = effects.session
        if day not in days:
            continue
        decided = deciding.again(before[day], events, scores, market) if day in before else None
        compared.append(compare_session(effects, events, exchange, is_simulated, decided))
        again += [day] if decided is not None else []
    return compared, again


def after_a_gap(closed: Sequence[pd.Timestamp], sessions: pd.DatetimeIndex) -> dict[pd.Timestamp, pd.Timestamp]:
    """Find the booked sessions whose session before was never closed, each with the last close before it.

    Parameters
    ----------
    closed
        Booked sessions, in their order.
    sessions
        All sessions of the market.
    """
    places = dict(zip(closed, sessions.get_indexer(closed).tolist(), strict=True))
    return {day: before for before, day in pairwise(closed) if places[day] != places[before] + 1}


def words_of_gap(day: pd.Timestamp, before: pd.Timestamp) -> str:
    """Say why a session is not compared with the backtest."""
    return (
        f"{day:%Y-%m-%d} is not compared with the backtest: the close before it is that of {before:%Y-%m-%d}, so that "
        "it holds more than one session; see `kedro account missed`"
    )


def _closed(events: Sequence[Event], newest: pd.Timestamp) -> list[pd.Timestamp]:
    return [e.session for e in events if e.kind is EventKind.SESSION_CLOSED and e.session <= newest]


def _revised(events: Sequence[Event], days: set[pd.Timestamp]) -> set[pd.Timestamp]:
    """Return the sessions of orders whose fills were corrected, busted, taken back or booked late in some sessions."""
    filled = {event.key: event.session for event in events if event.kind is EventKind.FILL}
    planned = planned_for(events)
    late = {session for key, (session, _) in planned.items() if filled[key] in days and session < filled[key]}
    revising = (event.payload for event in events if event.kind in REVISING and event.session in days)
    keys = [key for facts in revising for key in facts.get("events", [facts.get("fill")]) if key in filled]
    return late | {filled[key] for key in keys} | {planned[key][0] for key in keys if key in planned}


def _joined(old: pd.DataFrame | None, new: pd.DataFrame, days: set[pd.Timestamp]) -> pd.DataFrame:
    if old is None or old.empty:
        return new
    kept = old[~old["date"].isin(list(days))]
    table = pd.concat([kept, new], ignore_index=True) if len(new) else kept
    return table.sort_values("date", kind="stable", ignore_index=True)


def _alerts(each: ShadowSession, shadow: ShadowParameters) -> tuple[Event, ...]:
    """Raise an alert about what has no cause, where it exceeds the limit."""
    unexplained = each.by_cause()["unexplained"]
    bps = float(abs(unexplained) / each.base * 10_000) if each.base > 0 else (float("inf") if unexplained else 0.0)
    if bps <= shadow.max_unexplained_bps:
        return ()
    day = f"{each.session:%Y-%m-%d}"
    message = (
        f"{float(unexplained):+,.2f} of the difference between the account and its shadow on {day} have no cause "
        f"({bps:.1f} bp, limit {shadow.max_unexplained_bps:g}); kedro account explain {day}"
    )
    logger.warning("%s", message)
    return (alert(each.session, f"shadow:{day}", UNEXPLAINED, message),)
