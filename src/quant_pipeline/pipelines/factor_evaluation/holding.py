"""What holding the highest values of each factor would have earned: one exact backtest per factor."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from quant_pipeline.backtest.array_engine import run_backtest
from quant_pipeline.common.progress import track
from quant_pipeline.exchange.market import TradingMarket
from quant_pipeline.pipelines.backtest.measuring import measure_backtest
from quant_pipeline.pipelines.market_tables import MarketTables, TradingRules
from quant_pipeline.pipelines.wiring import takes_records

MEASURES = {
    "topk_return": "annualised_return",
    "topk_sharpe": "sharpe",
    "topk_drawdown": "maximum_drawdown",
    "topk_turnover": "annualised_turnover",
}
"""Columns of the table, and the measures of `evaluation.performance` that they are."""


@takes_records(tables=MarketTables, rules=TradingRules)
def backtest_factors(evaluated_factors: pd.DataFrame, tables: MarketTables, rules: TradingRules) -> pd.DataFrame:
    """Trade every factor as a score by the rules and costs of the account.

    Parameters
    ----------
    evaluated_factors
        Panel ``(datetime, instrument) × factor``; a value is known after the close of its session. The highest are
        bought, as the values are, also where the evaluation is net of something.
    tables, rules
        The market and the rules, the same as of every backtest.

    Returns
    -------
    pandas.DataFrame
        ``factor``, and the columns of `MEASURES`, after costs, fractions and not percents. Missing for a factor without
        a single decision.
    """
    sessions = evaluated_factors.index.levels[0]
    calendar = pd.DatetimeIndex(tables.sessions["date"])
    market = tables.market_of(calendar[calendar >= sessions.min()], rules)
    benchmark = tables.benchmark_levels(market)
    rows = [
        {"factor": name, **_earned(scores, market, benchmark, rules)}
        for name, scores in track(_scores(evaluated_factors), "trading factors", total=evaluated_factors.shape[1])
    ]
    return pd.DataFrame(rows, columns=["factor", *MEASURES]).astype({"factor": "str"})


def _scores(panel: pd.DataFrame) -> Iterator[tuple[str, pd.Series]]:
    for name in panel.columns:
        values = panel[name].astype("float64").rename("score")
        yield str(name), values[np.isfinite(values.to_numpy())]


def _earned(scores: pd.Series, market: TradingMarket, benchmark: pd.Series, rules: TradingRules) -> dict[str, float]:
    """Measure the account of one factor; a score at the last session alone comes to no trade."""
    if not (scores.index.get_level_values("datetime") < market.sessions[-1]).any():
        return dict.fromkeys(MEASURES, np.nan)
    result = run_backtest(scores, market, rules.strategy, rules.cost_rules, rules.account.initial_cash)
    _, performance = measure_backtest(result, benchmark, rules.market_rules.risk_free_rate)
    return {column: performance[measure] for column, measure in MEASURES.items()}
