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
LARGEST_SURPRISE = 40.0
"""Shock, in standard deviations, beyond which volume rises no more: in a large market it would exceed every number."""
OVERNIGHT_SHARE, OVERNIGHT_NOISE = 0.45, 0.55
MEAN_HALT = 2.0
"""Sessions of a halt on average."""
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
    """Sessions × instruments: close in cents, split ratio and dividend per share (after the split) of each session.

    ``lowest`` and ``highest`` are the prices that the limits of a market allow; None where it has none.
    """

    close: Array
    split: Array
    dividend: Array
    lowest: Array | None = None
    highest: Array | None = None


@dataclass(frozen=True)
class PriceHabits:
    """At what prices shares trade: the usual first one, and where they split in either direction."""

    usual: float = 60.0
    split_above: float = SPLIT_ABOVE
    reverse_split_below: float = REVERSE_SPLIT_BELOW


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


def trade_prices(
    rng: np.random.Generator,
    total: Array,
    life: Life,
    habits: PriceHabits = PriceHabits(),
    limits: npt.NDArray[np.int64] | None = None,
) -> TradedPrices:
    """Turn total returns into closes in cents, with dividends in cents and splits where prices drift too far.

    Parameters
    ----------
    rng
        Source of randomness.
    total
        Total returns, sessions × instruments.
    life
        When every instrument trades.
    habits
        Usual prices.
    limits
        Largest move in basis points, sessions × instruments, 0 = none; None for a market without limits. What a return
        would move a price beyond its limit is lost.
    """
    n_sessions, n = total.shape
    annual_yield = np.where(rng.random(n) < 0.6, rng.uniform(0.005, 0.04, n), 0.0)
    phase = rng.integers(SESSIONS_PER_QUARTER, size=n)
    choice = rng.integers(len(NEW_SHARES), size=(n_sessions, n))
    close, split, dividend = np.empty_like(total), np.ones_like(total), np.zeros_like(total)
    price = rng.lognormal(np.log(habits.usual), 0.7, n)
    # Zeros that nothing writes to take no memory.
    lowest = np.zeros_like(total)
    highest = lowest if limits is None else np.full_like(total, np.inf)
    for t in range(n_sessions):
        pays = ((t + phase) % SESSIONS_PER_QUARTER == 0) & (t > life.first) & (life.last - t > QUIET_BEFORE_END)
        due = np.where(pays, annual_yield / 4 * price, 0.0)
        grown = price * (1.0 + total[t])
        may_split = (t - life.first >= QUIET_AT_START) & (life.last - t >= QUIET_BEFORE_END)
        too_high, too_low = grown - due > habits.split_above, grown - due < habits.reverse_split_below
        ratio = np.where(too_high, NEW_SHARES[choice[t]], np.where(too_low, REVERSE_SPLIT, 1.0))
        split[t] = np.where(may_split, ratio, 1.0)
        dividend[t] = np.round(due / split[t], 2)
        price = np.maximum(grown / split[t] - dividend[t], CENT)
        if limits is not None and t > 0:
            lowest[t], highest[t] = _limit_prices(close[t - 1], split[t], dividend[t], limits[t])
            price = np.clip(price, lowest[t], highest[t])
        close[t] = np.maximum(np.round(price, 2), CENT)
    return (
        TradedPrices(close, split, dividend)
        if limits is None
        else TradedPrices(close, split, dividend, lowest, highest)
    )


def _limit_prices(close: Array, split: Array, dividend: Array, limits: npt.NDArray[np.int64]) -> tuple[Array, Array]:
    """Return lowest and highest price of a session in whole cents, rounded half up, after its corporate actions."""
    acted = (split != 1.0) | (dividend > 0)
    cents = np.floor((close / split - dividend) * 100 + 0.5 + 1e-9).astype(np.int64)
    limited = (limits > 0) & (cents > 0)
    # An ex price may round to the cent beside the one that the exchange publishes: those sessions keep a cent away.
    lowest = (cents * (10_000 - limits) + 5_000) // 10_000 + acted
    highest = (cents * (10_000 + limits) + 5_000) // 10_000 - acted
    return np.where(limited, lowest / 100, CENT), np.where(limited, highest / 100, np.inf)


def shape_bars(
    rng: np.random.Generator,
    returns: Returns,
    prices: TradedPrices,
    life: Life,
    halt_rate: float,
    halted: npt.NDArray[np.bool_] | None = None,
) -> TradedBars:
    """Draw open, high, low and volume around the closes, and the halts.

    High and low are the exact extremes of a Brownian bridge from open to close; the hidden signal bends them, so that
    the place of the close within the bar predicts a little of the next sessions. `halted` gives the halts where they
    were drawn before; nothing trades beyond the limits of the prices.
    """
    close = prices.close
    open_ = _open(rng, returns, prices)
    high, low = _extremes(rng, returns, np.log(open_), np.log(close))
    open_ = np.maximum(np.round(open_, 2), CENT)
    high = np.maximum(np.round(high, 2), np.maximum(open_, close))
    low = np.maximum(np.minimum(np.round(low, 2), np.minimum(open_, close)), CENT)
    if prices.lowest is not None and prices.highest is not None:
        open_, high, low = (np.clip(field, prices.lowest, prices.highest) for field in (open_, high, low))
    volume = _volume(rng, returns, prices)
    halted = draw_halts(rng, close.shape, halt_rate, MEAN_HALT) if halted is None else halted
    return TradedBars(open_, high, low, volume, _traded(halted, prices, life))


def _open(rng: np.random.Generator, returns: Returns, prices: TradedPrices) -> Array:
    """Draw opens, unrounded: part of the session's move, and noise."""
    close = prices.close
    before = np.vstack([close[:1], close[:-1]]) / prices.split
    noise = OVERNIGHT_NOISE * returns.own_volatility * rng.standard_normal(close.shape)
    return before * np.exp(OVERNIGHT_SHARE * np.log(close / before) + noise)


def _extremes(rng: np.random.Generator, returns: Returns, start: Array, end: Array) -> tuple[Array, Array]:
    """Draw highs and lows between the logarithms of open and close, unrounded."""
    variance = (1.15 * returns.own_volatility) ** 2
    up = np.clip(rng.random(end.shape) ** np.exp(SIGNAL_IN_SHAPE * returns.signal), 1e-9, 1.0)
    down = np.clip(rng.random(end.shape) ** np.exp(-SIGNAL_IN_SHAPE * returns.signal), 1e-9, 1.0)
    high = np.exp((start + end + np.sqrt((end - start) ** 2 - 2 * variance * np.log(up))) / 2)
    del up
    return high, np.exp((start + end - np.sqrt((end - start) ** 2 - 2 * variance * np.log(down))) / 2)


def _volume(rng: np.random.Generator, returns: Returns, prices: TradedPrices) -> Array:
    n_sessions, n = prices.close.shape
    usual = rng.normal(np.log(2e6), 1.0, n)
    noise = rng.standard_normal((n_sessions, n)) * 0.25
    mood = np.zeros_like(noise)
    for t in range(1, n_sessions):
        mood[t] = 0.8 * mood[t - 1] + noise[t]
    excitement = (
        0.35 * (np.minimum(np.abs(returns.own_surprise), LARGEST_SURPRISE) - 0.75) + SIGNAL_IN_VOLUME * returns.signal
    )
    shares = np.exp(usual + mood + excitement) * np.cumprod(prices.split, axis=0)
    return np.maximum(np.round(shares), 1.0)


def draw_halts(
    rng: np.random.Generator, shape: tuple[int, ...], rate: float, mean_length: float
) -> npt.NDArray[np.bool_]:
    """Draw where trading halts, sessions × instruments: how often one begins, and how long it lasts on average."""
    halted = np.zeros(shape, dtype=np.bool_)
    starts = np.argwhere(rng.random(shape) < rate)
    lengths = rng.geometric(1.0 / mean_length, len(starts))
    for (t, i), length in zip(starts, lengths, strict=True):
        halted[t : t + length, i] = True
    return halted


def _traded(halted: npt.NDArray[np.bool_], prices: TradedPrices, life: Life) -> npt.NDArray[np.bool_]:
    row = np.arange(len(prices.close))[:, None]
    alive = (row >= life.first) & (row <= life.last)
    # Corporate actions are never hidden by a halt, and every life begins and ends with a bar.
    acted = (prices.split != 1.0) | (prices.dividend > 0)
    protected = acted | (np.abs(row - life.first) <= QUIET_AT_START) | (np.abs(row - life.last) <= QUIET_AT_START)
    return alive & ~(halted & ~protected)
