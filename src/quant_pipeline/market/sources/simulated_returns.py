"""Returns of the simulated cross-section: common, sector, style and own shocks, and a weak predictable part.

Every shock follows a GJR-GARCH(1,1) with Student-t innovations (Glosten, Jagannathan and Runkle, 1993), which gives
clustered volatility, fat tails and the leverage effect. The predictable part is a hidden state per instrument that
fades with a half-life; its strength drifts by regime, so that a model has good and bad years as in a real market.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from quant_pipeline.market.clock import SESSIONS_PER_YEAR

Array = npt.NDArray[np.float64]

N_STYLES = 3
LARGEST_FALL, LARGEST_RISE = -0.6, 1.0


@dataclass(frozen=True)
class Returns:
    """Sessions × instruments.

    Attributes
    ----------
    total
        Close-to-close total return.
    own_volatility
        Conditional standard deviation of the own shock.
    own_surprise
        Own shock divided by that deviation.
    signal
        Hidden state after the close; it moves the next sessions' returns and leaks into bars and volume.
    """

    total: Array
    own_volatility: Array
    own_surprise: Array
    signal: Array


def garch_shocks(
    rng: np.random.Generator,
    n_sessions: int,
    volatility: Array,
    *,
    arch: float = 0.05,
    leverage: float = 0.10,
    persistence: float = 0.885,
    degrees_of_freedom: float = 4.2,
) -> tuple[Array, Array]:
    """Simulate GJR-GARCH shocks.

    Parameters
    ----------
    rng
        Source of randomness.
    n_sessions
        Length.
    volatility
        Unconditional daily standard deviation per series.
    arch, leverage, persistence
        Weights of the last squared shock, of its negative part, and of the last variance.
    degrees_of_freedom
        Of the Student-t innovation, above 2.

    Returns
    -------
    tuple of numpy.ndarray
        Shocks and their conditional standard deviations, sessions × series.
    """
    unconditional = volatility**2
    base = unconditional * (1.0 - arch - leverage / 2 - persistence)
    scale = np.sqrt((degrees_of_freedom - 2) / degrees_of_freedom)
    innovation = rng.standard_t(degrees_of_freedom, (n_sessions, len(volatility))) * scale
    shocks, deviations = np.empty_like(innovation), np.empty_like(innovation)
    variance = unconditional.copy()
    for t in range(n_sessions):
        deviations[t] = np.sqrt(variance)
        shocks[t] = deviations[t] * innovation[t]
        # One extreme innovation must not keep the variance up for years.
        squared = np.minimum(shocks[t] ** 2, 30 * variance)
        variance = base + (arch + leverage * (shocks[t] < 0)) * squared + persistence * variance
    return shocks, deviations


def autoregression(rng: np.random.Generator, n_sessions: int, n_series: int, half_life: float) -> Array:
    """Simulate stationary first-order autoregressions of unit variance that fade with ``half_life`` sessions."""
    kept = 0.5 ** (1.0 / half_life)
    noise = rng.standard_normal((n_sessions, n_series)) * np.sqrt(1.0 - kept**2)
    state = np.empty_like(noise)
    state[0] = rng.standard_normal(n_series)
    for t in range(1, n_sessions):
        state[t] = kept * state[t - 1] + noise[t]
    return state


def simulate_returns(
    rng: np.random.Generator,
    n_sessions: int,
    sector: npt.NDArray[np.int64],
    n_sectors: int,
    *,
    market_volatility: float,
    market_drift: float,
    signal: float,
    signal_half_life: float,
    reversal: float,
) -> Returns:
    """Simulate the returns of all instruments.

    Parameters
    ----------
    rng
        Source of randomness.
    n_sessions
        Length.
    sector, n_sectors
        Sector of every instrument, and how many there are.
    market_volatility, market_drift
        Of the common return, per year.
    signal
        Mean correlation of the hidden state with the next own return; 0 makes returns unpredictable.
    signal_half_life
        Sessions after which half of the hidden state has faded.
    reversal
        Strength with which the last week's own shocks revert; it, too, is off when ``signal`` is 0.
    """
    n = len(sector)
    daily = np.sqrt(SESSIONS_PER_YEAR)
    market, _ = garch_shocks(rng, n_sessions, np.array([market_volatility / daily]), degrees_of_freedom=5.0)
    # The path earns its drift: otherwise the luck of one seed would decide whether the market rises in ten years.
    market -= market.mean()
    sectors, _ = garch_shocks(rng, n_sessions, np.full(n_sectors, 0.08 / daily))
    styles, _ = garch_shocks(rng, n_sessions, np.full(N_STYLES, 0.035 / daily))
    own_level = rng.uniform(0.15, 0.38, n) / daily
    own, deviation = garch_shocks(
        rng, n_sessions, own_level, arch=0.09, leverage=0.04, persistence=0.875, degrees_of_freedom=3.4
    )
    beta = np.clip(rng.normal(1.0, 0.25, n), 0.2, 2.0)
    loading = rng.standard_normal((n, N_STYLES))
    state = autoregression(rng, n_sessions, n, signal_half_life)
    regime = np.exp(0.35 * autoregression(rng, n_sessions, 1, 120.0) - 0.06)

    surprise = own / deviation
    predictable = np.zeros_like(own)
    predictable[1:] = signal * regime[:-1] * deviation[1:] * state[:-1]
    if signal > 0:
        week = np.cumsum(surprise, axis=0)
        week[5:] -= week[:-5].copy()
        predictable[1:] -= reversal * deviation[1:] * week[:-1] / np.sqrt(5)
    total = (
        market_drift / SESSIONS_PER_YEAR + beta * market + sectors[:, sector] + styles @ loading.T + own + predictable
    )
    return Returns(np.clip(total, LARGEST_FALL, LARGEST_RISE), deviation, surprise, state)
