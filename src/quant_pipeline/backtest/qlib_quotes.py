"""Quotes and rules of Qlib's exchange as arrays, for backtests that must equal Qlib's own.

Qlib trades fractional *adjusted* shares at *adjusted* float prices. Its semantics are kept here as they are, including
those that hurt a trader; ``docs/concepts/strategy.md`` lists them beside the corrected rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from quant_pipeline.common.exceptions import MarketDataError
from quant_pipeline.common.parameters import Parameters
from quant_pipeline.market.clock import DealPrice


class QlibExchangeRules(Parameters):
    """The arguments of Qlib's ``Exchange`` that the strategy meets, under Qlib's names.

    Attributes
    ----------
    deal_price
        Field orders execute at; a missing or non-positive one falls back to the close.
    open_cost, close_cost
        Cost of buying and of selling, as a fraction of the value.
    min_cost
        Smallest cost per order.
    trade_unit
        Shares per lot as traded; None executes fractions. It is switched off where the bars carry no factor.
    limit_threshold
        Largest move from close to close at which a bar still trades; None for no limit.
    """

    deal_price: DealPrice = "close"
    open_cost: float = Field(default=0.0015, ge=0)
    close_cost: float = Field(default=0.0025, ge=0)
    min_cost: float = Field(default=5.0, ge=0)
    trade_unit: int | None = Field(default=None, ge=1)
    limit_threshold: float | None = Field(default=None, gt=0)


class QlibTopkDropoutRules(Parameters):
    """The arguments of Qlib's ``TopkDropoutStrategy``, under Qlib's names and with its defaults."""

    topk: int = Field(ge=1)
    n_drop: int = Field(ge=0)
    hold_thresh: int = 1
    only_tradable: bool = False
    forbid_all_trade_at_limit: bool = True
    risk_degree: float = Field(default=0.95, gt=0, le=1)


class QlibQuoteArrays(NamedTuple):
    """Sessions × instruments: float64 prices widened from float32 as Qlib reads them, and what cannot trade."""

    close: npt.NDArray[np.float64]
    deal_price: npt.NDArray[np.float64]
    factor: npt.NDArray[np.float64]
    limit_buy: npt.NDArray[np.bool_]
    limit_sell: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class QlibMarket:
    """Quotes of a Qlib backtest.

    Attributes
    ----------
    sessions
        Sessions that are traded; scores of the session before the first one are used.
    decision_sessions
        The session before each traded one.
    instruments
        Codes, sorted: the order that breaks ties.
    rules
        Exchange rules.
    trade_unit
        Lot in force, 0 when fractions execute.
    arrays
        Quotes.
    """

    sessions: pd.DatetimeIndex
    decision_sessions: pd.DatetimeIndex
    instruments: pd.Index
    rules: QlibExchangeRules
    trade_unit: float
    arrays: QlibQuoteArrays

    @classmethod
    def from_adjusted_bars(
        cls,
        adjusted_bars: pd.DataFrame,
        sessions: pd.DatetimeIndex,
        start: pd.Timestamp,
        end: pd.Timestamp,
        rules: QlibExchangeRules,
    ) -> QlibMarket:
        """Build the quotes Qlib would read from a provider written from the same bars.

        Parameters
        ----------
        adjusted_bars
            ``date``, ``instrument``, ``close``, the execution price field and ``factor``.
        sessions
            The whole calendar; a session before `start` must be in it.
        start, end
            First and last session to trade.
        rules
            Exchange rules.

        Raises
        ------
        MarketDataError
            If a bar falls on no session, or there is no session before `start`.
        """
        first = int(sessions.searchsorted(start))
        stop = int(sessions.searchsorted(end, side="right"))
        if first == 0 or first >= stop:
            raise MarketDataError(
                f"There is no session before {start.date()}, or none up to {end.date()}. Give a longer calendar."
            )
        instruments = pd.Index(np.sort(adjusted_bars["instrument"].unique()), dtype="str")
        rows = sessions.get_indexer(pd.DatetimeIndex(adjusted_bars["date"]))
        if (rows < 0).any():
            row = adjusted_bars[rows < 0].iloc[0]
            raise MarketDataError(f"{row['instrument']} has a bar on {row['date'].date()}, which is no session.")
        columns = instruments.get_indexer(pd.Index(adjusted_bars["instrument"]))

        def field(name: str) -> npt.NDArray[np.float64]:
            table = np.full((len(sessions), len(instruments)), np.nan)
            table[rows, columns] = adjusted_bars[name].to_numpy(dtype=np.float64)
            return table

        close = field("close")
        change = np.full_like(close, np.nan)
        change[1:] = close[1:] / close[:-1] - 1.0
        part = slice(first, stop)
        arrays = _quotes(close[part], change[part], field(rules.deal_price)[part], field("factor")[part], rules)
        # Qlib gives up lots altogether where a close has no factor: it takes the bars for unadjustable.
        unadjustable = bool((np.isnan(arrays.factor) & ~np.isnan(arrays.close)).any())
        unit = 0.0 if unadjustable or rules.trade_unit is None else float(rules.trade_unit)
        return cls(sessions[part], sessions[first - 1 : stop - 1], instruments, rules, unit, arrays)

    def decided_scores(self, scores: pd.Series) -> npt.NDArray[np.float64]:
        """Arrange scores so that the row of a traded session holds those of the session before it.

        Parameters
        ----------
        scores
            Indexed ``(datetime, instrument)``. Unknown instruments cannot trade and are left out, as in Qlib.
        """
        rows = self.decision_sessions.get_indexer(pd.DatetimeIndex(scores.index.get_level_values(0)))
        columns = self.instruments.get_indexer(scores.index.get_level_values(1))
        known = (rows >= 0) & (columns >= 0)
        matrix = np.full((len(self.sessions), len(self.instruments)), np.nan)
        matrix[rows[known], columns[known]] = scores.to_numpy(dtype=np.float64)[known]
        return matrix


def _quotes(
    close: npt.NDArray[np.float64],
    change: npt.NDArray[np.float64],
    deal_price: npt.NDArray[np.float64],
    factor: npt.NDArray[np.float64],
    rules: QlibExchangeRules,
) -> QlibQuoteArrays:
    stored = [np.ascontiguousarray(values.astype(np.float32).astype(np.float64)) for values in (close, factor)]
    suspended = np.isnan(close)
    limit_buy, limit_sell = suspended.copy(), suspended.copy()
    if rules.limit_threshold is not None:
        moves = change.astype(np.float32)
        limit_buy |= moves >= np.float32(rules.limit_threshold)
        limit_sell |= moves <= np.float32(-rules.limit_threshold)
    price = deal_price.astype(np.float32).astype(np.float64)
    usable = price > 1e-8
    return QlibQuoteArrays(
        close=stored[0],
        deal_price=np.where(usable, price, stored[0]),
        factor=stored[1],
        limit_buy=limit_buy,
        limit_sell=limit_sell,
    )
