"""One session of one account, compiled: the step of :mod:`~quant_pipeline.backtest.session_loop`.

A session runs in the order of the timing contract: corporate actions, fills of the orders decided at the previous
close, the close (net asset value), the decision.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from quant_pipeline.backtest.result import NET_ASSET_VALUE
from quant_pipeline.backtest.weight_multipliers import preferences
from quant_pipeline.common.compiled import inlined
from quant_pipeline.exchange.account_arrays import HELD, N_TOTALS, ORDERS, AccountArrays, net_asset_value, sessions_held
from quant_pipeline.exchange.costs import CostSchedule, CostTerms, cost_schedule, costs_of_session
from quant_pipeline.exchange.kernels import (
    ExchangeTerms,
    SessionQuotes,
    count_close,
    exchange_terms,
    execute_pending_orders,
)
from quant_pipeline.exchange.market import MarketArrays, TradingMarket
from quant_pipeline.exchange.rules import CostRules
from quant_pipeline.exchange.session_kernels import apply_session_actions, quotes_of_session
from quant_pipeline.strategy.fused_scores import FusedScores, ScoreTable, score_table
from quant_pipeline.strategy.placing import Decision
from quant_pipeline.strategy.ranking import DecisionBuffers
from quant_pipeline.strategy.rules import StrategyRules
from quant_pipeline.strategy.schedule import decision_flags
from quant_pipeline.strategy.terms import StrategyTerms, strategy_terms


class Run(NamedTuple):
    """What all accounts of a run share.

    ``table`` holds scores that are known after the close of their session, ``decides`` whether a session has a
    decision, ``preferred`` the factors of the weights, sessions × instruments; ``terms``, ``exchange`` and ``schedule``
    are the rules.
    """

    market: MarketArrays
    table: ScoreTable
    decides: npt.NDArray[np.bool_]
    preferred: npt.NDArray[np.float64]
    terms: StrategyTerms
    exchange: ExchangeTerms
    schedule: CostSchedule


class Session(NamedTuple):
    """One session of a run; see :class:`Run` and :class:`~quant_pipeline.exchange.market.MarketArrays`.

    ``has_actions`` tells whether anything happens to holdings and cash before the orders execute.
    """

    t: int
    quotes: SessionQuotes
    costs: CostTerms
    mark: npt.NDArray[np.int64]
    has_bar: npt.NDArray[np.bool_]
    preferred: npt.NDArray[np.float64]
    has_actions: bool
    decides: bool


class Records(NamedTuple):
    """Rows that fills, corporate actions and positions are written to; what finds no row is counted and not kept.

    ``series`` holds the totals and the net asset value of one account per session, or has no rows.
    """

    fills: npt.NDArray[np.int64]
    events: npt.NDArray[np.int64]
    positions: npt.NDArray[np.int64]
    series: npt.NDArray[np.int64]


def run_of(scores: npt.NDArray[np.float64], market: TradingMarket, rules: StrategyRules, cost_rules: CostRules) -> Run:
    """Put market, scores and rules into the arrays and numbers that the kernels use.

    Parameters
    ----------
    scores
        Models × sessions × instruments on the market's axes; NaN where a model has no score. A session without any
        score has no decision.
    market
        The market and its rules.
    rules, cost_rules
        Strategy and costs.
    """
    table = score_table(scores)
    return Run(
        market=market.arrays,
        table=table,
        decides=decision_flags(market.sessions, rules.schedule) & ~np.isnan(table.exact).all(axis=(1, 2)),
        preferred=preferences(market, rules),
        terms=strategy_terms(rules, market.rules, market.instruments, market.classification),
        exchange=exchange_terms(market.rules, market.instruments),
        schedule=cost_schedule(cost_rules, market.sessions),
    )


@inlined
def session_of(run: Run, t: int) -> Session:
    """Return session ``t``; the last one has no decision, because nothing executes after it."""
    market = run.market
    offsets = market.actions.offsets
    return Session(
        t,
        quotes_of_session(market, t),
        costs_of_session(run.schedule, t),
        market.mark[t],
        market.has_bar[t],
        run.preferred[t],
        market.interest[t] > 0.0 or offsets[t] < offsets[t + 1],
        run.decides[t] and t + 1 < run.decides.shape[0],
    )


@inlined
def close_account(
    run: Run, session: Session, accounts: AccountArrays, a: int, records: Records, n_fills: int, n_events: int
) -> tuple[int, int, int]:
    """Bring an account to the close of a session; return its net asset value, and how many rows there are so far.

    Parameters
    ----------
    run, session
        The market and its rules.
    accounts, a
        Accounts and the row of the one that is meant.
    records, n_fills, n_events
        Where fills and corporate actions are recorded, and how many have been.
    """
    if session.has_actions:
        n_events = apply_session_actions(
            accounts, a, session.t, run.market, run.exchange.lots, records.events, n_events
        )
    if accounts.totals[a, ORDERS] > 0:
        n_fills = execute_pending_orders(
            accounts, a, session.t, session.quotes, run.exchange, session.costs, records.fills, n_fills
        )
    count_close(accounts, a)
    return net_asset_value(accounts, a, session.mark), n_fills, n_events


@inlined
def record_close(
    session: Session, accounts: AccountArrays, a: int, value: int, records: Records, n_positions: int
) -> int:
    """Record totals, net asset value and positions of an account at a close; return how many positions there were."""
    if session.t < records.series.shape[0]:
        for column in range(N_TOTALS):
            records.series[session.t, column] = accounts.totals[a, column]
        records.series[session.t, NET_ASSET_VALUE] = value
    held = accounts.totals[a, HELD]
    for slot in range(min(held, records.positions.shape[0] - n_positions)):
        row = records.positions[n_positions + slot]
        row[0] = session.t
        row[1] = accounts.slot_instrument[a, slot]
        row[2] = accounts.slot_shares[a, slot]
        row[3] = sessions_held(accounts, a, slot)
    return n_positions + held


@inlined
def decision_of(
    run: Run,
    session: Session,
    accounts: AccountArrays,
    a: int,
    value: int,
    fused: FusedScores,
    buffers: DecisionBuffers,
) -> Decision:
    """Return what an account of a net asset value decides on at the close of a session."""
    return Decision(
        accounts,
        a,
        value,
        fused,
        session.has_bar,
        session.mark,
        session.preferred,
        run.terms,
        session.costs,
        buffers,
    )
