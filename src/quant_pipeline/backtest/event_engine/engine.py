"""Backtest of a strategy that reacts to events: opens, minutes, bars and closes.

It is slow and general where the array engine is fast and does one thing. Fills, fees, limits and corporate actions are
the very kernels of the array engine, so a daily strategy earns the same in both, to the last tick.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Protocol

import numpy as np
import pandas as pd

from quant_pipeline.backtest.event_engine.account import EventAccount
from quant_pipeline.backtest.event_engine.events import EventParameters, SessionPhase
from quant_pipeline.backtest.event_engine.exchange import Bars, EventExchange
from quant_pipeline.backtest.event_engine.market_view import DeliveredData, MarketView
from quant_pipeline.backtest.event_engine.minute_bars import minutes_of, order_minutes
from quant_pipeline.backtest.event_engine.orders import CancelOrders, EventOrder, OrderKind, PlacedOrder
from quant_pipeline.backtest.result import N_POSITION_COLUMNS, BacktestResult, RunRecords, build_result
from quant_pipeline.common.exceptions import StrategyError
from quant_pipeline.exchange.kernels import N_EVENT_COLUMNS, N_FILL_COLUMNS
from quant_pipeline.exchange.market import TradingMarket, bar_matrices
from quant_pipeline.exchange.money import cash_to_ticks, to_ticks
from quant_pipeline.exchange.rules import CostRules

_MINUTE = pd.Timedelta(minutes=1)
_AFTER_CLOSE = (SessionPhase.BAR, SessionPhase.CLOSE)


class EventStrategy(Protocol):
    """What decides: it is called at every event with what has been delivered, and returns orders."""

    def react(self, view: MarketView) -> Iterable[EventOrder | CancelOrders]:
        """Look at the event ``view.kind`` and return the orders to place now."""
        ...


def run_events(
    strategy: EventStrategy,
    market: TradingMarket,
    bars: pd.DataFrame,
    cost_rules: CostRules,
    initial_cash: Decimal | float | int = 1_000_000,
    parameters: EventParameters | None = None,
    scores: pd.Series | None = None,
    minutes: pd.DataFrame | None = None,
) -> BacktestResult:
    """Run a strategy through every event of the market.

    Parameters
    ----------
    strategy
        Decides.
    market
        The market and its rules, built from `bars`.
    bars
        As-traded daily bars, for the open, high and low of the sessions.
    cost_rules
        What a fill costs.
    initial_cash
        Cash before the first session.
    parameters
        Times of the session, latency, protective rules.
    scores
        Indexed ``(datetime, instrument)``; delivered with the close of ``datetime``.
    minutes
        Minute bars as traded: ``time`` (its end), ``instrument``, ``open``, ``high``, ``low``, ``close``, ``volume``.
        Their dates must be sessions; a session without any is traded by its daily bar. In a session with some, an
        instrument without any executes in the auctions only.

    Returns
    -------
    BacktestResult
        As of the array engine; ``trades`` carry ``time`` and ``kind`` of the order besides, and every order appears,
        also one that expired. ``decided`` is the session in which the order was placed.

    Raises
    ------
    StrategyError
        If an order names an unknown instrument, or minute bars do not fit the market.
    """
    run = _EventRun(strategy, market, bars, cost_rules, cash_to_ticks(initial_cash), parameters, scores, minutes)
    for t in range(len(market.sessions)):
        run.run_session(t)
    return run.result()


class _EventRun:
    """One run: time, what has been delivered, and the strategy."""

    def __init__(
        self,
        strategy: EventStrategy,
        market: TradingMarket,
        bars: pd.DataFrame,
        cost_rules: CostRules,
        cash: int,
        parameters: EventParameters | None,
        scores: pd.Series | None,
        minutes: pd.DataFrame | None,
    ) -> None:
        self.strategy = strategy
        self.market = market
        self.places = {str(name): index for index, name in enumerate(market.instruments)}
        self.parameters = parameters or EventParameters()
        self.cash = cash
        self.account = EventAccount(market, cost_rules, cash)
        self.exchange = EventExchange(market, self.account, self.parameters.protective)
        self.minutes = {} if minutes is None else order_minutes(minutes, market, self.parameters)
        ordered = pd.concat(list(self.minutes.values()), ignore_index=True) if self.minutes else None
        matrix = None if scores is None else market.score_matrix(scores)
        self.data = DeliveredData(market, bar_matrices(bars, market.sessions, market.instruments), matrix, ordered)

    def run_session(self, t: int) -> None:
        """Corporate actions, opening auction, minutes or daily bar, closing auction, valuation."""
        session, arrays = self.market.sessions[t], self.market.arrays
        opened, closed = self.parameters.opening(session), self.parameters.closing(session)
        self.data.start_session(t)
        self.exchange.start_session(t)

        executes_at_open = self.market.rules.deal_price == "open"
        day = Bars(*(self.data.bars[name][t] for name in Bars._fields))
        self.exchange.opening_auction(t, opened, day.open, executes_at_open)
        self.data.deliver_prices(day.open)
        self._react(SessionPhase.OPEN, t, opened)
        if session in self.minutes:
            closed_by = min(closed, self._run_minutes(t, self.minutes[session]))
        else:
            closed_by = closed
            self.exchange.trade_day(t, opened, closed, day)
        if not executes_at_open:
            in_time_for = opened if self.market.rules.deal_price == "vwap" else closed_by
            self.exchange.execute_at_session_price(t, closed, arrays.deal_price[t], in_time_for)
        self.exchange.closing_auction(t, closed, day.close, closed_by)
        self.exchange.end_session(t, closed)
        self.data.deliver_bar(t)
        self._react(SessionPhase.BAR, t, closed)
        self.account.close_session(t)
        self.data.scored_sessions = t + 1
        self._react(SessionPhase.CLOSE, t, closed)

    def result(self) -> BacktestResult:
        """Put together what the run has written down."""
        account = self.account
        fills = np.array(account.fills, dtype=np.int64).reshape(-1, N_FILL_COLUMNS)
        events = np.array(account.events, dtype=np.int64).reshape(-1, N_EVENT_COLUMNS)
        positions = np.array(account.positions, dtype=np.int64).reshape(-1, N_POSITION_COLUMNS)
        placed, times, kinds, reasons = zip(*account.labels, strict=True) if account.labels else ((), (), (), ())
        labels = {
            "decided": self.market.sessions[list(placed)],
            "time": pd.DatetimeIndex(times),
            "kind": pd.Series(kinds, dtype="str"),
            "reason": pd.Series(reasons, dtype="str"),
        }
        return build_result(self.cash, account.series, RunRecords(self.market, fills, events, positions, labels))

    def _run_minutes(self, t: int, rows: pd.DataFrame) -> pd.Timestamp:
        """Run the minutes of a session and return the end of the last: by then its closing price may be known."""
        for minute in minutes_of(rows, self.market.instruments):
            self.exchange.trade_minute(t, minute.ended - _MINUTE, minute.ended, minute.bars)
            self.data.complete_minutes += minute.n_rows
            self.data.deliver_prices(minute.bars.close)
            self._react(SessionPhase.MINUTE, t, minute.ended)
        return pd.Timestamp(rows["time"].iloc[-1])

    def _react(self, kind: SessionPhase, t: int, time: pd.Timestamp) -> None:
        view = MarketView(kind, time, self.market.sessions[t], self.account, self.data)
        for request in self.strategy.react(view):
            index = self.places.get(request.instrument)
            if index is None:
                raise StrategyError(f"An order names {request.instrument}, which has no bars. Add its bars.")
            if isinstance(request, CancelOrders):
                self.exchange.cancel(index)
            else:
                self._place(request, index, t, time, is_for_next=kind in _AFTER_CLOSE)

    def _place(self, order: EventOrder, index: int, t: int, time: pd.Timestamp, is_for_next: bool) -> None:
        n_sessions = len(self.market.sessions)
        if is_for_next and t + 1 == n_sessions:
            return
        price = 0 if order.price is None else int(to_ticks([order.price])[0])
        arrives = time + pd.Timedelta(seconds=self.parameters.latency_seconds)
        # The open of this session is over when its first event comes.
        waits_for_next = is_for_next or order.kind is OrderKind.ON_OPEN
        expires_with = n_sessions if order.until_cancelled else t + waits_for_next
        self.exchange.orders.append(PlacedOrder(order, index, int(order.shares), price, t, time, arrives, expires_with))
