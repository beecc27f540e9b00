"""The Qlib-compatible engine and Qlib's own backtest on the same scores, rules and provider, session by session.

Qlib sorts equal scores unstably, and takes several holdings without a score in the order of a set, so that its result
depends on processor and hash seed there. Scores are compared as ranks, equal ones by instrument code, and an
instrument without a score ranks below all others; both engines then have one answer.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from quant_pipeline.backtest.qlib_quotes import QlibExchangeRules, QlibMarket, QlibTopkDropoutRules
from quant_pipeline.backtest.qlib_topk_dropout import run_qlib_backtest
from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.strategy.rules import StrategyRules

TOLERANCE: Final = 1e-12
"""Largest relative difference of the account's value that rounding explains."""
COMPARED: Final = ("account", "total_turnover", "total_cost", "cash", "value")


def exchange_rules_of(market_rules: MarketRules, cost_rules: CostRules, session: pd.Timestamp) -> QlibExchangeRules:
    """Return the rules of an account as arguments of Qlib's exchange, which knows no dates: those of one session.

    Half a spread is a cost here, because Qlib moves no price; a price limit is Qlib's 9.5 % of the closes where there
    is any.
    """
    costs = cost_rules.at(session)
    return QlibExchangeRules(
        deal_price=market_rules.deal_price,
        open_cost=costs.buy_rate + costs.buy_tax_rate + costs.half_spread,
        close_cost=costs.sell_rate + costs.sell_tax_rate + costs.half_spread,
        min_cost=costs.min_commission,
        trade_unit=market_rules.lot,
        limit_threshold=0.095 if market_rules.price_limits else None,
    )


def strategy_rules_of(strategy: StrategyRules) -> QlibTopkDropoutRules:
    """Return the rules of an account as arguments of Qlib's ``TopkDropoutStrategy``."""
    return QlibTopkDropoutRules(
        topk=strategy.topk,
        n_drop=strategy.n_drop,
        hold_thresh=strategy.hold_threshold,
        risk_degree=strategy.risk_degree,
    )


def ranked(scores: pd.Series, instruments: pd.Index) -> pd.Series:
    """Return scores of which no two are equal and none is missing, in the same order session by session.

    Parameters
    ----------
    scores
        Indexed ``(datetime, instrument)``.
    instruments
        Every instrument that can be held, sorted.
    """
    table = scores.unstack().reindex(columns=instruments).sort_index()
    # The first of equal ones by code is the best, as in every engine; missing ones come last.
    order = np.argsort(-np.nan_to_num(table.to_numpy(dtype=np.float64), nan=-np.inf), axis=1, kind="stable")
    ranks = np.empty(order.shape)
    np.put_along_axis(ranks, order, np.arange(order.shape[1], 0.0, -1.0)[None, :].repeat(len(order), axis=0), axis=1)
    return pd.DataFrame(ranks, index=table.index, columns=instruments).rename_axis(columns="instrument").stack()


def compare_with_qlib(
    scores: pd.Series,
    market: QlibMarket,
    strategy: QlibTopkDropoutRules,
    initial_cash: float,
    provider: Path,
) -> pd.DataFrame:
    """Run both backtests.

    Parameters
    ----------
    scores
        Indexed ``(datetime, instrument)``; those of a session execute in the next one.
    market
        Quotes and exchange rules of the sessions that are traded.
    strategy
        Rules of the strategy.
    initial_cash
        Cash before the first session.
    provider
        The provider that was written from the same bars.

    Returns
    -------
    pandas.DataFrame
        ``date``; of each of `COMPARED` the value here and, with the ending ``_qlib``, there; ``difference``: the
        largest of them in relation to the account.
    """
    scores = ranked(scores, market.instruments)
    ours = run_qlib_backtest(scores, market, strategy, initial_cash)
    theirs = _report_of_qlib(scores, market, strategy, initial_cash, provider)
    table = pd.DataFrame({"date": ours.index})
    for name in COMPARED:
        table[name], table[f"{name}_qlib"] = ours[name].to_numpy(), theirs[name].to_numpy()
    apart = [np.abs(table[name] - table[f"{name}_qlib"]) for name in COMPARED]
    scale = np.maximum(table["account_qlib"].abs(), table["total_turnover_qlib"].abs())
    return table.assign(difference=np.max(apart, axis=0) / scale)


def _report_of_qlib(
    scores: pd.Series, market: QlibMarket, strategy: QlibTopkDropoutRules, initial_cash: float, provider: Path
) -> pd.DataFrame:
    import qlib
    from qlib.backtest.exchange import Exchange
    from qlib.contrib.evaluate import backtest_daily
    from qlib.contrib.strategy import TopkDropoutStrategy

    qlib.init(provider_uri=str(provider), region="us", kernels=1, clear_mem_cache=True, logging_level=logging.ERROR)
    start, end = market.sessions[0], market.sessions[-1]
    exchange = Exchange(
        freq="day", start_time=start, end_time=end, codes=list(market.instruments), **market.rules.model_dump()
    )
    report, _ = backtest_daily(
        start_time=start,
        end_time=end,
        strategy=TopkDropoutStrategy(signal=scores, **strategy.model_dump()),
        account=initial_cash,
        benchmark=pd.Series(0.0, index=market.sessions),
        exchange_kwargs={"exchange": exchange},
    )
    return report
