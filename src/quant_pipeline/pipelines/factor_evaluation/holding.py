"""What holding the highest values of each factor would have earned: one exact backtest per factor."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.backtest.combination_engine import CombinationSearch, run_combinations
from quant_pipeline.common.cores import usable_cores
from quant_pipeline.common.progress import track
from quant_pipeline.exchange.market import TradingMarket
from quant_pipeline.models.panels import Features, as_panel
from quant_pipeline.pipelines.market_tables import MarketTables, TradingRules
from quant_pipeline.pipelines.wiring import takes_records

MEASURES = {
    "topk_return": "annualised_return",
    "topk_sharpe": "sharpe",
    "topk_drawdown": "maximum_drawdown",
    "topk_turnover": "annualised_turnover",
}
"""Columns of the table, and the figures of `backtest.combination_engine` that they are."""
AT_ONCE = 16
"""Factors whose values are laid out at a time."""


@takes_records(tables=MarketTables, rules=TradingRules)
def backtest_factors(evaluated_factors: Features, tables: MarketTables, rules: TradingRules) -> pd.DataFrame:
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
    panel = as_panel(evaluated_factors)
    days = panel.index.get_level_values("datetime")
    calendar = pd.DatetimeIndex(tables.sessions["date"])
    market = tables.market_of(calendar[(calendar >= days.min()) & (calendar <= days.max())], rules)
    names = list(panel.columns)
    parts = [names[start : start + AT_ONCE] for start in range(0, len(names), AT_ONCE)]
    rows = [_earned(panel.read(columns=part), market, rules) for part in track(parts, "trading factors")]
    return pd.concat(rows, ignore_index=True)


def _earned(panel: pd.DataFrame, market: TradingMarket, rules: TradingRules) -> pd.DataFrame:
    """Measure the accounts of some factors; a value at the last session alone comes to no trade."""
    values = np.stack([_values(panel[name], market) for name in panel.columns])
    search = CombinationSearch(values, market, rules.strategy, rules.cost_rules, rules.account.initial_cash)
    alone = [(place,) for place in range(len(values))]
    figures = run_combinations(search, alone, n_threads=usable_cores()).figures
    decides = np.isfinite(values[:, :-1]).any(axis=(1, 2))
    table = pd.DataFrame({column: figures[figure].where(decides) for column, figure in MEASURES.items()})
    table.insert(0, "factor", pd.array(list(panel.columns), dtype="str"))
    return table


def _values(factor: pd.Series, market: TradingMarket) -> npt.NDArray[np.float64]:
    known = factor.astype("float64")
    return market.score_matrix(known[np.isfinite(known.to_numpy())].rename("score"))
