"""What the benchmark earned, by the terms of the account that is compared with it."""

from __future__ import annotations

import pandas as pd

from quant_pipeline.common.exceptions import MarketDataError


def net_total_return(benchmark: pd.DataFrame, dividend_tax_rate: float) -> pd.Series:
    """Return the level of the benchmark with dividends reinvested after the tax that the account pays, too.

    Parameters
    ----------
    benchmark
        As `MarketData` has it.
    dividend_tax_rate
        Part of a dividend that is withheld; 0 returns ``total_return_close`` as it is.

    Returns
    -------
    pandas.Series
        By date, from the first ``total_return_close`` on: a session's return is the total one less the tax on its
        dividends. The benchmark holds no cash, so that interest does not concern it. Under a tax, a session without a
        level keeps the one before it, and the next level counts in full.

    Raises
    ------
    MarketDataError
        When a tax is asked for and the stored benchmark does not know its dividends.
    """
    level = benchmark.set_index("date")["total_return_close"]
    if dividend_tax_rate == 0:
        return level
    if "dividend_return" not in benchmark.columns:
        raise MarketDataError(
            "market_rules.dividend_tax_rate is set, but the stored benchmark does not know its dividends. "
            "Read the market anew: kedro run --pipelines ingestion"
        )
    known = level.ffill()
    total = (known / known.shift(1) - 1).fillna(0.0)
    dividends = benchmark.set_index("date")["dividend_return"]
    taxed = dividend_tax_rate * dividends.mask(level.isna() & dividends.isna(), 0.0)
    return (level.iloc[0] * (1 + total - taxed).cumprod()).rename("total_return_close")
