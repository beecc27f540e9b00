"""What the portfolio has earned and risked: measures with bands, round trips, concentration, time to sell all."""

from __future__ import annotations

import numpy as np
import pandas as pd

from quant_pipeline.evaluation.performance import measure_performance
from quant_pipeline.evaluation.standard_errors import bootstrap_bands
from quant_pipeline.market.clock import SESSIONS_PER_YEAR, rate_per_session
from quant_pipeline.pipelines.analysis.bands import Banded, mean_with_band, rate_with_band, ratio_with_band
from quant_pipeline.pipelines.analysis.parameters import AnalysisParameters
from quant_pipeline.trading.ledger.lot_tables import round_trips_table

MEASURE_COLUMNS = ["measure", "value", "lower", "upper", "sessions"]
ROUND_TRIP_COLUMNS = [
    "held",
    "round_trips",
    "hit_rate",
    "lower",
    "upper",
    "mean_return",
    "mean_lower",
    "mean_upper",
    "profit",
]
CONCENTRATION_COLUMNS = ["date", "holdings", "largest", "five_largest", "effective_holdings", "invested"]
EXIT_COLUMNS = ["instrument", "value", "weight", "sessions_to_exit"]
HELD = (1, 5, 20, 60)
"""Upper ends of the groups of holding times, in calendar days."""
RESAMPLES, SEED = 2_000, 7


def measure_portfolio(
    daily_amounts: pd.DataFrame,
    benchmark_levels: pd.Series,
    turnover: pd.Series,
    risk_free_rate: float,
    parameters: AnalysisParameters,
) -> pd.DataFrame:
    """Measure the returns of the account; flows are neither profit nor loss.

    Parameters
    ----------
    daily_amounts
        ``date``, ``return``; the first session only opens the account.
    benchmark_levels
        Levels of the benchmark by session.
    turnover
        Value traded over net asset value, by session.
    risk_free_rate
        Per year.
    parameters
        Minimum of sessions, confidence.

    Returns
    -------
    pandas.DataFrame
        ``measure``, ``value``, ``lower``, ``upper``, ``sessions``. Return and share of gains have a band, and, by the
        block bootstrap, Sharpe and information ratio; none with too few sessions.
    """
    returns = daily_amounts.set_index("date")["return"].iloc[1:]
    sessions = len(returns)
    if sessions < 2:
        return pd.DataFrame(columns=MEASURE_COLUMNS)
    levels = (1 + daily_amounts.set_index("date")["return"].where(lambda r: r.index > r.index[0], 0.0)).cumprod()
    benchmark = benchmark_levels.reindex(levels.index)
    has_benchmark = bool(benchmark.notna().all())
    found = measure_performance(
        levels, benchmark if has_benchmark else None, turnover.reindex(levels.index).fillna(0.0), risk_free_rate
    )
    table = pd.DataFrame({"measure": list(found), "value": list(found.values())})
    table = table.assign(lower=np.nan, upper=np.nan, sessions=sessions).set_index("measure")
    if sessions >= parameters.min_sessions:
        rate = rate_per_session(risk_free_rate)
        _set(table, "sharpe", *_ratio_band(returns - rate, parameters))
        if has_benchmark:
            over = returns - benchmark.pct_change().reindex(returns.index)
            _set(table, "information_ratio", *_ratio_band(over, parameters))
        log = mean_with_band(np.log1p(returns), parameters.min_sessions, parameters.confidence)
        _set(table, "annualised_return", *np.expm1(SESSIONS_PER_YEAR * np.array([log.lower, log.upper])))
        wins = rate_with_band(int((returns > 0).sum()), sessions, parameters.min_sessions, parameters.confidence)
        _set(table, "win_rate", wins.lower, wins.upper)
    return table.reset_index()[MEASURE_COLUMNS]


def _ratio_band(returns: pd.Series, parameters: AnalysisParameters) -> tuple[float, float]:
    """Return the ends of the band of mean over deviation, a year of it."""
    ratio = bootstrap_bands(returns.to_numpy()[:, None], 1, parameters.confidence, RESAMPLES, SEED).ratio
    root = np.sqrt(SESSIONS_PER_YEAR)
    return float(ratio.lower[0] * root), float(ratio.upper[0] * root)


def _set(table: pd.DataFrame, measure: str, lower: float, upper: float) -> None:
    if measure in table.index:
        table.loc[measure, ["lower", "upper"]] = lower, upper


def group_round_trips(closed_lots: pd.DataFrame, parameters: AnalysisParameters) -> pd.DataFrame:
    """Count round trips with a gain by how long they were held, see `round_trips_table`.

    Returns
    -------
    pandas.DataFrame
        ``held``, ``round_trips``, ``hit_rate`` with Wilson's band, ``mean_return`` of the cost with its band
        ``mean_lower`` and ``mean_upper``, which allows for trips that ended in one session being alike, ``profit``.
    """
    trips = round_trips_table(closed_lots)
    edges = [-1, *HELD, np.inf]
    names = [f"up to {days} days" if days > 1 else "up to a day" for days in HELD] + [f"more than {HELD[-1]} days"]
    groups = pd.cut(trips["days_held"], edges, labels=names)
    rows = []
    for name, each in [("all", trips), *trips.groupby(groups, observed=True)]:
        gains = int((each["realised_profit"] > 0).sum())
        rate = rate_with_band(gains, len(each), parameters.min_round_trips, parameters.confidence)
        mean = _mean_return(each, parameters)
        facts = (str(name), len(each), rate.value, rate.lower, rate.upper, mean.value, mean.lower, mean.upper)
        rows.append((*facts, each["realised_profit"].sum()))
    return pd.DataFrame(rows, columns=ROUND_TRIP_COLUMNS)


def _mean_return(trips: pd.DataFrame, parameters: AnalysisParameters) -> Banded:
    by_session = (trips["realised_profit"] / trips["cost"]).groupby(trips["closed"]).agg(["sum", "count"])
    # A band needs two sessions in which trips ended, however many did.
    least = 2 if len(trips) >= parameters.min_round_trips else len(by_session) + 1
    return ratio_with_band(by_session["sum"], by_session["count"], least, parameters.confidence)


def measure_concentration(holding_log: pd.DataFrame, daily_amounts: pd.DataFrame) -> pd.DataFrame:
    """Measure how concentrated the portfolio was at each close, also where it held nothing.

    Returns
    -------
    pandas.DataFrame
        ``date``, ``holdings``, ``largest`` and ``five_largest`` as parts of the net asset value,
        ``effective_holdings`` (inverse Herfindahl index of the invested part; missing where there is none),
        ``invested``.
    """
    by_day = {day: held["market_value"] for day, held in holding_log.groupby("date")}
    rows = []
    for day, nav in zip(daily_amounts["date"], daily_amounts["nav"], strict=True):
        value = np.sort(by_day.get(day, pd.Series(dtype="float64")).to_numpy(dtype=np.float64))[::-1]
        total = value.sum()
        effective = total**2 / (value**2).sum() if total > 0 else np.nan
        base = float(nav) if nav > 0 else np.nan
        rows.append((day, len(value), value[:1].sum() / base, value[:5].sum() / base, effective, total / base))
    return pd.DataFrame(rows, columns=CONCENTRATION_COLUMNS)


def measure_exit(
    holdings: pd.DataFrame, bars: pd.DataFrame, nav: float, parameters: AnalysisParameters
) -> pd.DataFrame:
    """Measure how many sessions the sale of each holding takes without exceeding a part of its volume.

    Parameters
    ----------
    holdings
        ``instrument``, ``quantity``, ``market_value`` at the newest close.
    bars
        As traded; the last sessions give the median volume.
    nav
        Net asset value.
    parameters
        Part of the volume, and over how many sessions it is measured.

    Returns
    -------
    pandas.DataFrame
        ``instrument``, ``value``, ``weight``, ``sessions_to_exit``, longest first; infinite without volume.
    """
    days = np.sort(bars["date"].unique())[-parameters.volume_window :]
    recent = bars[bars["date"].isin(days) & bars["instrument"].isin(holdings["instrument"])]
    volume = recent.pivot(index="date", columns="instrument", values="volume").reindex(days).fillna(0.0).median()
    possible = volume.reindex(holdings["instrument"]).fillna(0.0).to_numpy(dtype=np.float64)
    with np.errstate(divide="ignore"):
        needed = np.ceil(holdings["quantity"].to_numpy(dtype=np.float64) / (possible * parameters.exit_participation))
    table = pd.DataFrame(
        {
            "instrument": holdings["instrument"],
            "value": holdings["market_value"],
            "weight": holdings["market_value"] / nav,
            "sessions_to_exit": needed,
        }
    )
    return table.sort_values(["sessions_to_exit", "value"], ascending=False, ignore_index=True)[EXIT_COLUMNS]
