"""Exposures of instruments to styles and sectors, from their own bars up to the close of a session.

They are proxies, as accounts have them without fundamental data: size is measured by the traded value, not by the
capitalisation. Every style has mean 0 and deviation 1 among the members of the universe, clipped at three deviations.

| style | raw value at the close of a session |
|---|---|
| beta | slope of the returns of 252 sessions on the mean return of the universe |
| momentum | return of 252 sessions without the last 21 |
| reversal | minus the return of 21 sessions |
| volatility | deviation of 63 returns around beta times the universe |
| size | logarithm of the mean traded value of 252 sessions |
| liquidity | traded value of 21 sessions against that of 252, as a logarithm |
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]

STYLES = ("beta", "momentum", "reversal", "volatility", "size", "liquidity")
YEAR, MONTH, QUARTER = 252, 21, 63
HISTORY = YEAR + MONTH
"""Sessions before the first one that exposures look back over."""
LEAST_OF_WINDOW = 0.8
"""Part of a window that must be known."""
CLIP = 3.0


@dataclass(frozen=True)
class Exposures:
    """Exposures at the closes of consecutive sessions.

    Attributes
    ----------
    sessions, instruments
        Axes of all arrays.
    styles
        Sessions × instruments × `STYLES`; NaN where a history is too short.
    returns
        Sessions × instruments: total return of each session from the close before; 0 while an instrument was halted.
    members
        Sessions × instruments: of the universe, with a bar and all styles.
    weights
        Sessions × instruments: weight in a regression, the root of the traded value.
    sectors
        Sector of each instrument.
    """

    sessions: pd.DatetimeIndex
    instruments: pd.Index
    styles: Floats
    returns: Floats
    members: npt.NDArray[np.bool_]
    weights: Floats
    sectors: pd.Series


def measure_exposures(
    adjusted_bars: pd.DataFrame,
    universe_members: pd.DataFrame,
    instruments: pd.DataFrame,
    sessions: pd.DatetimeIndex,
) -> Exposures:
    """Measure exposures at the closes of some sessions; nothing later than each of them goes into its own.

    Parameters
    ----------
    adjusted_bars
        ``date``, ``instrument``, ``close``, ``volume``, adjusted.
    universe_members
        ``date``, ``instrument``.
    instruments
        ``instrument``, ``sector``.
    sessions
        Consecutive sessions, all of the market's calendar; the first `HISTORY` of them are history for the others.
    """
    bars = adjusted_bars[adjusted_bars["date"].isin(sessions)]
    close = bars.pivot(index="date", columns="instrument", values="close").reindex(sessions)
    value = bars.assign(value=bars["close"] * bars["volume"]).pivot(index="date", columns="instrument", values="value")
    value = value.reindex(index=sessions, columns=close.columns)
    has_bar = close.notna().to_numpy()
    returns = close.ffill().pct_change(fill_method=None)
    listed = _members(universe_members, sessions, close.columns)
    raw = _raw_styles(close.ffill(), returns, value, listed)
    known = listed & has_bar & np.isfinite(raw).all(axis=2)
    sectors = instruments.set_index("instrument")["sector"].reindex(close.columns)
    return Exposures(
        sessions,
        close.columns,
        _standardised(raw, known),
        returns.to_numpy(),
        known,
        np.sqrt(_mean(value, YEAR).to_numpy()),
        sectors,
    )


def _members(universe_members: pd.DataFrame, sessions: pd.DatetimeIndex, names: pd.Index) -> npt.NDArray[np.bool_]:
    listed = universe_members[universe_members["date"].isin(sessions)]
    table = listed.assign(is_member=True).pivot(index="date", columns="instrument", values="is_member")
    return table.reindex(index=sessions, columns=names).eq(True).to_numpy()


def _raw_styles(
    close: pd.DataFrame, returns: pd.DataFrame, value: pd.DataFrame, listed: npt.NDArray[np.bool_]
) -> Floats:
    """Stack the raw values of all styles: sessions × instruments × styles."""
    market = returns.where(pd.DataFrame(listed, close.index, close.columns).shift(1, fill_value=False)).mean(axis=1)
    beta = _slopes(returns, market)
    log = np.log(close)
    residual = returns.sub(beta.mul(market, axis=0))
    long, short = _mean(value, YEAR), _mean(value, MONTH)
    with np.errstate(divide="ignore"):
        styles = (
            beta,
            log.shift(MONTH) - log.shift(YEAR),
            log.shift(MONTH) - log,
            residual.rolling(QUARTER, min_periods=_least(QUARTER)).std(),
            np.log(long),
            np.log(short) - np.log(long),
        )
    return np.stack([style.to_numpy() for style in styles], axis=2)


def _slopes(returns: pd.DataFrame, market: pd.Series) -> pd.DataFrame:
    least = _least(YEAR)
    means = returns.rolling(YEAR, min_periods=least).mean()
    products = returns.mul(market, axis=0).rolling(YEAR, min_periods=least).mean()
    market_mean, square = (each.rolling(YEAR, min_periods=least).mean() for each in (market, market**2))
    variance = square - market_mean**2
    return products.sub(means.mul(market_mean, axis=0)).div(variance.where(variance > 0), axis=0)


def _mean(values: pd.DataFrame, window: int) -> pd.DataFrame:
    return values.rolling(window, min_periods=_least(window)).mean()


def _least(window: int) -> int:
    return int(window * LEAST_OF_WINDOW)


def _standardised(raw: Floats, known: npt.NDArray[np.bool_]) -> Floats:
    """Bring every style to mean 0 and deviation 1 among the members; others on the same scale, where they are known."""
    values = raw.copy()
    for _ in range(2):
        among = np.where(known[:, :, None], values, np.nan)
        count = np.maximum(known.sum(axis=1), 1)[:, None]
        mean = np.nansum(among, axis=1) / count
        deviation = np.sqrt(np.nansum((among - mean[:, None, :]) ** 2, axis=1) / count)
        values = (values - mean[:, None, :]) / np.where(deviation > 0, deviation, np.nan)[:, None, :]
        # What does not differ among the members exposes to nothing.
        values = np.where(
            (deviation > 0)[:, None, :], np.clip(values, -CLIP, CLIP), np.where(np.isfinite(raw), 0.0, np.nan)
        )
    return values
