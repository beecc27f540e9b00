"""Qlib's own backtest on a provider written from adjusted bars: the oracle of the compatible engine."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd

from quant_pipeline.backtest.qlib_quotes import QlibExchangeRules, QlibTopkDropoutRules
from quant_pipeline.market.price_adjustment import adjust_bars


def real_adjusted_bars(folder: Path, start: str, end: str, n_instruments: int) -> pd.DataFrame:
    """Adjusted bars of the first instruments of the real market."""
    daily = pd.read_parquet(folder / "us_daily.parquet").rename(columns={"symbol": "instrument"})
    daily = daily[daily["date"].between(start, end)]
    chosen = np.sort(daily["instrument"].unique())[:n_instruments]
    daily = daily[daily["instrument"].isin(chosen)].sort_values(["instrument", "date"], ignore_index=True)
    splits = daily.loc[daily["split_coefficient"] != 1, ["date", "instrument", "split_coefficient"]]
    dividends = daily.loc[daily["dividend_amount"] != 0, ["date", "instrument", "dividend_amount"]]
    actions = pd.concat(
        [
            splits.rename(columns={"split_coefficient": "value"}).assign(kind="split"),
            dividends.rename(columns={"dividend_amount": "value"}).assign(kind="cash_dividend"),
        ]
    )
    bars = daily[["date", "instrument", "open", "high", "low", "close", "volume"]]
    return adjust_bars(bars.astype({"volume": "float64"}), actions)


def with_suspensions(bars: pd.DataFrame, seed: int, share: float) -> pd.DataFrame:
    """Remove bars at random."""
    keep = np.random.default_rng(seed).random(len(bars)) >= share
    return bars[keep].reset_index(drop=True)


def random_scores(bars: pd.DataFrame, sessions: pd.DatetimeIndex, seed: int, missing: float = 0.0) -> pd.Series:
    """Scores without ties that persist from day to day, so that holdings turn over at a natural pace."""
    rng = np.random.default_rng(seed)
    names = np.sort(bars["instrument"].unique())
    noise = rng.normal(size=(len(sessions), len(names)))
    values = np.zeros_like(noise)
    for t in range(len(sessions)):
        values[t] = 0.9 * values[t - 1] + noise[t] if t else noise[t]
    index = pd.MultiIndex.from_product([sessions, names], names=["datetime", "instrument"])
    scores = pd.Series(values.ravel(), index=index, name="score")
    return scores[rng.random(len(scores)) >= missing]


def init_qlib(provider: Path) -> None:
    """Point Qlib at the provider."""
    import qlib

    qlib.init(provider_uri=str(provider), region="us", logging_level=logging.ERROR, kernels=1, clear_mem_cache=True)


def qlib_report(
    scores: pd.Series,
    start: pd.Timestamp,
    end: pd.Timestamp,
    rules: QlibTopkDropoutRules,
    exchange_rules: QlibExchangeRules,
    cash: float,
    codes: list[str],
    exchange=None,
) -> pd.DataFrame:
    """Report of ``qlib.contrib.evaluate.backtest_daily``."""
    from qlib.contrib.evaluate import backtest_daily
    from qlib.contrib.strategy import TopkDropoutStrategy

    strategy = TopkDropoutStrategy(signal=scores, **rules.model_dump())
    exchange = exchange or qlib_exchange(exchange_rules, start, end, codes)
    report, _ = backtest_daily(
        start_time=start,
        end_time=end,
        strategy=strategy,
        account=cash,
        benchmark=pd.Series(0.0, index=pd.date_range(start, end)),
        exchange_kwargs={"exchange": exchange},
    )
    return report


def qlib_exchange(rules: QlibExchangeRules, start: pd.Timestamp, end: pd.Timestamp, codes: list[str]):
    """Qlib's exchange with the same rules."""
    from qlib.backtest.exchange import Exchange

    return Exchange(
        freq="day",
        start_time=start,
        end_time=end,
        codes=codes,
        deal_price=rules.deal_price,
        limit_threshold=rules.limit_threshold,
        open_cost=rules.open_cost,
        close_cost=rules.close_cost,
        min_cost=rules.min_cost,
        trade_unit=rules.trade_unit,
    )
