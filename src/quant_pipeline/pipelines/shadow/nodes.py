"""Nodes of the shadow account: replay what is new, and raise an alert for what has no cause."""

import logging
from collections.abc import Sequence

import pandas as pd

from quant_pipeline.exchange.shared_market import market_of
from quant_pipeline.pipelines.shadow.again import Deciding, EarlierScores
from quant_pipeline.pipelines.shadow.parameters import ShadowParameters
from quant_pipeline.pipelines.wiring import takes_records
from quant_pipeline.trading.activities.booked import alert
from quant_pipeline.trading.brokers.adapter import Exchange
from quant_pipeline.trading.ledger.events import Event, EventKind
from quant_pipeline.trading.ledger.session_effects import walk_effects
from quant_pipeline.trading.shadow.causes import ShadowSession, compare_session
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
    **earlier_scores: pd.DataFrame | None,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, tuple[Event, ...]]:
    """Replay the sessions that have not been replayed yet, the newest one with its decision made again.

    Parameters
    ----------
    events
        The ledger with the session booked.
    exchange, deciding
        The market up to the session, and the rules of backtest and orders.
    scores, **earlier_scores
        Scores of the session before.
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
    closed = [e.session for e in events if e.kind is EventKind.SESSION_CLOSED and e.session <= newest]
    known = set() if shadow_sessions_found is None else set(shadow_sessions_found["date"])
    wanted = [day for day in closed[-shadow.sessions :] if day not in known or day == newest]
    compared, again = compare_sessions(events, exchange, deciding, scores.of(earlier_scores), wanted)
    tables = (
        sessions_table(compared, again),
        differences_table(compared),
        shortfall_table(compared, exchange.bars, exchange.corporate_actions),
    )
    found = (shadow_sessions_found, shadow_differences_found, order_shortfall_found)
    days = {each.session for each in compared}
    whole = tuple(_joined(old, new, days) for old, new in zip(found, tables, strict=True))
    alerts = tuple(event for each in compared for event in _alerts(each, shadow))
    return whole[0], whole[1], whole[2], alerts


def compare_sessions(
    events: Sequence[Event],
    exchange: Exchange,
    deciding: Deciding,
    sources: dict[str, pd.DataFrame],
    wanted: Sequence[pd.Timestamp],
) -> tuple[list[ShadowSession], list[pd.Timestamp]]:
    """Replay sessions, the newest of the market with its decision made again.

    Parameters
    ----------
    events, exchange, deciding
        See `compare_with_shadow`.
    sources
        Scores of the session before the newest one, by source.
    wanted
        Booked sessions, in their order.

    Returns
    -------
    tuple
        The sessions compared, and those of which the decision could be made again.
    """
    if not wanted:
        return [], []
    newest = exchange.sessions[-1]
    closed = [event.session for event in events if event.kind is EventKind.SESSION_CLOSED]
    before = closed[closed.index(newest) - 1] if newest in closed[1:] else None
    again = None if before is None else deciding.again(before, events, sources)
    is_simulated = deciding.account.filled_by == "simulation"
    compared = [
        compare_session(effects, events, exchange, is_simulated, again if effects.session == newest else None)
        for effects in walk_effects(events, market_of(*exchange.parts[:-1]), wanted[0], newest)
        if effects.session in wanted
    ]
    return compared, [newest] if again is not None else []


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
