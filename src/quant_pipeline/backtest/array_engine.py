"""Exact backtest of one set of scores: every session, every order, every cent, in milliseconds.

Sessions run in :mod:`~quant_pipeline.backtest.session_loop`.
"""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pandas as pd

from quant_pipeline.backtest.combination_kernels import combination_arrays, new_measured
from quant_pipeline.backtest.result import N_POSITION_COLUMNS, N_SERIES, BacktestResult, RunRecords, build_result
from quant_pipeline.backtest.session_loop import Counts, run_sessions
from quant_pipeline.backtest.session_step import Records, Run, run_of
from quant_pipeline.common.exceptions import StrategyError
from quant_pipeline.exchange.kernels import N_EVENT_COLUMNS, N_FILL_COLUMNS
from quant_pipeline.exchange.market import TradingMarket
from quant_pipeline.exchange.money import cash_to_ticks
from quant_pipeline.exchange.rules import CostRules
from quant_pipeline.strategy.rules import StrategyRules

_FIRST_ROWS = 2**12
_MOST_FIRST_ROWS = 2**18


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
    run = run_of(market.score_matrix(scores)[np.newaxis], market, rules, cost_rules)
    if not run.decides[:-1].any():
        raise StrategyError(
            f"No session between {market.sessions[0].date()} and {market.sessions[-1].date()} has both a decision and "
            "a score. Check the dates of the scores and the schedule."
        )
    cash = cash_to_ticks(initial_cash)
    records = _new_records(len(market.sessions), _guess(len(market.sessions), min(rules.topk, len(market.instruments))))
    while True:
        counts = _run(run, cash, records)
        if all(count <= len(rows) for count, rows in zip(counts, records[:-1], strict=True)):
            break
        # The first run counted what it could not keep; the second has room for all of it.
        records = _new_records(len(market.sessions), counts)
    fills, events, positions = (rows[:count].copy() for count, rows in zip(counts, records[:-1], strict=True))
    return build_result(cash, records.series, RunRecords(market, fills, events, positions))


def _guess(n_sessions: int, held: int) -> Counts:
    """Guess rows of fills, corporate actions and positions; those that nothing is written to take no memory."""
    fills, positions = (max(min(n_sessions * rows, _MOST_FIRST_ROWS), _FIRST_ROWS) for rows in (held, 2 * held))
    return fills, _FIRST_ROWS, positions


def _new_records(n_sessions: int, counts: Counts) -> Records:
    n_fills, n_events, n_positions = counts
    return Records(
        np.empty((n_fills, N_FILL_COLUMNS), dtype=np.int64),
        np.empty((n_events, N_EVENT_COLUMNS), dtype=np.int64),
        np.empty((n_positions, N_POSITION_COLUMNS), dtype=np.int64),
        np.zeros((n_sessions, N_SERIES), dtype=np.int64),
    )


def _run(run: Run, cash: int, records: Records) -> Counts:
    """Trade the only model of the scores; its statistics are not asked for."""
    n_sessions = len(run.decides)
    measured = new_measured(1, cash, np.zeros(n_sessions), np.zeros(n_sessions, dtype=np.int64))
    _, counts = run_sessions(run, combination_arrays([(0,)]), cash, measured, records)
    return counts
