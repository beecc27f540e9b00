"""What the benchmark earned, by the terms of the account that is compared with it."""

from __future__ import annotations

import pandas as pd

from quant_pipeline.common.exceptions import MarketDataError
from quant_pipeline.market.quality import COLUMNS, no_findings

MOST_SESSIONS_LATE = 5
"""Sessions by which a benchmark may lag behind the bars, as some vendors deliver it; its level stands meanwhile."""


def check_benchmark(benchmark: pd.DataFrame, sessions: pd.DatetimeIndex) -> pd.DataFrame:
    """Return what the benchmark lacks of the sessions of the bars: a late beginning, and gaps.

    Parameters
    ----------
    benchmark
        As `MarketData` has it.
    sessions
        Dates on which the market has bars, in order.

    Returns
    -------
    pandas.DataFrame
        In the columns of `quality.COLUMNS`; empty where it has a level in every session up to its last one.
    """
    known = pd.DatetimeIndex(benchmark.loc[benchmark["total_return_close"].notna(), "date"])
    if known.empty:
        return no_findings()
    late = int((sessions < known[0]).sum())
    inner = sessions[(sessions > known[0]) & (sessions < known[-1])]
    missing = inner[~inner.isin(known)]
    runs = pd.Series(known.searchsorted(missing)).value_counts(sort=False)
    table = pd.DataFrame({"date": known[runs.index], "value": runs.to_numpy(dtype="float64"), "check": "benchmark_gap"})
    table["severity"] = ["error" if count > MOST_SESSIONS_LATE else "warning" for count in runs]
    table["detail"] = [
        f"the benchmark has no level for {count} sessions before; its level stands and the next one counts in full: "
        "complete it, or compare no returns within"
        for count in runs
    ]
    if late:
        text = (
            f"the benchmark begins on {known[0]:%Y-%m-%d}, {late} sessions after the bars; comparisons that begin "
            "before are refused: bring its earlier levels, or let the test segment begin later"
        )
        row = {"date": known[0], "value": float(late), "check": "benchmark_late", "severity": "warning"}
        table = pd.concat([pd.DataFrame([row | {"detail": text}]), table], ignore_index=True)
    return pd.concat([no_findings(), table.assign(instrument="benchmark")[COLUMNS]]) if len(table) else no_findings()


def levels_in(benchmark: pd.DataFrame, sessions: pd.DatetimeIndex, dividend_tax_rate: float) -> pd.Series:
    """Return the level of the benchmark in every one of some sessions, after the tax that the account pays.

    Parameters
    ----------
    benchmark
        As `MarketData` has it.
    sessions
        Sessions in which an account is compared with it.
    dividend_tax_rate
        Part of a dividend that is withheld.

    Returns
    -------
    pandas.Series
        By session; one without a level keeps the one before it, and the next level counts in full.

    Raises
    ------
    MarketDataError
        When the benchmark begins after the first of the sessions, or ends more than `MOST_SESSIONS_LATE` before the
        last one: its return is unknown there, not zero. See also `net_total_return`.
    """
    known = benchmark.loc[benchmark["total_return_close"].notna(), "date"]
    latest = sessions[max(len(sessions) - 1 - MOST_SESSIONS_LATE, 0)]
    if known.empty or known.iloc[0] > sessions[0] or known.iloc[-1] < latest:
        span = "nowhere" if known.empty else f"from {known.iloc[0]:%Y-%m-%d} to {known.iloc[-1]:%Y-%m-%d}"
        raise MarketDataError(
            f"The benchmark is known {span}, the account trades from {sessions[0]:%Y-%m-%d} to "
            f"{sessions[-1]:%Y-%m-%d}. Complete it in the market source, or shorten the test segment."
        )
    return net_total_return(benchmark, dividend_tax_rate).ffill().reindex(sessions, method="ffill")


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
        When a tax is asked for and the stored benchmark does not know its dividends, or not those of a session with a
        level.
    """
    level = benchmark.set_index("date")["total_return_close"]
    if dividend_tax_rate == 0:
        return level
    if "dividend_return" not in benchmark.columns:
        raise MarketDataError(
            "market_rules.dividend_tax_rate is set, but the stored benchmark does not know its dividends. "
            "Read the market again: kedro run --pipelines ingestion"
        )
    known = level.ffill()
    dividends = benchmark.set_index("date")["dividend_return"]
    dividends = dividends.mask(level.isna() & dividends.isna(), 0.0)
    unknown = dividends.isna() & known.shift(1).notna()
    if unknown.any():
        raise MarketDataError(
            f"The benchmark has a level but no `dividend_return` on {unknown.idxmax():%Y-%m-%d}, and "
            "market_rules.dividend_tax_rate is set. Complete it in the market source; 0 if it pays nothing."
        )
    total = (known / known.shift(1) - 1).fillna(0.0)
    start = known.dropna().iloc[:1].sum()
    net = start * (1 + total - dividend_tax_rate * dividends.where(known.shift(1).notna(), 0.0)).cumprod()
    return net.where(known.notna()).rename("total_return_close")
