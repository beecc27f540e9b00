"""What the project measures of one market, and the inputs from which others measure it again."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from quant_pipeline.backtest.array_engine import run_backtest
from quant_pipeline.evaluation.factor_scores import FactorScores, ScoringParameters, score_factors
from quant_pipeline.evaluation.factor_tables import tabulate_decay
from quant_pipeline.evaluation.information_coefficient import information_coefficients, rank_ic_t, summarise
from quant_pipeline.evaluation.performance import report_performance
from quant_pipeline.exchange.market import TradingMarket
from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.market.clock import label_lag
from quant_pipeline.market.data import MarketData
from quant_pipeline.market.price_adjustment import adjust_bars
from quant_pipeline.market.sources.files import FilesMarketParameters, read_market_files
from quant_pipeline.market.sources.simulated import SimulatedMarketParameters, generate_market
from quant_pipeline.strategy.rules import StrategyRules

REAL_FILES = FilesMarketParameters(
    bars="us_daily.parquet", benchmark="us_benchmark_daily.parquet", securities="us_securities.csv"
)
FIRST, LAST, LAST_BAR = pd.Timestamp("2015-01-02"), pd.Timestamp("2019-11-29"), pd.Timestamp("2020-01-31")
LOOK_BACK = 130
HORIZONS = (1, 5, 10, 20)
QUANTILES = 5
RISK_FREE_RATES = (0.0, 0.02)

Measures = dict[str, float | list[float]]


class Inputs(NamedTuple):
    """What is measured.

    Attributes
    ----------
    bars, actions, sessions
        As traded, from `LOOK_BACK` sessions before the first to what the longest label needs.
    benchmark
        Total return of the benchmark per session.
    factors
        Factor to sessions × instruments; every factor knows every instrument in every session.
    ragged
        One factor of all instruments, also of those that are listed late or halted.
    prices
        Sessions × instruments: adjusted open of the *next* session, at which decisions of a session execute.
    """

    bars: pd.DataFrame
    actions: pd.DataFrame
    sessions: pd.DatetimeIndex
    benchmark: pd.Series
    factors: dict[str, pd.DataFrame]
    ragged: pd.DataFrame
    prices: pd.DataFrame


def read_market(folder: str | None) -> MarketData:
    """Read the real stocks of a folder, or generate the embedded market where none is given."""
    if folder is not None:
        return read_market_files(Path(folder), REAL_FILES, as_of=LAST_BAR)
    parameters = SimulatedMarketParameters(
        n_instruments=120, start=f"{FIRST - pd.DateOffset(years=1):%Y-%m-%d}", end=f"{LAST_BAR:%Y-%m-%d}", halt_rate=0.0
    )
    return generate_market(parameters).as_of(LAST_BAR)


def prepare(market: MarketData) -> Inputs:
    """Choose sessions and instruments, and compute three factors.

    Both definitions of a quantile, by rank and by interpolated value, name the same groups where the number of
    instruments is a multiple of the number of quantiles, so the factors keep such a number of complete instruments.
    """
    calendar = TradingCalendar.of("XNYS", f"{FIRST - pd.DateOffset(years=1):%Y-%m-%d}", f"{LAST_BAR:%Y-%m-%d}").sessions
    first = calendar.get_indexer([FIRST])[0] - LOOK_BACK
    last = calendar.get_indexer([LAST])[0] + label_lag(max(HORIZONS))
    sessions = calendar[first : last + 1]
    bars, actions = (
        table[table["date"].between(sessions[0], sessions[-1])].reset_index(drop=True)
        for table in (market.bars, market.corporate_actions)
    )
    adjusted = adjust_bars(bars, actions)
    close, opened = (
        adjusted.pivot(index="date", columns="instrument", values=name).reindex(sessions) for name in ("close", "open")
    )
    returns = close / close.shift(1) - 1
    known = {
        "reversal": -(close / close.shift(20) - 1),
        "momentum": close.shift(20) / close.shift(LOOK_BACK - 10) - 1,
        "low volatility": -returns.rolling(60).std(),
    }
    span = sessions[(sessions >= FIRST) & (sessions <= LAST)]
    complete = close.columns[(close.notna() & opened.notna()).all()]
    complete = complete[: len(complete) // QUANTILES * QUANTILES]
    level = market.benchmark.set_index("date")["total_return_close"].reindex(sessions)
    return Inputs(
        bars=bars,
        actions=actions,
        sessions=span,
        benchmark=(level / level.shift(1) - 1).reindex(span),
        factors={name: table.loc[span, complete] for name, table in known.items()},
        ragged=known["momentum"].loc[span],
        prices=opened.shift(-1),
    )


def measure(inputs: Inputs) -> tuple[Measures, pd.DataFrame]:
    """Measure factors and an account that trades one of them.

    Returns
    -------
    tuple
        Name to value or series, and the session returns: ``account``, ``benchmark``, ``cost_share``.
    """
    measures = _measure_factors(inputs) | _measure_ragged(inputs)
    account, daily = _measure_account(inputs)
    return measures | account, daily


def _measure_account(inputs: Inputs) -> tuple[Measures, pd.DataFrame]:
    rules = MarketRules.preset("US")
    traded = inputs.bars["date"].between(inputs.sessions[0], inputs.sessions[-1])
    acted = inputs.actions["date"].between(inputs.sessions[0], inputs.sessions[-1])
    market = TradingMarket.from_bars(inputs.bars[traded], inputs.actions[acted], inputs.sessions, rules)
    scores = _long(inputs.factors["momentum"])
    result = run_backtest(scores, market, StrategyRules(topk=20, n_drop=2), CostRules.preset("US"))
    measures: Measures = {}
    for rate in RISK_FREE_RATES:
        report = report_performance(
            result.returns, inputs.benchmark, result.turnover, result.cost_share, risk_free_rate=rate
        )
        measures |= {f"account, {rate:.0%} free: {name}": value for name, value in report.metrics.items()}
    measures["account: drawdown"] = report.drawdown.tolist()
    for period, table in (("year", report.by_year), ("month", report.by_month)):
        for side in ("return", "benchmark_return"):
            measures[f"account: {side} by {period}"] = table[side].tolist()
    daily = pd.DataFrame({"account": result.returns, "cost_share": result.cost_share})
    return measures, daily.assign(benchmark=inputs.benchmark)


def _measure_factors(inputs: Inputs) -> Measures:
    panel = pd.DataFrame({name: _long(table) for name, table in inputs.factors.items()})
    complete = next(iter(inputs.factors.values())).columns
    labels = pd.DataFrame(
        {
            f"return_{horizon}": _long(
                (inputs.prices.shift(-horizon) / inputs.prices - 1).loc[inputs.sessions, complete]
            )
            for horizon in HORIZONS
        }
    )
    parameters = ScoringParameters(horizons=HORIZONS, quantiles=QUANTILES, resamples=1)
    scores = score_factors(panel, labels, parameters)
    decay = tabulate_decay(scores, parameters).set_index(["factor", "horizon"])
    measures: Measures = {}
    for row, factor in enumerate(scores.factors):
        measures |= _measures_of(scores, row, factor)
        for horizon in HORIZONS:
            for name in ("ic", "rank_ic", "icir", "rank_icir", "ic_t", "rank_ic_t", "positive_share", "spread"):
                measures[f"{factor}, {horizon}: mean {name}"] = float(decay.loc[(factor, horizon), name])
    return measures


def _measures_of(scores: FactorScores, row: int, factor: str) -> Measures:
    measures: Measures = {
        f"{factor}: rank autocorrelation": scores.autocorrelation[row].tolist(),
        f"{factor}: turnover": scores.replaced[row].tolist(),
    }
    for index, horizon in enumerate(scores.horizons):
        measures[f"{factor}, {horizon}: ic"] = scores.ic[row, :, index].tolist()
        measures[f"{factor}, {horizon}: rank_ic"] = scores.rank_ic[row, :, index].tolist()
        measures[f"{factor}, {horizon}: quantile returns"] = scores.quantile_returns[row, index].tolist()
        measures[f"{factor}, {horizon}: quantile excess"] = scores.quantile_excess[row, index].tolist()
    return measures


def _measure_ragged(inputs: Inputs) -> Measures:
    returns = inputs.prices.shift(-1) / inputs.prices - 1
    coefficients = information_coefficients(_long(inputs.ragged), _long(returns.loc[inputs.sessions]))
    coefficients = coefficients.reindex(inputs.sessions)
    measures: Measures = {f"all names: {name}": coefficients[name].tolist() for name in ("ic", "rank_ic")}
    summary = summarise(coefficients)
    measures |= {f"all names: {name}": summary[name] for name in ("icir", "rank_icir", "positive_share", "sessions")}
    measures["all names: rank_ic_t"] = rank_ic_t(coefficients, 1)
    return measures


def _long(table: pd.DataFrame) -> pd.Series:
    index = pd.MultiIndex.from_product([table.index, table.columns], names=["datetime", "instrument"])
    return pd.Series(table.to_numpy(dtype=np.float64).ravel(), index=index)
