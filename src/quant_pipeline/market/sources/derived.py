"""Tables that a source can derive from its bars where it has none of its own."""

from __future__ import annotations

import pandas as pd

from quant_pipeline.market.corporate_actions import adjust_bars, dividend_returns

PRICES = ("open", "high", "low", "close")


def no_corporate_actions() -> pd.DataFrame:
    """Return a table of corporate actions without rows, for a market that has none."""
    columns = {"date": "datetime64[ns]", "instrument": "str", "kind": "str", "value": "float64"}
    return pd.DataFrame(columns=list(columns)).astype(columns)


def list_instruments(bars: pd.DataFrame, securities: pd.DataFrame | None = None) -> pd.DataFrame:
    """List the instruments that have bars; none is known to have ended.

    Parameters
    ----------
    bars
        As-traded bars.
    securities
        ``instrument``, ``name``, ``sector``; without it instruments are called by their symbols, in sector ``Unknown``.
    """
    listed = bars.groupby("instrument", sort=True)["date"].min().rename("listed").reset_index()
    if securities is None:
        table = listed.assign(name=listed["instrument"], sector=pd.array(["Unknown"] * len(listed), dtype="str"))
    else:
        table = listed.merge(securities, on="instrument", how="left")
    delisted = pd.Series(pd.NaT, index=table.index, dtype="datetime64[ns]")
    return table.assign(delisted=delisted)[["instrument", "name", "sector", "listed", "delisted"]]


def mean_benchmark(bars: pd.DataFrame, actions: pd.DataFrame) -> pd.DataFrame:
    """Return the equally weighted mean of all instruments as a benchmark, 100 before the first return."""
    adjusted = adjust_bars(bars, actions)
    returns = adjusted["close"].groupby(adjusted["instrument"], sort=False).pct_change()
    mean = returns.groupby(adjusted["date"], sort=True).mean().fillna(0.0)
    level = 100.0 * (1.0 + mean).cumprod()
    known = returns.notna()
    paid = dividend_returns(bars, actions)[known].groupby(bars["date"][known]).mean().reindex(level.index).fillna(0.0)
    prices = dict.fromkeys((*PRICES, "total_return_close"), level.to_numpy())
    return pd.DataFrame({"date": level.index, **prices, "volume": 0.0, "dividend_return": paid.to_numpy()})[
        ["date", *PRICES, "volume", "total_return_close", "dividend_return"]
    ]
