"""From total returns to what an exchange shows: traded prices in cents, bars, volume, splits, dividends, halts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from quant_pipeline.market.sources.simulated_returns import Array, Returns

CENT = 0.01
SESSIONS_PER_QUARTER = 63
SPLIT_ABOVE, REVERSE_SPLIT_BELOW, REVERSE_SPLIT = 320.0, 2.0, 0.1
NEW_SHARES = np.array([2.0, 3.0, 4.0])
SIGNAL_IN_SHAPE, SIGNAL_IN_VOLUME = 0.4, 0.15
OVERNIGHT_SHARE, OVERNIGHT_NOISE = 0.45, 0.55
QUIET_AT_START, QUIET_BEFORE_END = 5, 65
"""Sessions after the listing and before the last bar in which nothing splits."""


@dataclass(frozen=True)
class Life:
    """First and last session (row) of every instrument, and how it ends: ``""``, ``takeover`` or ``bankruptcy``."""

    first: npt.NDArray[np.int64]
    last: npt.NDArray[np.int64]
    ending: npt.NDArray[np.object_]


@dataclass(frozen=True)
class TradedPrices:
    """Sessions × instruments: close in cents, split ratio and dividend per share (after the split) of each session."""

    close: Array
    split: Array
    dividend: Array


@dataclass(frozen=True)
class TradedBars:
    """Sessions × instruments: the other fields of the bars, and who traded."""

    open: Array
    high: Array
    low: Array
    volume: Array
    traded: npt.NDArray[np.bool_]


def live_and_die(
    rng: np.random.Generator, n_sessions: int, n: int, warm_up: int, listed_late: float, ended_per_year: float
) -> Life:
    """Draw listings and delistings: most instruments trade from the start, a few list late, a few end."""
    first = np.full(n, warm_up)
    late = rng.random(n) < listed_late
    latest_listing = max(warm_up + 61, n_sessions - 300)
    first[late] = rng.integers(warm_up + 60, latest_listing, late.sum())
    length = (
        np.ceil(rng.exponential(252 / ended_per_year, n)).astype(np.int64)
        if ended_per_year > 0
        else np.full(n, n_sessions)
    )
    last = np.minimum(first + np.maximum(length, 130), n_sessions - 1)
    ends = last < n_sessions - 20
    last[~ends] = n_sessions - 1
    ending = np.where(ends, np.where(rng.random(n) < 0.65, "takeover", "bankruptcy"), "").astype(object)
    return Life(first, last, ending)


def shape_endings(rng: np.random.Generator, total: Array, life: Life) -> Array:
    """Return total returns in which takeovers jump and go quiet, and bankruptcies sink with wild moves.

    The sinking is short and noisy, so that a model cannot live on shorting the dying.
    """
    shaped = total.copy()
    for i in np.flatnonzero(life.ending == "takeover"):
        announced = life.last[i] - 30
        shaped[announced, i] += rng.uniform(0.10, 0.35)
        shaped[announced + 1 : life.last[i] + 1, i] *= 0.08
    for i in np.flatnonzero(life.ending == "bankruptcy"):
        sinking = slice(life.last[i] - 14, life.last[i] + 1)
        shaped[sinking, i] += rng.normal(-0.06, 0.12, 15)
    return np.clip(shaped, -0.6, 1.0)


def trade_prices(rng: np.random.Generator, total: Array, life: Life) -> TradedPrices:
    """Turn total returns into closes in cents, with dividends in cents and splits where prices drift too far."""
    n_sessions, n = total.shape
    annual_yield = np.where(rng.random(n) < 0.6, rng.uniform(0.005, 0.04, n), 0.0)
    phase = rng.integers(SESSIONS_PER_QUARTER, size=n)
    choice = rng.integers(len(NEW_SHARES), size=(n_sessions, n))
    close, split, dividend = np.empty_like(total), np.ones_like(total), np.zeros_like(total)
    price = rng.lognormal(np.log(60.0), 0.7, n)
    for t in range(n_sessions):
        pays = ((t + phase) % SESSIONS_PER_QUARTER == 0) & (t > life.first) & (life.last - t > QUIET_BEFORE_END)
        due = np.where(pays, annual_yield / 4 * price, 0.0)
        grown = price * (1.0 + total[t])
        may_split = (t - life.first >= QUIET_AT_START) & (life.last - t >= QUIET_BEFORE_END)
        too_high, too_low = grown - due > SPLIT_ABOVE, grown - due < REVERSE_SPLIT_BELOW
        ratio = np.where(too_high, NEW_SHARES[choice[t]], np.where(too_low, REVERSE_SPLIT, 1.0))
        split[t] = np.where(may_split, ratio, 1.0)
        dividend[t] = np.round(due / split[t], 2)
        price = np.maximum(grown / split[t] - dividend[t], CENT)
        close[t] = np.maximum(np.round(price, 2), CENT)
    return TradedPrices(close, split, dividend)


def shape_bars(
    rng: np.random.Generator, returns: Returns, prices: TradedPrices, life: Life, halt_rate: float
) -> TradedBars:
    """Draw open, high, low and volume around the closes, and the halts.

    High and low are the exact extremes of a Brownian bridge from open to close; the hidden signal bends them, so that
    the place of the close within the bar predicts a little of the next sessions.
    """
    close, deviation, signal = prices.close, returns.own_volatility, returns.signal
    before = np.vstack([close[:1], close[:-1]]) / prices.split
    jump = OVERNIGHT_SHARE * np.log(close / before) + OVERNIGHT_NOISE * deviation * rng.standard_normal(close.shape)
    open_ = before * np.exp(jump)
    start, end = np.log(open_), np.log(close)
    variance = (1.15 * deviation) ** 2
    up = np.clip(rng.random(close.shape) ** np.exp(SIGNAL_IN_SHAPE * signal), 1e-9, 1.0)
    down = np.clip(rng.random(close.shape) ** np.exp(-SIGNAL_IN_SHAPE * signal), 1e-9, 1.0)
    high = np.exp((start + end + np.sqrt((end - start) ** 2 - 2 * variance * np.log(up))) / 2)
    low = np.exp((start + end - np.sqrt((end - start) ** 2 - 2 * variance * np.log(down))) / 2)
    open_ = np.maximum(np.round(open_, 2), CENT)
    high = np.maximum(np.round(high, 2), np.maximum(open_, close))
    low = np.maximum(np.minimum(np.round(low, 2), np.minimum(open_, close)), CENT)
    return TradedBars(open_, high, low, _volume(rng, returns, prices), _traded(rng, prices, life, halt_rate))


def _volume(rng: np.random.Generator, returns: Returns, prices: TradedPrices) -> Array:
    n_sessions, n = prices.close.shape
    usual = rng.normal(np.log(2e6), 1.0, n)
    noise = rng.standard_normal((n_sessions, n)) * 0.25
    mood = np.zeros_like(noise)
    for t in range(1, n_sessions):
        mood[t] = 0.8 * mood[t - 1] + noise[t]
    excitement = 0.35 * (np.abs(returns.own_surprise) - 0.75) + SIGNAL_IN_VOLUME * returns.signal
    shares = np.exp(usual + mood + excitement) * np.cumprod(prices.split, axis=0)
    return np.maximum(np.round(shares), 1.0)


def _traded(rng: np.random.Generator, prices: TradedPrices, life: Life, halt_rate: float) -> npt.NDArray[np.bool_]:
    n_sessions, n = prices.close.shape
    row = np.arange(n_sessions)[:, None]
    alive = (row >= life.first) & (row <= life.last)
    halted = np.zeros_like(alive)
    starts = np.argwhere(rng.random((n_sessions, n)) < halt_rate)
    lengths = rng.geometric(0.5, len(starts))
    for (t, i), length in zip(starts, lengths, strict=True):
        halted[t : t + length, i] = True
    # Corporate actions are never hidden by a halt, and every life begins and ends with a bar.
    acted = (prices.split != 1.0) | (prices.dividend > 0)
    protected = acted | (np.abs(row - life.first) <= QUIET_AT_START) | (np.abs(row - life.last) <= QUIET_AT_START)
    return alive & ~(halted & ~protected)
