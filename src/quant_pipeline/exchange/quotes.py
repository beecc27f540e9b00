"""Prices of a session in ticks: where orders execute, what limits forbid, what corporate actions do to a close."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.common.exceptions import MarketDataError
from quant_pipeline.exchange import kernels
from quant_pipeline.exchange.dated_rules import DEGREE_UNITS
from quant_pipeline.exchange.money import cash_to_ticks, payment_units, payment_units_of, split_terms, to_ticks
from quant_pipeline.exchange.rules import MarketRules, no_price_limit
from quant_pipeline.market.clock import DealPrice
from quant_pipeline.market.volume import has_traded

ACTION_KINDS = {"split": kernels.SPLIT, "cash_dividend": kernels.CASH_DIVIDEND, "delisting": kernels.DELISTING}
"""Kinds of corporate actions, in the order in which those of one session apply."""


NO_LIMIT = np.iinfo(np.int64).max
"""Highest price, in ticks, where there is no limit."""


def deal_prices(bars: pd.DataFrame, deal_price: DealPrice) -> npt.NDArray[np.int64]:
    """Return the execution price of each bar in ticks, 0 where it is missing or nothing traded.

    A ``vwap`` that the bars do not carry is replaced by the mean of high, low and close, a documented proxy.
    """
    if deal_price == "vwap" and "vwap" not in bars.columns:
        prices = (bars["high"] + bars["low"] + bars["close"]).to_numpy(dtype=np.float64) / 3
    else:
        prices = bars[deal_price].to_numpy(dtype=np.float64)
    ticks = to_ticks(prices)
    ticks[~has_traded(bars)] = 0
    return ticks


def reference_price(previous_close: int, kind: str, numerator: int, denominator: int) -> int:
    """Previous close in ticks after an action of the session: what price limits and halted values refer to.

    See :func:`~quant_pipeline.exchange.kernels.price_after_action`.

    Raises
    ------
    MarketDataError
        When the kind is unknown.
    """
    if kind not in ACTION_KINDS:
        raise MarketDataError(f"Unknown corporate action {kind!r}. Use one of {sorted(ACTION_KINDS)}.")
    return int(kernels.price_after_action(previous_close, ACTION_KINDS[kind], numerator, denominator))


def limit_prices(
    previous_close: npt.NDArray[np.int64], limits: npt.NDArray[np.int64], market_rules: MarketRules
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Lowest and highest price of a session in ticks, rounded half up to the market's price step.

    So is the price that they refer to, as an exchange publishes it on an ex-date. A limit is a step away from that
    price at least, and no price is below a step (trading rules of Shanghai and Shenzhen, chapter 3).

    Parameters
    ----------
    previous_close
        Reference prices, ticks; 0 = none, which lifts the limits.
    limits
        Largest move in basis points, 0 = no limit; per instrument, or sessions × instruments.
    market_rules
        Gives the price step.
    """
    ticks = int(cash_to_ticks(market_rules.price_step))
    step = ticks * DEGREE_UNITS
    reference = (previous_close + ticks // 2) // ticks * ticks
    limited = (limits > 0) & (reference > 0)
    lowest = (reference * (DEGREE_UNITS - limits) + step // 2) // step * ticks
    highest = (reference * (DEGREE_UNITS + limits) + step // 2) // step * ticks
    lowest = np.maximum(np.minimum(lowest, reference - ticks), ticks)
    highest = np.maximum(highest, reference + ticks)
    return np.where(limited, lowest, 0), np.where(limited, highest, NO_LIMIT)


def price_limits_of(
    instruments: pd.Index, sessions: pd.DatetimeIndex, has_bar: npt.NDArray[np.bool_], market_rules: MarketRules
) -> npt.NDArray[np.int64]:
    """Daily price limits in basis points, sessions × instruments, 0 where there is none.

    Parameters
    ----------
    instruments, sessions
        Axes.
    has_bar
        Where something trades, so that the limit has to be known.
    market_rules
        Gives the limits.

    Raises
    ------
    MarketDataError
        When there are price limits but none for an instrument, or none in force in a session in which it trades.
    """
    unknown = -1
    limits = np.full((len(sessions), len(instruments)), unknown if market_rules.price_limits else 0, dtype=np.int64)
    for index, name in enumerate(instruments):
        for rule in market_rules.price_limits_of(str(name)):
            first = 0 if rule.since is None else sessions.searchsorted(pd.Timestamp(rule.since))
            last = len(sessions) if rule.until is None else sessions.searchsorted(pd.Timestamp(rule.until))
            limits[first:last, index] = round((rule.limit or 0.0) * DEGREE_UNITS)
    without = np.argwhere((limits == unknown) & has_bar)
    if len(without):
        row, index = without[0]
        raise no_price_limit(str(instruments[index]), sessions[row])
    return np.maximum(limits, 0)


def action_terms(instrument: str, kind: str, value: float) -> tuple[int, int]:
    """Numerator and denominator of an action as the kernels want them.

    Raises
    ------
    MarketDataError
        If the kind is unknown or the value malformed.
    """
    if kind not in ACTION_KINDS:
        raise MarketDataError(f"Unknown corporate action {kind!r} of {instrument}. Use one of {sorted(ACTION_KINDS)}.")
    return split_terms(value) if kind == "split" else (payment_units(value), 1)


def terms_of_actions(actions: pd.DataFrame) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the kinds of many actions, and a numerator and a denominator for each, as `action_terms` gives them.

    Parameters
    ----------
    actions
        ``instrument``, ``kind``, ``value``.

    Raises
    ------
    MarketDataError
        As `action_terms`, for the first row that is malformed.
    """
    places, kinds = pd.factorize(actions["kind"])
    numbers = np.array([ACTION_KINDS.get(kind, -1) for kind in kinds] + [-1], dtype=np.int64)[places]
    values = actions["value"].to_numpy(dtype=np.float64, na_value=np.nan)
    units, is_certain = payment_units_of(values)
    terms = np.stack([units, np.ones_like(units)], axis=1)
    is_split = numbers == kernels.SPLIT
    # A ratio occurs many times, and is read once.
    same, ratios = pd.factorize(values)
    first = np.zeros(len(actions), dtype=np.bool_)
    first[np.unique(np.where(is_split, same, -1), return_index=True)[1]] = True
    by_itself = (numbers < 0) | np.isnan(values) | np.where(is_split, first, ~is_certain)
    for row in np.flatnonzero(by_itself):
        terms[row] = action_terms(actions["instrument"].iat[row], actions["kind"].iat[row], float(values[row]))
    read = np.zeros((len(ratios), 2), dtype=np.int64)
    read[same[is_split & first]] = terms[is_split & first]
    terms[is_split] = read[same[is_split]]
    return numbers, terms
