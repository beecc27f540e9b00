"""Exact backtest of one set of scores: every session, every order, every cent, in milliseconds.

A session runs in the order of the timing contract: corporate actions, fills of the orders decided at the previous
close, the close (net asset value), the decision. It calls the decision kernel of the strategy and the exchange
kernels; it has no rules of its own.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.backtest.preferences import preferences
from quant_pipeline.backtest.result import N_POSITION_COLUMNS, N_SERIES, BacktestResult, build_result
from quant_pipeline.common.compiled import kernel
from quant_pipeline.common.exceptions import StrategyError
from quant_pipeline.exchange.account_arrays import (
    HELD,
    N_TOTALS,
    AccountArrays,
    net_asset_value,
    new_accounts,
    sessions_held,
)
from quant_pipeline.exchange.costs import CostSchedule, cost_schedule, costs_of_session
from quant_pipeline.exchange.kernels import (
    N_EVENT_COLUMNS,
    N_FILL_COLUMNS,
    ExchangeTerms,
    count_close,
    exchange_terms,
    execute_pending_orders,
)
from quant_pipeline.exchange.market import MarketArrays, TradingMarket
from quant_pipeline.exchange.money import cash_to_ticks
from quant_pipeline.exchange.rules import CostRules
from quant_pipeline.exchange.session_kernels import apply_session_actions, quotes_of_session
from quant_pipeline.strategy.decision import decide
from quant_pipeline.strategy.fused_scores import ScoreTable, score_table, single_scores
from quant_pipeline.strategy.ranking import DecisionBuffers, new_decision_buffers
from quant_pipeline.strategy.rules import StrategyRules
from quant_pipeline.strategy.schedule import decision_flags
from quant_pipeline.strategy.terms import StrategyTerms, strategy_terms

_FIRST_RECORD_ROWS = 4096


class Records(NamedTuple):
    """Arrays a run is written to; rows beyond their length are counted but not kept."""

    fills: npt.NDArray[np.int64]
    events: npt.NDArray[np.int64]
    positions: npt.NDArray[np.int64]


def run_backtest(
    scores: pd.Series,
    market: TradingMarket,
    rules: StrategyRules,
    cost_rules: CostRules,
    initial_cash: Decimal | float | int = 1_000_000,
) -> BacktestResult:
    """Trade one set of scores through the whole market.

    Parameters
    ----------
    scores
        Score of every ``(datetime, instrument)``, known after the close of ``datetime``. A session without any score
        makes no decision.
    market
        The market and its rules.
    rules, cost_rules
        Strategy and costs.
    initial_cash
        Cash before the first session.

    Returns
    -------
    BacktestResult
        Net asset value, cash, costs and turnover per session; positions, trades and corporate actions as tables.

    Raises
    ------
    StrategyError
        If the scores do not fit the market, or no session has both a decision and a score.
    """
    matrix = market.score_matrix(scores)
    decides = decision_flags(market.sessions, rules.schedule) & ~np.isnan(matrix).all(axis=1)
    if not decides[:-1].any():
        raise StrategyError(
            f"No session between {market.sessions[0].date()} and {market.sessions[-1].date()} has both a decision and "
            "a score. Check the dates of the scores and the schedule."
        )
    cash = cash_to_ticks(initial_cash)
    rows = Records(*(np.zeros((_FIRST_RECORD_ROWS, n), np.int64) for n in _RECORD_COLUMNS))
    while True:
        series, counts = _run(matrix, market, decides, rules, cost_rules, cash, rows)
        if all(count <= len(record) for count, record in zip(counts, rows, strict=True)):
            break
        # The first run counted what it could not keep; the second has room for all of it.
        rows = Records(*(np.zeros((count, n), np.int64) for count, n in zip(counts, _RECORD_COLUMNS, strict=True)))
    kept = Records(*(record[:count] for record, count in zip(rows, counts, strict=True)))
    return build_result(market, cash, series, kept.fills, kept.events, kept.positions)


_RECORD_COLUMNS = (N_FILL_COLUMNS, N_EVENT_COLUMNS, N_POSITION_COLUMNS)


def _run(
    matrix: npt.NDArray[np.float64],
    market: TradingMarket,
    decides: npt.NDArray[np.bool_],
    rules: StrategyRules,
    cost_rules: CostRules,
    cash: int,
    rows: Records,
) -> tuple[npt.NDArray[np.int64], tuple[int, int, int]]:
    n_instruments = len(market.instruments)
    series = np.zeros((len(market.sessions), N_SERIES), dtype=np.int64)
    counts = _run_account(
        new_accounts(1, n_instruments, cash),
        market.arrays,
        score_table(matrix[np.newaxis]),
        np.zeros(1, dtype=np.uint32),
        decides,
        preferences(market, rules),
        strategy_terms(rules, market.rules),
        exchange_terms(market.rules),
        cost_schedule(cost_rules, market.sessions),
        new_decision_buffers(n_instruments),
        series,
        rows,
    )
    return series, counts


@kernel
def _run_account(
    accounts: AccountArrays,
    market: MarketArrays,
    table: ScoreTable,
    members: npt.NDArray[np.uint32],
    decides: npt.NDArray[np.bool_],
    preferred: npt.NDArray[np.float64],
    terms: StrategyTerms,
    exchange: ExchangeTerms,
    schedule: CostSchedule,
    buffers: DecisionBuffers,
    series: npt.NDArray[np.int64],
    rows: Records,
) -> tuple[int, int, int]:
    """Run account 0 through every session and return how many fills, events and positions there were."""
    n_fills = 0
    n_events = 0
    n_positions = 0
    n_sessions = decides.shape[0]
    for t in range(n_sessions):
        costs = costs_of_session(schedule, t)
        n_events = apply_session_actions(accounts, 0, t, market, terms.lot, rows.events, n_events)
        n_fills = execute_pending_orders(
            accounts, 0, t, quotes_of_session(market, t), exchange, costs, rows.fills, n_fills
        )
        count_close(accounts, 0)
        value = net_asset_value(accounts, 0, market.mark[t])
        for column in range(N_TOTALS):
            series[t, column] = accounts.totals[0, column]
        series[t, N_TOTALS] = value
        for slot in range(accounts.totals[0, HELD]):
            if n_positions < rows.positions.shape[0]:
                rows.positions[n_positions, 0] = t
                rows.positions[n_positions, 1] = accounts.slot_instrument[0, slot]
                rows.positions[n_positions, 2] = accounts.slot_shares[0, slot]
                rows.positions[n_positions, 3] = sessions_held(accounts, 0, slot)
            n_positions += 1
        if decides[t] and t + 1 < n_sessions:
            scores = single_scores(table, t, members)
            decide(accounts, 0, value, scores, market.has_bar[t], market.mark[t], preferred[t], terms, costs, buffers)
    return n_fills, n_events, n_positions
