"""Exact backtest of one set of scores: every session, every order, every cent, in milliseconds.

Sessions run as :mod:`~quant_pipeline.backtest.session_step` says.
"""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.backtest.result import N_POSITION_COLUMNS, N_SERIES, BacktestResult, build_result
from quant_pipeline.backtest.session_step import Records, Run, close_account, decide_account, run_of, session_of
from quant_pipeline.common.compiled import kernel
from quant_pipeline.common.exceptions import StrategyError
from quant_pipeline.exchange.account_arrays import HELD, N_TOTALS, AccountArrays, new_accounts, sessions_held
from quant_pipeline.exchange.kernels import N_EVENT_COLUMNS, N_FILL_COLUMNS
from quant_pipeline.exchange.market import TradingMarket
from quant_pipeline.exchange.money import cash_to_ticks
from quant_pipeline.exchange.rules import CostRules
from quant_pipeline.strategy.fused_scores import single_scores
from quant_pipeline.strategy.ranking import DecisionBuffers, new_decision_buffers
from quant_pipeline.strategy.rules import StrategyRules

_FIRST_RECORD_ROWS = 4096


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
    rows = _new_rows((_FIRST_RECORD_ROWS,) * len(_RECORD_COLUMNS))
    while True:
        series, counts = _run(run, cash, rows)
        if all(count <= len(record) for count, record in zip(counts, rows, strict=True)):
            break
        # The first run counted what it could not keep; the second has room for all of it.
        rows = _new_rows(counts)
    fills, events, positions = (record[:count] for record, count in zip(rows, counts, strict=True))
    return build_result(market, cash, series, fills, events, positions)


_RECORD_COLUMNS = (N_FILL_COLUMNS, N_EVENT_COLUMNS, N_POSITION_COLUMNS)


Rows = tuple[npt.NDArray[np.int64], ...]
"""Records of fills, of corporate actions and of positions."""


def _new_rows(counts: tuple[int, ...]) -> Rows:
    return tuple(np.zeros((count, n), np.int64) for count, n in zip(counts, _RECORD_COLUMNS, strict=True))


def _run(run: Run, cash: int, rows: Rows) -> tuple[npt.NDArray[np.int64], tuple[int, int, int]]:
    n_sessions, n_instruments = run.market.mark.shape
    series = np.zeros((n_sessions, N_SERIES), dtype=np.int64)
    fills, events, positions = rows
    counts = _run_account(
        run,
        new_accounts(1, n_instruments, cash),
        np.zeros(1, dtype=np.uint32),
        new_decision_buffers(n_instruments),
        series,
        Records(fills, events),
        positions,
    )
    return series, counts


@kernel
def _run_account(
    run: Run,
    accounts: AccountArrays,
    members: npt.NDArray[np.uint32],
    buffers: DecisionBuffers,
    series: npt.NDArray[np.int64],
    rows: Records,
    positions: npt.NDArray[np.int64],
) -> tuple[int, int, int]:
    """Run account 0 through every session and return how many fills, events and positions there were."""
    n_fills = 0
    n_events = 0
    n_positions = 0
    for t in range(run.decides.shape[0]):
        session = session_of(run, t)
        value, n_fills, n_events = close_account(run, session, accounts, 0, rows, n_fills, n_events)
        for column in range(N_TOTALS):
            series[t, column] = accounts.totals[0, column]
        series[t, N_TOTALS] = value
        for slot in range(accounts.totals[0, HELD]):
            if n_positions < positions.shape[0]:
                positions[n_positions, 0] = t
                positions[n_positions, 1] = accounts.slot_instrument[0, slot]
                positions[n_positions, 2] = accounts.slot_shares[0, slot]
                positions[n_positions, 3] = sessions_held(accounts, 0, slot)
            n_positions += 1
        if session.decides:
            decide_account(run, session, accounts, 0, value, single_scores(run.table, t, members), buffers)
    return n_fills, n_events, n_positions
