"""Qlib's ``TopkDropoutStrategy`` on its ``SimulatorExecutor``, compiled: the same account value every day.

Ties, which Qlib sorts unstably (its result depends on the processor), rank by instrument code here, and positions are
kept in the order in which they were bought, where Qlib's order depends on the hash seed (and with it, when `topk` +
`n_drop` are held, which of several holdings without a score are sold: the last codes, here). Otherwise the arithmetic
is Qlib's, operation by operation. Not covered: ``method_buy``/``method_sell`` ``random``, volume limits, impact cost.

The names of the semantics are those of Qlib 0.9.7, ``qlib/contrib/strategy/signal_strategy.py`` and
``qlib/backtest/exchange.py``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.backtest.qlib_quotes import QlibMarket, QlibQuoteArrays, QlibTopkDropoutRules
from quant_pipeline.backtest.qlib_terms import QlibTerms, filled_amount, round_to_unit
from quant_pipeline.common.compiled import inlined, kernel
from quant_pipeline.strategy.fused_scores import ranks_below

_SMALLEST_VALUE = 1e-5
"""Qlib executes nothing, and charges nothing, for an order of no more than this value."""

# Columns of the totals.
_CASH, _COST, _TURNOVER, _VALUE = range(4)


class QlibAccount(NamedTuple):
    """One account: ``held`` lists the holdings as they were bought, ``sessions_held`` is -1 for everything else."""

    amount: npt.NDArray[np.float64]
    price: npt.NDArray[np.float64]
    sessions_held: npt.NDArray[np.int64]
    held: npt.NDArray[np.uint32]
    totals: npt.NDArray[np.float64]


class QlibBuffers(NamedTuple):
    """Scratch space: candidates, best first, and the lowest-ranked of holdings and candidates, lowest first."""

    free_scores: npt.NDArray[np.float64]
    best: npt.NDArray[np.uint32]
    best_score: npt.NDArray[np.float64]
    lowest: npt.NDArray[np.uint32]
    lowest_score: npt.NDArray[np.float64]
    is_lowest: npt.NDArray[np.bool_]


def run_qlib_backtest(
    scores: pd.Series, market: QlibMarket, rules: QlibTopkDropoutRules, initial_cash: float = 1e8
) -> pd.DataFrame:
    """Backtest as ``qlib.contrib.evaluate.backtest_daily`` does.

    Parameters
    ----------
    scores
        Indexed ``(datetime, instrument)``; those of a session execute in the next one.
    market
        Quotes and exchange rules.
    rules
        Strategy rules.
    initial_cash
        Cash before the first session.

    Returns
    -------
    pandas.DataFrame
        Per session, under the names of Qlib's report: ``account``, ``return`` (costs excluded), ``total_turnover``,
        ``turnover``, ``total_cost``, ``cost``, ``value`` (of the holdings), ``cash``, and ``held``.
    """
    matrix = market.decided_scores(scores)
    series = run_qlib_arrays(matrix, market, rules, initial_cash)
    account = series[:, 3]
    previous = np.concatenate([[initial_cash], account[:-1]])
    cost = np.diff(series[:, 1], prepend=0.0)
    return pd.DataFrame(
        {
            "account": account,
            "return": (account - previous + cost) / previous,
            "total_turnover": series[:, 2],
            "turnover": np.diff(series[:, 2], prepend=0.0) / previous,
            "total_cost": series[:, 1],
            "cost": cost / previous,
            "value": account - series[:, 0],
            "cash": series[:, 0],
            "held": series[:, 4].astype(np.int64),
        },
        index=pd.Index(market.sessions, name="datetime"),
    )


def run_qlib_arrays(
    scores: npt.NDArray[np.float64], market: QlibMarket, rules: QlibTopkDropoutRules, initial_cash: float
) -> npt.NDArray[np.float64]:
    """Backtest on arrays already arranged by :meth:`QlibMarket.decided_scores`.

    Returns
    -------
    numpy.ndarray
        Sessions × (cash, total cost, total turnover, account value, number of holdings).
    """
    exchange = market.rules
    terms = QlibTerms(
        topk=rules.topk,
        n_drop=rules.n_drop,
        hold_thresh=rules.hold_thresh,
        only_tradable=int(rules.only_tradable),
        forbid_all=int(rules.forbid_all_trade_at_limit),
        risk_degree=rules.risk_degree,
        open_cost=exchange.open_cost,
        close_cost=exchange.close_cost,
        min_cost=exchange.min_cost,
        unit=market.trade_unit,
    )
    n_instruments = len(market.instruments)
    account = QlibAccount(
        amount=np.zeros(n_instruments),
        price=np.zeros(n_instruments),
        sessions_held=np.full(n_instruments, -1),
        held=np.zeros(n_instruments, dtype=np.uint32),
        totals=np.array([initial_cash, 0.0, 0.0, initial_cash]),
    )
    size = 2 * n_instruments + 8
    buffers = QlibBuffers(
        np.empty(n_instruments),
        np.empty(size, dtype=np.uint32),
        np.empty(size),
        np.empty(size, dtype=np.uint32),
        np.empty(size),
        np.zeros(n_instruments, dtype=np.bool_),
    )
    series = np.empty((len(scores), 5))
    _run(account, market.arrays, scores, terms, buffers, series)
    return series


@kernel
def _run(
    account: QlibAccount,
    quotes: QlibQuoteArrays,
    scores: npt.NDArray[np.float64],
    terms: QlibTerms,
    buffers: QlibBuffers,
    series: npt.NDArray[np.float64],
) -> None:
    n_held = 0
    for t in range(scores.shape[0]):
        if _is_scored(scores[t]):
            n_held = _trade(account, n_held, quotes, t, scores[t], terms, buffers)
        value = 0.0
        for i in range(n_held):
            j = account.held[i]
            if not np.isnan(quotes.close[t, j]):
                account.price[j] = quotes.close[t, j]
            account.sessions_held[j] += 1
            value += account.amount[j] * account.price[j]
        account.totals[_VALUE] = value + account.totals[_CASH]
        for k in range(4):
            series[t, k] = account.totals[k]
        series[t, 4] = n_held


@inlined
def _is_scored(scores: npt.NDArray[np.float64]) -> bool:
    """Return whether any instrument has a score; Qlib decides nothing in a session without."""
    for score in scores:  # noqa: SIM110 (numba compiles no generator)
        if not np.isnan(score):
            return True
    return False


@inlined
def _trade(
    account: QlibAccount,
    n_held: int,
    quotes: QlibQuoteArrays,
    t: int,
    scores: npt.NDArray[np.float64],
    terms: QlibTerms,
    buffers: QlibBuffers,
) -> int:
    """Decide and execute one session; return the number of holdings."""
    for j in range(scores.size):
        blocked = terms.only_tradable != 0 and (quotes.limit_buy[t, j] or quotes.limit_sell[t, j])
        buffers.free_scores[j] = np.nan if account.sessions_held[j] >= 0 or blocked else scores[j]
    wanted = terms.n_drop + terms.topk - n_held
    if terms.only_tradable != 0:
        wanted = max(wanted, 1)  # Qlib's get_first_n(candidates, 0) appends one before it counts.
    n_best = 0
    threshold = -np.inf
    for j in range(scores.size):
        score = buffers.free_scores[j]
        if wanted > 0 and score > threshold:
            n_best = _insert_best(score, j, n_best, wanted, buffers)
            threshold = buffers.best_score[wanted - 1] if n_best == wanted else threshold
    n_lowest = _find_lowest(account, n_held, n_best, quotes, t, scores, terms, buffers)
    n_sell = 0
    for i in range(n_lowest):
        n_sell += account.sessions_held[buffers.lowest[i]] >= 0
    n_buy = n_sell + terms.topk - n_held
    n_buy = max(0, n_best + n_buy) if n_buy < 0 else min(n_buy, n_best)  # Qlib slices: [:-1] drops the last one.
    n_held = _sell(account, n_held, n_lowest, quotes, t, terms, buffers)
    return _buy(account, n_held, n_buy, quotes, t, terms, buffers)


@inlined
def _insert_best(score: float, instrument: int, found: int, wanted: int, buffers: QlibBuffers) -> int:
    """Insert an instrument, the latest by code, into the `found` best so far; return how many there are."""
    index = min(found, wanted - 1)
    while index > 0 and buffers.best_score[index - 1] < score:
        buffers.best_score[index] = buffers.best_score[index - 1]
        buffers.best[index] = buffers.best[index - 1]
        index -= 1
    buffers.best_score[index] = score
    buffers.best[index] = instrument
    return min(found + 1, wanted)


@inlined
def _find_lowest(
    account: QlibAccount,
    n_held: int,
    n_best: int,
    quotes: QlibQuoteArrays,
    t: int,
    scores: npt.NDArray[np.float64],
    terms: QlibTerms,
    buffers: QlibBuffers,
) -> int:
    """Write the lowest-ranked of holdings and candidates; an instrument without score ranks below all others."""
    wanted = terms.n_drop
    if wanted == 0:
        # Qlib slices the last zero elements with [-0:], which is everything; only_tradable takes one before it counts.
        wanted = 1 if terms.only_tradable != 0 else n_held + n_best
    found = 0
    for i in range(n_held + n_best):
        j = account.held[i] if i < n_held else buffers.best[i - n_held]
        if terms.only_tradable != 0 and (quotes.limit_buy[t, j] or quotes.limit_sell[t, j]):
            continue
        score = -np.inf if np.isnan(scores[j]) else scores[j]
        index = found
        while index > 0 and ranks_below(score, j, buffers.lowest_score[index - 1], buffers.lowest[index - 1]):
            if index < wanted:
                buffers.lowest_score[index] = buffers.lowest_score[index - 1]
                buffers.lowest[index] = buffers.lowest[index - 1]
            index -= 1
        if index < wanted:
            buffers.lowest_score[index] = score
            buffers.lowest[index] = j
            found = min(found + 1, wanted)
    return found


@inlined
def _sell(
    account: QlibAccount,
    n_held: int,
    n_lowest: int,
    quotes: QlibQuoteArrays,
    t: int,
    terms: QlibTerms,
    buffers: QlibBuffers,
) -> int:
    """Sell the lowest-ranked holdings that may be sold; return the number of holdings left."""
    kept = 0
    for k in range(n_lowest):
        buffers.is_lowest[buffers.lowest[k]] = True
    for i in range(n_held):
        j = account.held[i]
        chosen = buffers.is_lowest[j]
        blocked = quotes.limit_sell[t, j] or (terms.forbid_all != 0 and quotes.limit_buy[t, j])
        if chosen and not blocked and account.sessions_held[j] >= terms.hold_thresh:
            value = account.amount[j] * quotes.deal_price[t, j]
            cost = max(value * terms.close_cost, terms.min_cost)
            if account.totals[_CASH] + value >= cost and value > _SMALLEST_VALUE:
                account.totals[_CASH] += value - cost
                account.totals[_COST] += cost
                account.totals[_TURNOVER] += value
                account.sessions_held[j] = -1
                continue
        account.held[kept] = j
        kept += 1
    for k in range(n_lowest):
        buffers.is_lowest[buffers.lowest[k]] = False
    return kept


@inlined
def _buy(
    account: QlibAccount,
    n_held: int,
    n_buy: int,
    quotes: QlibQuoteArrays,
    t: int,
    terms: QlibTerms,
    buffers: QlibBuffers,
) -> int:
    """Buy the best candidates; a blocked one leaves its share of the cash idle. Return the number of holdings."""
    if n_buy <= 0:
        return n_held
    budget = account.totals[_CASH] * terms.risk_degree / n_buy
    for i in range(n_buy):
        j = buffers.best[i]
        if quotes.limit_buy[t, j] or (terms.forbid_all != 0 and quotes.limit_sell[t, j]):
            continue
        price = quotes.deal_price[t, j]
        factor = quotes.factor[t, j]
        amount = filled_amount(
            round_to_unit(budget / price, factor, terms.unit), price, factor, account.totals[_CASH], terms
        )
        value = amount * price
        if value > _SMALLEST_VALUE:
            cost = max(value * terms.open_cost, terms.min_cost)
            account.totals[_CASH] -= value + cost
            account.totals[_COST] += cost
            account.totals[_TURNOVER] += value
            account.amount[j] = value / price
            account.price[j] = price
            account.sessions_held[j] = 0
            account.held[n_held] = j
            n_held += 1
    return n_held
