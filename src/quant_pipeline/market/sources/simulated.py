"""The embedded market: a simulated US cross-section with a weak signal that can be learned.

It exists so that the whole path can be seen, rehearsed and tested without keys and without a network. What it gets
right and wrong about a real market is measured in ``docs/concepts/simulated-market.md``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from quant_pipeline.common.exceptions import MarketDataError
from quant_pipeline.common.parameters import Parameters
from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.market.data import MarketData
from quant_pipeline.market.price_adjustment import CASH_DIVIDEND, DELISTING, SPLIT, adjusted_close_as_of
from quant_pipeline.market.sources.simulated_bars import (
    Life,
    TradedBars,
    TradedPrices,
    live_and_die,
    shape_bars,
    shape_endings,
    trade_prices,
)
from quant_pipeline.market.sources.simulated_names import SECTORS, name_instruments
from quant_pipeline.market.sources.simulated_returns import Array, Returns, simulate_returns
from quant_pipeline.market.sources.source import MarketRequest, MarketSource

WARM_UP = 252
"""Sessions simulated before the first bar, so that volatility and signal start in their usual state."""

FIRST_INDEX_LEVEL = 1000.0


class SimulatedMarketParameters(Parameters):
    """Parameters of the embedded market.

    Attributes
    ----------
    seed
        The same seed gives the same market, byte for byte.
    start, end
        First and last session that can ever be observed.
    n_instruments
        Number of instruments, including those that list late or end early.
    market_volatility, market_drift
        Of the common return, per year.
    signal
        Mean correlation of the hidden state with the next own return; 0 makes returns unpredictable.
    signal_half_life
        Sessions after which half of the hidden state has faded.
    reversal
        Strength of the reversal of the last week's own returns.
    listed_late
        Share of instruments that list during the sample.
    ended_per_year
        Takeovers and bankruptcies per instrument and year.
    halt_rate
        Halts that begin per instrument and session.
    """

    seed: int = 7
    start: str = "2015-01-02"
    end: str = "2025-12-31"
    n_instruments: PositiveInt = 150
    market_volatility: PositiveFloat = 0.18
    market_drift: float = 0.10
    signal: NonNegativeFloat = 0.075
    signal_half_life: PositiveFloat = 10.0
    reversal: NonNegativeFloat = 0.03
    listed_late: float = Field(default=0.15, ge=0, le=1)
    ended_per_year: NonNegativeFloat = 0.02
    halt_rate: float = Field(default=0.0004, ge=0, lt=0.1)


@dataclass(frozen=True)
class SimulatedMarket:
    """A whole market, from its first session to its last; `as_of` shows what is known on the way.

    Attributes
    ----------
    sessions
        Sessions that can be observed.
    bars, corporate_actions, instruments, benchmark
        The tables of `MarketData`, uncut.
    """

    sessions: pd.DatetimeIndex
    bars: pd.DataFrame
    corporate_actions: pd.DataFrame
    instruments: pd.DataFrame
    benchmark: pd.DataFrame

    def as_of(self, session: pd.Timestamp) -> MarketData:
        """Return what is known at the close of a session.

        Raises
        ------
        MarketDataError
            When the market does not reach that session.
        """
        if not self.sessions[0] <= session <= self.sessions[-1]:
            raise MarketDataError(
                f"the simulated market runs from {self.sessions[0]:%Y-%m-%d} to {self.sessions[-1]:%Y-%m-%d}; "
                f"as_of={session:%Y-%m-%d} lies outside. Choose another as_of, or move `end` of `market_source` in the "
                "catalog of the environment."
            )
        bars = self.bars[self.bars["date"] <= session].reset_index(drop=True)
        actions = self.corporate_actions[self.corporate_actions["date"] <= session].reset_index(drop=True)
        ended = actions.loc[actions["kind"] == DELISTING, "instrument"]
        instruments = self.instruments[self.instruments["listed"] <= session].reset_index(drop=True)
        instruments["delisted"] = instruments["delisted"].where(instruments["instrument"].isin(ended))
        bars["vendor_adjusted_close"] = adjusted_close_as_of(bars, actions, session)["adjusted_close"]
        benchmark = self.benchmark[self.benchmark["date"] <= session].reset_index(drop=True)
        return MarketData(bars, actions, instruments, benchmark, session)


def generate_market(parameters: SimulatedMarketParameters | None = None) -> SimulatedMarket:
    """Generate the whole market; what is known at a session is cut out afterwards and never depends on the cut.

    Parameters
    ----------
    parameters
        See `SimulatedMarketParameters`.
    """
    parameters = parameters or SimulatedMarketParameters()
    sessions = TradingCalendar.of("XNYS", parameters.start, parameters.end).sessions
    rng = np.random.default_rng(parameters.seed)
    n_sessions, n = len(sessions) + WARM_UP, parameters.n_instruments
    sector = rng.integers(len(SECTORS), size=n)
    returns = draw_returns(rng, n_sessions, sector, parameters)
    life = live_and_die(rng, n_sessions, n, WARM_UP, parameters.listed_late, parameters.ended_per_year)
    total = shape_endings(rng, returns.total, life)
    prices = trade_prices(rng, total, life)
    traded = shape_bars(rng, returns, prices, life, parameters.halt_rate)
    del returns  # In a large market it is a gigabyte, which the tables need.
    return assemble_market(rng, sessions, name_instruments(rng, sector), life, total, prices, traded)


def draw_returns(
    rng: np.random.Generator, n_sessions: int, sector: npt.NDArray[np.int64], parameters: SimulatedMarketParameters
) -> Returns:
    """Simulate the returns of instruments of given sectors (places in `SECTORS`)."""
    return simulate_returns(
        rng,
        n_sessions,
        sector,
        len(SECTORS),
        market_volatility=parameters.market_volatility,
        market_drift=parameters.market_drift,
        signal=parameters.signal,
        signal_half_life=parameters.signal_half_life,
        reversal=parameters.reversal,
    )


def assemble_market(
    rng: np.random.Generator,
    sessions: pd.DatetimeIndex,
    instruments: pd.DataFrame,
    life: Life,
    total: Array,
    prices: TradedPrices,
    traded: TradedBars,
) -> SimulatedMarket:
    """Put what was drawn into the tables of a market, with what ended listings paid and an index of all instruments.

    Parameters
    ----------
    rng
        Source of randomness of the index and of the payouts.
    sessions
        Sessions that can be observed, those after the warm-up.
    instruments
        ``instrument``, ``name``, ``sector``, in the order of the columns of the arrays.
    life, total, prices, traded
        Sessions with the warm-up × instruments: when each trades, total returns, prices and bars.
    """
    drawn = _draw_index(rng, len(instruments), len(sessions))
    payouts = _payouts(rng, prices, life)
    order = np.argsort(instruments["instrument"].to_numpy())
    return SimulatedMarket(
        sessions=sessions,
        bars=_bars_table(prices, traded, sessions, instruments, order),
        corporate_actions=_actions_table(prices, life, payouts, sessions, instruments),
        instruments=_with_dates(instruments, life, sessions).iloc[order].reset_index(drop=True),
        benchmark=_index_of(drawn, _held_to_the_end(total, prices, life, payouts), prices, life, sessions),
    )


def _bars_table(
    prices: TradedPrices, traded: TradedBars, sessions: pd.DatetimeIndex, instruments: pd.DataFrame, order: np.ndarray
) -> pd.DataFrame:
    i, t = np.nonzero(traded.traded[WARM_UP:].T[order])
    dates = sessions[t]
    i, t = order[i], t + WARM_UP
    fields = {
        "open": traded.open,
        "high": traded.high,
        "low": traded.low,
        "close": prices.close,
        "volume": traded.volume,
    }
    return pd.DataFrame(
        {
            "date": dates,
            "instrument": instruments["instrument"].array[i],
            **{name: values[t, i] for name, values in fields.items()},
        },
        copy=False,
    )


def _payouts(rng: np.random.Generator, prices: TradedPrices, life: Life) -> Array:
    """Draw what a share of every ended listing brings, in the order of the instruments."""
    ended = np.flatnonzero(life.ending != "")
    last_close = prices.close[life.last[ended], ended]
    residual = np.round(last_close * rng.choice([0.0, 0.1, 0.3], len(ended)), 2)
    return np.where(life.ending[ended] == "takeover", last_close, residual)


def _actions_table(
    prices: TradedPrices, life: Life, payouts: Array, sessions: pd.DatetimeIndex, instruments: pd.DataFrame
) -> pd.DataFrame:
    names = instruments["instrument"].to_numpy()
    row = np.arange(len(prices.close))[:, None]
    alive = (row > np.maximum(life.first, WARM_UP)) & (row <= life.last)
    tables = []
    for kind, values, acts in (
        (SPLIT, prices.split, alive & (prices.split != 1.0)),
        (CASH_DIVIDEND, prices.dividend, alive & (prices.dividend > 0)),
    ):
        t, i = np.nonzero(acts)
        tables.append(
            pd.DataFrame({"date": sessions[t - WARM_UP], "instrument": names[i], "kind": kind, "value": values[t, i]})
        )
    ended = np.flatnonzero(life.ending != "")
    paid_on = sessions[life.last[ended] - WARM_UP + 1]
    tables.append(pd.DataFrame({"date": paid_on, "instrument": names[ended], "kind": DELISTING, "value": payouts}))
    table = pd.concat(tables, ignore_index=True).astype({"instrument": "str", "kind": "str"})
    return table.sort_values(["date", "instrument", "kind"], kind="stable", ignore_index=True)


def _with_dates(instruments: pd.DataFrame, life: Life, sessions: pd.DatetimeIndex) -> pd.DataFrame:
    delisted = pd.Series(sessions[life.last - WARM_UP]).where(life.ending != "")
    return instruments.assign(listed=sessions[np.maximum(life.first - WARM_UP, 0)], delisted=delisted.to_numpy())


class _IndexDraws(NamedTuple):
    """What is random about the index: shares of every instrument, spread of high and low, and volume."""

    shares: Array
    spread: Array
    volume: Array


def _draw_index(rng: np.random.Generator, n_instruments: int, n_sessions: int) -> _IndexDraws:
    return _IndexDraws(
        shares=rng.lognormal(np.log(2e8), 1.0, n_instruments),
        spread=np.abs(rng.standard_normal((2, n_sessions))) * 0.003,
        volume=np.round(rng.lognormal(np.log(8e7), 0.3, n_sessions)),
    )


def _held_to_the_end(total: Array, prices: TradedPrices, life: Life, payouts: Array) -> Array:
    """Return total returns with that of the session after the last bar, in which an ended listing pays."""
    ended = np.flatnonzero(life.ending != "")
    held = total.copy()
    held[life.last[ended] + 1, ended] = payouts / prices.close[life.last[ended], ended] - 1.0
    return held


def _index_of(
    drawn: _IndexDraws, total: Array, prices: TradedPrices, life: Life, sessions: pd.DatetimeIndex
) -> pd.DataFrame:
    """Capitalisation-weighted total return index of all listed instruments, each held until its end has paid.

    While none is listed it is cash.
    """
    row = np.arange(len(total))[:, None]
    held = (row > life.first) & (row <= life.last + (life.ending != ""))
    shares = drawn.shares * np.cumprod(prices.split, axis=0)
    before = np.vstack([prices.close[:1], prices.close[:-1]])
    weight = np.where(held, before * np.vstack([shares[:1], shares[:-1]]), 0.0)
    whole = weight.sum(axis=1)[WARM_UP + 1 :]
    whole[whole == 0.0] = np.inf
    weighted = (weight * total).sum(axis=1)[WARM_UP + 1 :] / whole
    dividend = np.where(row <= life.last, prices.dividend, 0.0)
    paid = (weight * dividend / (before / prices.split)).sum(axis=1)[WARM_UP + 1 :] / whole
    level = FIRST_INDEX_LEVEL * np.cumprod(np.append(1.0, 1.0 + weighted))
    closed = np.append(level[0], level[:-1])
    open_ = closed * np.divide(level, closed, out=np.ones_like(level), where=closed > 0) ** 0.45
    return pd.DataFrame(
        {
            "date": sessions,
            "open": np.round(open_, 2),
            "high": np.round(np.maximum(open_, level) * (1 + drawn.spread[0]), 2),
            "low": np.round(np.minimum(open_, level) * (1 - drawn.spread[1]), 2),
            "close": np.round(level, 2),
            "volume": drawn.volume,
            "total_return_close": level,
            "dividend_return": np.append(0.0, paid),
        }
    )


def _read(parameters: SimulatedMarketParameters, request: MarketRequest) -> MarketData:
    return generate_market(parameters).as_of(pd.Timestamp(request.as_of))


SIMULATED = MarketSource(SimulatedMarketParameters, _read)
