"""An account of the event engine: the arrays and kernels of every other engine, one fill at a time."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.backtest.event_engine.orders import PlacedOrder
from quant_pipeline.backtest.result import N_SERIES
from quant_pipeline.common.exceptions import StrategyError
from quant_pipeline.exchange import kernels
from quant_pipeline.exchange.account_arrays import (
    CASH,
    HELD,
    N_TOTALS,
    NOT_HELD,
    ORDERS,
    net_asset_value,
    new_accounts,
    sessions_held,
)
from quant_pipeline.exchange.costs import CostTerms, EarlierPieces, commission_before_minimum, cost_terms
from quant_pipeline.exchange.lots import whole_lots
from quant_pipeline.exchange.market import TradingMarket
from quant_pipeline.exchange.rules import CostRules
from quant_pipeline.exchange.session_kernels import apply_session_actions

SOLD, BOUGHT = 0, 1
"""Rows of what is used of a volume."""

_EXECUTION_COLUMNS = (kernels.FILL_SHARES, kernels.FILL_PRICE, kernels.FILL_STATUS)


class Execution(NamedTuple):
    """Outcome of one order: shares executed, price in ticks and status of the kernels."""

    shares: int
    price: int
    status: int


class Supply(NamedTuple):
    """What orders meet: price in ticks (0 where nothing executes), volume, and how much of it this account has used.

    ``used`` is shares `SOLD` and `BOUGHT` × instruments; whatever executes counts in the volume of the session as
    well. ``leaves_limit`` tells that prices came off the price limit of the session after the price, so that what
    waited there executes.
    """

    prices: npt.NDArray[np.int64]
    volume: npt.NDArray[np.int64]
    used: npt.NDArray[np.int64]
    leaves_limit: bool = False


class EventAccount:
    """Cash and holdings, and the record of everything that changed them.

    Parameters
    ----------
    market
        The market.
    cost_rules
        What a fill costs.
    cash
        Initial cash, ticks.
    """

    def __init__(self, market: TradingMarket, cost_rules: CostRules, cash: int) -> None:
        n = len(market.instruments)
        self._market = market
        self._accounts = new_accounts(1, n, cash, 4 * n + 64)
        self._terms = kernels.exchange_terms(market.rules, market.instruments)
        lots = self._terms.lots
        # The rest of an order in pieces, and all that is not locked of a holding, may be fewer shares than an order.
        self._terms_of_rest = self._terms._replace(lots=lots._replace(fewest=lots.step))
        self._cost_rules = cost_rules
        self._costs = cost_terms(cost_rules.at(market.sessions[0]))
        self._used = np.zeros((2, n), dtype=np.int64)
        self.fills: list[npt.NDArray[np.int64]] = []
        self.labels: list[tuple[int, pd.Timestamp, str, str]] = []
        self.events: list[npt.NDArray[np.int64]] = []
        self.positions: list[tuple[int, int, int, int]] = []
        self.series = np.zeros((len(market.sessions), N_SERIES), dtype=np.int64)

    @property
    def cash(self) -> int:
        """Cash in ticks."""
        return int(self._accounts.totals[0, CASH])

    def held(self, index: int) -> int:
        """Shares held of an instrument."""
        slot = self._accounts.slot_of[0, index]
        return 0 if slot == NOT_HELD else int(self._accounts.slot_shares[0, slot])

    def held_places(self) -> list[int]:
        """Numbers of the instruments held, ascending."""
        return sorted(self._accounts.slot_instrument[0, : self._accounts.totals[0, HELD]].tolist())

    def sessions_held(self, index: int) -> int:
        """Count the closes since an instrument that is held was bought."""
        slot = self._accounts.slot_of[0, index]
        return int(sessions_held(self._accounts, 0, slot))

    def holdings(self) -> list[tuple[int, int, int]]:
        """List instrument number, shares and closes seen of everything held."""
        return [(index, self.held(index), self.sessions_held(index)) for index in self.held_places()]

    def start_session(self, t: int, orders: list[PlacedOrder]) -> None:
        """Apply the corporate actions of a session to the holdings and to the orders on their way."""
        self._used[:] = 0
        self._costs = cost_terms(self._cost_rules.at(self._market.sessions[t]))
        self._load(orders)
        actions = self._market.arrays.actions
        record = np.zeros((actions.offsets[t + 1] - actions.offsets[t], kernels.N_EVENT_COLUMNS), dtype=np.int64)
        n_events = apply_session_actions(self._accounts, 0, t, self._market.arrays, self._terms.lots, record, 0)
        self.events.extend(record[:n_events])
        for row, order in enumerate(orders):
            order.shares = int(self._accounts.order_shares[0, row])
        self._accounts.totals[0, ORDERS] = 0

    def supply_of_session(self, t: int, prices: npt.NDArray[np.int64]) -> Supply:
        """Return what an auction or a daily bar offers: the volume of the session, less what is used of it."""
        return Supply(prices, self._market.arrays.volume[t], self._used)

    def shares_within_volume(self, t: int, index: int, shares: int, supply: Supply) -> int:
        """Cut shares to what the participation cap leaves of a supply and of its session."""
        rules = self._market.rules
        if rules.max_participation is None:
            return shares
        left = min(
            int(supply.volume[index] * rules.max_participation) - int(supply.used[:, index].sum()),
            int(self._market.arrays.volume[t, index] * rules.max_participation) - int(self._used[:, index].sum()),
        )
        lots = self._terms.lots
        return shares if shares <= left else whole_lots(max(left, 0), lots.fewest[index], lots.step[index])

    def obstacle(self, t: int, order: PlacedOrder, supply: Supply) -> int | None:
        """Return the status with which a supply would reject an order that waits for a price, None if it would not."""
        (lowest, highest), price = self._market.limits_of(t), supply.prices[order.index]
        is_at_limit = price >= highest[order.index] if order.shares > 0 else price <= lowest[order.index]
        if is_at_limit and not supply.leaves_limit:
            return kernels.REJECTED_PRICE_LIMIT
        return kernels.REJECTED_LOCKED if order.shares < 0 and self.is_locked(order.index) else None

    def is_locked(self, index: int) -> bool:
        """Whether all that is held of an instrument was bought in this session and may not be sold in it."""
        return not self._market.rules.sell_same_session and 0 < self.held(index) <= int(self._used[BOUGHT, index])

    def execute(self, t: int, time: pd.Timestamp, order: PlacedOrder, supply: Supply) -> Execution:
        """Execute one order by the kernel of every engine.

        Parameters
        ----------
        t, time
            Number of the session and the moment, for the record.
        order
            The order.
        supply
            Prices and volume; what is traded is counted in it as used.
        """
        wanted = abs(order.shares)
        allowed, cut, refused = self._allowed(t, order, supply)
        row = np.zeros((1, kernels.N_FILL_COLUMNS), dtype=np.int64)
        if allowed == 0:
            row[0] = (t, order.index, 0, 0, 0, supply.prices[order.index], 0, refused, 0)
        else:
            self._load([order], allowed)
            costs = self._costs_after(order, supply)
            is_rest = order.is_begun or cut == kernels.CUT_TO_POSITION
            terms = self._terms_of_rest if is_rest else self._terms
            kernels.execute_pending_orders(self._accounts, 0, t, self._quotes(t, order, supply), terms, costs, row, 0)
            if allowed < wanted and row[0, kernels.FILL_STATUS] == kernels.FILLED:
                row[0, kernels.FILL_STATUS] = cut
        row[0, kernels.FILL_REQUESTED] = order.shares
        execution = Execution(*(int(row[0, column]) for column in _EXECUTION_COLUMNS))
        self._count(order, supply, execution)
        self._record(row[0], time, order)
        return execution

    def end(self, t: int, time: pd.Timestamp, order: PlacedOrder, status: int) -> None:
        """Record that nothing, or nothing more, came of an order."""
        row = np.zeros(kernels.N_FILL_COLUMNS, dtype=np.int64)
        row[[kernels.FILL_SESSION, kernels.FILL_INSTRUMENT]] = t, order.index
        row[[kernels.FILL_REQUESTED, kernels.FILL_STATUS]] = order.shares, status
        self._record(row, time, order)

    def close_session(self, t: int) -> None:
        """Count the close and record the account at the closes of the session."""
        kernels.count_close(self._accounts, 0)
        self.series[t, :N_TOTALS] = self._accounts.totals[0]
        self.series[t, N_TOTALS] = net_asset_value(self._accounts, 0, self._market.arrays.mark[t])
        self.positions.extend((t, *holding) for holding in self.holdings())

    def _costs_after(self, order: PlacedOrder, supply: Supply) -> CostTerms:
        """Return what the next piece of an order costs, after its earlier ones and the other orders of its side."""
        shares = int(supply.used[_side(order), order.index])
        paid = max(order.commission, self._costs.min_commission) if order.is_begun else 0
        return self._costs._replace(earlier=EarlierPieces(shares, order.commission, paid))

    def _count(self, order: PlacedOrder, supply: Supply, execution: Execution) -> None:
        if execution.shares == 0:
            return
        order.is_begun = True
        order.commission += commission_before_minimum(execution.shares, execution.price, order.shares > 0, self._costs)
        self._used[_side(order), order.index] += execution.shares
        if supply.used is not self._used:
            supply.used[_side(order), order.index] += execution.shares

    def _quotes(self, t: int, order: PlacedOrder, supply: Supply) -> kernels.SessionQuotes:
        """Return what the kernel executes an order at: costs move no limit order beyond its limit."""
        lowest, highest = self._market.limits_of(t)
        blocked = supply.prices >= highest, supply.prices <= lowest
        if supply.leaves_limit:
            blocked = np.zeros_like(blocked[0]), np.zeros_like(blocked[1])
        if order.is_limit and order.shares > 0:
            highest = np.minimum(highest, order.price)
        elif order.is_limit:
            lowest = np.maximum(lowest, order.price)
        return kernels.SessionQuotes(supply.prices, supply.volume, *blocked, lowest, highest)

    def _allowed(self, t: int, order: PlacedOrder, supply: Supply) -> tuple[int, int, int]:
        """Shares that may execute at most, the status when that cuts the order and when it leaves nothing.

        The kernel knows neither the shares bought in this session, which some markets lock, nor what earlier orders
        used up of the same volume.
        """
        allowed, cut, refused = abs(order.shares), kernels.FILLED, kernels.FILLED
        rules = self._market.rules
        bought = int(self._used[BOUGHT, order.index])
        if order.shares < 0 and not rules.sell_same_session and bought > 0:
            free = self.held(order.index) - bought
            if free < allowed:
                allowed, cut, refused = free, kernels.CUT_TO_POSITION, kernels.REJECTED_LOCKED
        if self._used[:, order.index].any():
            left = self.shares_within_volume(t, order.index, allowed, supply)
            if left < allowed:
                allowed, cut, refused = left, kernels.CUT_TO_VOLUME, kernels.EXPIRED_NO_VOLUME
        return allowed, cut, refused

    def _record(self, row: npt.NDArray[np.int64], time: pd.Timestamp, order: PlacedOrder) -> None:
        self.fills.append(row)
        self.labels.append((order.placed_session, time, order.order.kind.value, order.order.reason))

    def _load(self, orders: list[PlacedOrder], shares: int | None = None) -> None:
        room = self._accounts.order_shares.shape[1]
        if len(orders) > room:
            raise StrategyError(f"There are {len(orders)} pending orders, more than {room}. Cancel some of them.")
        for row, order in enumerate(orders):
            self._accounts.order_instrument[0, row] = order.index
            self._accounts.order_shares[0, row] = (
                order.shares if shares is None else shares if order.shares > 0 else -shares
            )
            self._accounts.order_reason[0, row] = 0
        self._accounts.totals[0, ORDERS] = len(orders)


def _side(order: PlacedOrder) -> int:
    return BOUGHT if order.shares > 0 else SOLD
