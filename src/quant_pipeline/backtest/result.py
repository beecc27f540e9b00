"""What a backtest returns: series per session and tables of positions, trades and corporate actions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.exchange import kernels
from quant_pipeline.exchange.account_arrays import BOUGHT, CASH, FEES, HELD, N_TOTALS, SLIPPAGE, SOLD
from quant_pipeline.exchange.market import TradingMarket
from quant_pipeline.exchange.money import ticks_to_float
from quant_pipeline.exchange.quotes import ACTION_KINDS
from quant_pipeline.exchange.tables import events_table, fills_table, texts_of
from quant_pipeline.market.clock import EXECUTION_LAG
from quant_pipeline.strategy.reasons import NAMES

# Columns of the series of a run: the account's running totals and, after them, its net asset value.
NET_ASSET_VALUE = N_TOTALS
N_SERIES = N_TOTALS + 1

# Columns of the record of positions: session, instrument, shares, closes seen.
N_POSITION_COLUMNS = 4
_KEYS, _COUNTS = slice(2), slice(2, N_POSITION_COLUMNS)


class RunRecords(NamedTuple):
    """What a run has written down, from which its tables are made.

    ``fills``, ``events`` (corporate actions) and ``positions`` are the used rows of the records, and ``labels`` are
    columns of the trades that the records do not have.
    """

    market: TradingMarket
    fills: npt.NDArray[np.int64]
    events: npt.NDArray[np.int64]
    positions: npt.NDArray[np.int64]
    labels: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class BacktestResult:
    """Outcome of one exact backtest. Amounts are in the currency: prices to a hundredth of a cent, cash in whole cents.

    Attributes
    ----------
    initial_cash
        Cash before the first session.
    nav
        Net asset value after each close.
    cash
        Cash after each close.
    fees, slippage
        Paid in each session: fees, and the difference between executed and market prices.
    turnover
        Value bought plus value sold in each session, as a fraction of the previous net asset value.
    held
        Number of positions after each close.
    records
        What `positions`, `trades` and `corporate_actions` are made of when they are asked for: many backtests are run
        for their net asset value alone.
    """

    initial_cash: float
    nav: pd.Series
    cash: pd.Series
    fees: pd.Series
    slippage: pd.Series
    turnover: pd.Series
    held: pd.Series
    records: RunRecords = field(repr=False)

    @cached_property
    def positions(self) -> pd.DataFrame:
        """Holdings after each close.

        Columns are ``date``, ``instrument``, ``quantity``, ``sessions_held``, ``price`` (last known close) and
        ``value``.
        """
        return _positions(self.records.market, self.records.positions)

    @cached_property
    def trades(self) -> pd.DataFrame:
        """One row per order.

        Columns are ``date`` (execution session), ``decided`` (decision session), ``instrument``, ``side``,
        ``quantity``, ``requested``, ``price``, ``market_price``, ``fee``, ``status``, ``message`` and ``reason``.
        """
        return _trades(self.records.market, self.records.fills).assign(**(self.records.labels or {}))

    @cached_property
    def corporate_actions(self) -> pd.DataFrame:
        """What happened to holdings.

        Columns are ``date``, ``instrument``, ``kind``, ``quantity_before``, ``quantity_after`` and ``amount``.
        """
        return _corporate_actions(self.records.market, self.records.events)

    @property
    def returns(self) -> pd.Series:
        """Return of the net asset value in each session that has one; annual figures count these.

        The first session has none, because who decides at its close holds nothing before the second. Where the event
        engine traded within it already, it has one, from the initial cash on.
        """
        return self._with_return(self.nav / self._previous_nav - 1).rename("return")

    @property
    def cost_share(self) -> pd.Series:
        """Fees plus slippage of each session that has a return, over the net asset value before it."""
        return self._with_return((self.fees + self.slippage) / self._previous_nav).rename("cost_share")

    @property
    def _previous_nav(self) -> pd.Series:
        return self.nav.shift(1, fill_value=self.initial_cash)

    def _with_return(self, values: pd.Series) -> pd.Series:
        return values if self.turnover.iloc[0] > 0 else values.iloc[1:]


def build_result(cash: int, series: npt.NDArray[np.int64], records: RunRecords) -> BacktestResult:
    """Build the result from what a run has written down.

    Parameters
    ----------
    cash
        Initial cash, ticks.
    series
        Sessions × :data:`N_SERIES`, ticks.
    records
        The market that was traded, and what happened.
    """
    value = series[:, NET_ASSET_VALUE]
    previous = np.concatenate([[cash], value[:-1]])
    traded = np.diff(series[:, BOUGHT] + series[:, SOLD], prepend=0)

    def per_session(values: npt.NDArray[np.float64] | npt.NDArray[np.int64], name: str) -> pd.Series:
        return pd.Series(values, index=records.market.sessions, name=name)

    return BacktestResult(
        initial_cash=float(ticks_to_float(cash)),
        nav=per_session(ticks_to_float(value), "net_asset_value"),
        cash=per_session(ticks_to_float(series[:, CASH]), "cash"),
        fees=per_session(ticks_to_float(np.diff(series[:, FEES], prepend=0)), "fees"),
        slippage=per_session(ticks_to_float(np.diff(series[:, SLIPPAGE], prepend=0)), "slippage"),
        turnover=per_session(traded / previous, "turnover"),
        held=per_session(series[:, HELD], "held"),
        records=records,
    )


def _positions(market: TradingMarket, rows: npt.NDArray[np.int64]) -> pd.DataFrame:
    # Numbers of two bytes are sorted by counting them.
    small = rows[:, :2].astype(np.uint16 if max(market.arrays.mark.shape) <= 2**16 else np.int64)
    order = np.argsort(small[:, 1], kind="stable")
    order = order[np.argsort(small[order, 0], kind="stable")]
    (session, instrument), (quantity, held) = (rows[:, part].T.take(order, axis=1) for part in (_KEYS, _COUNTS))
    price = market.arrays.mark[session, instrument]
    columns = {
        "date": market.sessions.take(session),
        "instrument": pd.Series(market.instruments.take(instrument), dtype="str"),
        "quantity": quantity,
        "sessions_held": held,
        "price": ticks_to_float(price),
        "value": ticks_to_float(price * quantity),
    }
    return pd.DataFrame(columns, copy=False)


def _trades(market: TradingMarket, fills: npt.NDArray[np.int64]) -> pd.DataFrame:
    table = fills_table(fills, market.instruments)
    session = fills[:, kernels.FILL_SESSION]
    table.insert(0, "date", market.sessions[session])
    table.insert(1, "decided", market.sessions[session - EXECUTION_LAG])
    table["reason"] = texts_of(fills[:, kernels.FILL_REASON], NAMES)
    return table


def _corporate_actions(market: TradingMarket, events: npt.NDArray[np.int64]) -> pd.DataFrame:
    names = {code: name for name, code in ACTION_KINDS.items()}
    rows = [
        (
            str(market.instruments[event[kernels.EVENT_INSTRUMENT]]),
            names[int(event[kernels.EVENT_KIND])],
            int(event[kernels.EVENT_BEFORE]),
            int(event[kernels.EVENT_AFTER]),
            int(event[kernels.EVENT_CASH]),
        )
        for event in events
    ]
    table = events_table(rows)
    table.insert(0, "date", market.sessions[events[:, kernels.EVENT_SESSION]])
    return table
