"""What a strategy of the event engine sees: delivered data, as copies."""

from __future__ import annotations

from decimal import Decimal
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.backtest.event_engine.account import EventAccount
from quant_pipeline.backtest.event_engine.events import SessionPhase
from quant_pipeline.backtest.event_engine.exchange import Bars
from quant_pipeline.common.exceptions import StrategyError
from quant_pipeline.exchange.kernels import price_after_action
from quant_pipeline.exchange.market import TradingMarket
from quant_pipeline.exchange.money import ticks_to_decimal, ticks_to_float
from quant_pipeline.exchange.tables import positions_table

BAR_COLUMNS = Bars._fields


class DeliveredData:
    """Everything that will be delivered, and how much of it has been. Strategies never get hold of it.

    Parameters
    ----------
    market
        The market.
    bars
        Daily bars as matrices, ticks and shares.
    scores
        Sessions × instruments, or None.
    minutes
        Minute bars in the order of their delivery, or None.
    """

    def __init__(
        self,
        market: TradingMarket,
        bars: dict[str, npt.NDArray[np.int64]],
        scores: npt.NDArray[np.float64] | None,
        minutes: pd.DataFrame | None,
    ) -> None:
        self.market = market
        self.bars = bars
        self.scores = scores
        self.minutes = minutes
        self.complete_sessions = 0
        self.complete_minutes = 0
        self.scored_sessions = 0
        self.last_price = np.zeros(len(market.instruments), dtype=np.int64)
        self.traded = np.zeros(len(market.instruments), dtype=np.bool_)

    def start_session(self, t: int) -> None:
        """Nothing has traded yet; last prices go ex with the corporate actions of the session."""
        self.traded[:] = False
        actions = self.market.arrays.actions
        for k in range(actions.offsets[t], actions.offsets[t + 1]):
            index, terms = actions.instrument[k], (actions.kind[k], actions.numerator[k], actions.denominator[k])
            self.last_price[index] = price_after_action(int(self.last_price[index]), *(int(term) for term in terms))

    def deliver_prices(self, prices: npt.NDArray[np.int64]) -> None:
        """Deliver prices in ticks, 0 where nothing traded."""
        traded = prices > 0
        self.last_price[traded] = prices[traded]
        self.traded |= traded

    def deliver_bar(self, t: int) -> None:
        """Deliver the complete bar of a session."""
        self.last_price[:] = self.market.arrays.mark[t]
        self.traded[:] = self.market.arrays.has_bar[t]
        self.complete_sessions = t + 1


class MarketView:
    """The market and the account at an event; nothing in it is later than the event, also when it is kept.

    Attributes
    ----------
    kind, time, session
        The event.
    cash
        Cash of the account.
    """

    def __init__(
        self, kind: SessionPhase, time: pd.Timestamp, session: pd.Timestamp, account: EventAccount, data: DeliveredData
    ) -> None:
        self.kind = kind
        self.time = time
        self.session = session
        self.cash: Decimal = ticks_to_decimal(account.cash)
        self._holdings = account.holdings()
        self._last_price = data.last_price.copy()
        self._traded = data.traded.copy()
        self._n_sessions = data.complete_sessions
        self._n_minutes = data.complete_minutes
        self._n_scores = data.scored_sessions
        self.__data = data

    @cached_property
    def positions(self) -> pd.DataFrame:
        """Holdings by instrument: ``quantity`` and ``sessions_held``."""
        names = [str(self.__data.market.instruments[index]) for index, _, _ in self._holdings]
        return positions_table(names, [row[1] for row in self._holdings], [row[2] for row in self._holdings])

    @cached_property
    def prices(self) -> pd.Series:
        """Last delivered price per instrument, as traded; NaN before the first."""
        known = np.where(self._last_price > 0, ticks_to_float(self._last_price), np.nan)
        return pd.Series(known, index=self.__data.market.instruments, name="price")

    @cached_property
    def tradable(self) -> pd.Series:
        """Whether the instrument has traded in this session as far as it has been delivered."""
        return pd.Series(self._traded, index=self.__data.market.instruments, name="tradable")

    @cached_property
    def scores(self) -> pd.Series:
        """Scores of the last session whose close has been delivered; NaN where there is none."""
        scores = self.__data.scores
        if scores is None or self._n_scores == 0:
            return pd.Series(np.nan, index=self.__data.market.instruments, name="score")
        return pd.Series(scores[self._n_scores - 1].copy(), index=self.__data.market.instruments, name="score")

    def history(self, column: str, n: int) -> pd.DataFrame:
        """Return one column of the last `n` complete daily bars as traded: sessions × instruments, NaN without bar.

        Parameters
        ----------
        column
            ``open``, ``high``, ``low``, ``close`` or ``volume``.
        n
            Sessions.

        Raises
        ------
        StrategyError
            If bars have no such column.
        """
        if column not in BAR_COLUMNS:
            raise StrategyError(f"Bars have no column {column!r}. Choose one of {', '.join(BAR_COLUMNS)}.")
        rows = slice(max(self._n_sessions - n, 0), self._n_sessions)
        market = self.__data.market
        raw = self.__data.bars[column][rows]
        values = raw.astype(np.float64) if column == "volume" else ticks_to_float(raw)
        return pd.DataFrame(
            np.where(market.arrays.has_bar[rows], values, np.nan),
            index=market.sessions[rows],
            columns=market.instruments,
        )

    def minutes(self, n: int) -> pd.DataFrame:
        """Return the last `n` delivered rows of the minute bars.

        Raises
        ------
        StrategyError
            If the run has no minute bars.
        """
        table = self.__data.minutes
        if table is None:
            raise StrategyError("There are no minute bars. Give them to `run_events`.")
        return table.iloc[max(self._n_minutes - n, 0) : self._n_minutes].copy()
