"""A session of the account as the backtest would have lived it: the same books, the exchange by its rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

import pandas as pd

from quant_pipeline.common.exceptions import AccountError
from quant_pipeline.exchange.market import TradingMarket
from quant_pipeline.exchange.money import ticks_to_decimal, value_in_cents
from quant_pipeline.exchange.quotes import deal_prices
from quant_pipeline.exchange.shared_market import market_of
from quant_pipeline.market.clock import DealPrice
from quant_pipeline.trading.brokers.adapter import Exchange
from quant_pipeline.trading.brokers.simulated.bookkeeping import execute_session
from quant_pipeline.trading.ledger.account import AccountState
from quant_pipeline.trading.ledger.events import TICK, EventKind, Order, money
from quant_pipeline.trading.ledger.lots import ZERO
from quant_pipeline.trading.ledger.session_effects import SessionEffects, is_corporate
from quant_pipeline.trading.shadow.fractions import profit_of_fractions
from quant_pipeline.trading.shadow.session_orders import Key

_OF_THE_SESSION = (EventKind.FILL, EventKind.FOREIGN_MOVED, EventKind.INTEREST)


class ModelFill(NamedTuple):
    """What the exchange of the backtest makes of an order.

    Attributes
    ----------
    requested
        Shares after the splits of the session.
    quantity, price, fee
        Shares executed, their price with slippage and impact (0 where nothing executed), and the fee.
    message
        Why not all of it executed.
    """

    requested: Decimal
    quantity: Decimal
    price: Decimal
    fee: Decimal
    message: str


@dataclass(frozen=True)
class Replay:
    """A session of the shadow account, valued at the closes of the session.

    Attributes
    ----------
    fills
        By instrument and side.
    market_prices
        The session's price at which the plan executes, by instrument; none where it was not traded.
    trades, actions
        Profit by instrument: of the fills, fees taken off; of corporate actions.
    interest
        Interest on the cash.
    """

    fills: Mapping[Key, ModelFill]
    market_prices: Mapping[str, Decimal]
    trades: Mapping[Key, Decimal]
    actions: Mapping[str, Decimal]
    interest: Decimal

    @property
    def profit(self) -> Decimal:
        """What the session brings beside what holdings earn."""
        return sum(self.trades.values(), ZERO) + sum(self.actions.values(), ZERO) + self.interest


def replay_orders(
    effects: SessionEffects, orders: Sequence[Order], deal_price: DealPrice | None, exchange: Exchange
) -> Replay:
    """Let a session happen to the account as it was at the close before, with what was booked beside trading.

    Parameters
    ----------
    effects
        The session: books, closes, and what the owner has paid in.
    orders
        What the exchange is to execute.
    deal_price
        Price of the session at which it does; None for the configured one.
    exchange
        The market and its rules; corporate actions and fills are those of backtest and simulated account.
    """
    market = _quoted_at(exchange, deal_price)
    session = effects.session
    bars = exchange.bars[exchange.bars["date"] == session]
    actions = exchange.corporate_actions[exchange.corporate_actions["date"] == session]
    table, books = _table(orders), _before_trading(effects)
    outcome, executed = execute_session(
        books.positions_table(), books.cash, table, session, bars, actions, market, exchange.cost_rules
    )
    pending = table if outcome.pending_orders is None else outcome.pending_orders
    requested = {(row.instrument, row.side): Decimal(int(row.quantity)) for row in pending.itertuples(index=False)}
    prices = _prices(bars, market.rules.deal_price)
    fractions = {(o.instrument, o.side): Decimal(o.quantity) % 1 for o in orders}
    fills = {}
    for row in executed.to_dict("records"):
        key = row["instrument"], row["side"]
        fills[key] = _model_fill(requested[key], fractions[key], row, prices.get(key[0], ZERO))
    acted = {
        row["instrument"]: (row["quantity_after"] - row["quantity_before"]) * effects.closes[row["instrument"]]
        + Decimal(money(row["amount"]))
        for row in _summed(outcome.events).to_dict("records")
    }
    acted |= profit_of_fractions(books, actions, effects.closes, market.rules.dividend_tax_rate)
    profits = {key: _profit(key, fill, effects) for key, fill in fills.items()}
    return Replay(fills, prices, profits, acted, outcome.interest)


def _before_trading(effects: SessionEffects) -> AccountState:
    """Return the account before anything executes: as it closed, with what statements and the broker booked beside.

    Deposits, fees and transferred shares are there when the exchange opens, as the simulated account has it. Trades by
    hand, in shares or in what is foreign, are none of the shadow's.
    """
    books = effects.start
    for effect in effects.effects:
        if effect.event.kind in _OF_THE_SESSION or is_corporate(effect.event):
            continue
        trial = books.fork()
        try:
            trial.apply(effect.event)
        except AccountError:
            continue  # It is about something that was executed in the session.
        books = trial
    return books


def _quoted_at(exchange: Exchange, deal_price: DealPrice | None) -> TradingMarket:
    """Return the market with the price at which a plan was decided to execute."""
    bars, corporate_actions, sessions, market_rules, _ = exchange.parts
    rules = market_rules if deal_price is None else market_rules.model_copy(update={"deal_price": deal_price})
    return market_of(bars, corporate_actions, sessions, rules)


def _table(orders: Sequence[Order]) -> pd.DataFrame:
    """Orders as the exchange takes them: whole shares; see `_model_fill` for what is beyond them."""
    return pd.DataFrame(
        {
            "instrument": pd.Series([order.instrument for order in orders], dtype="str"),
            "side": pd.Series([order.side for order in orders], dtype="str"),
            "quantity": pd.Series([int(order.quantity) for order in orders], dtype="int64"),
        }
    )


def _model_fill(requested: Decimal, fraction: Decimal, row: Mapping[str, object], market: Decimal) -> ModelFill:
    """Read a fill; the fraction of a share that a sale of everything has executes with the rest, if it all does."""
    quantity = Decimal(str(row["quantity"]))
    price, fee = ((Decimal(money(str(row[name]))) if quantity else ZERO) for name in ("price", "fee"))
    if fraction and quantity == requested and (quantity or market):
        fee = (fee * (quantity + fraction) / quantity).quantize(TICK) if quantity else ZERO
        price, quantity = price if quantity else market, quantity + fraction
    requested += fraction
    # Cash moves in whole cents: what that is beyond quantity times price is a cost, as in the account.
    sign = 1 if row["side"] == "buy" else -1
    fee += sign * (value_in_cents(quantity, price) - quantity * price)
    return ModelFill(requested, quantity, price, fee, str(row["message"]))


def _profit(key: Key, fill: ModelFill, effects: SessionEffects) -> Decimal:
    instrument, side = key
    sign = 1 if side == "buy" else -1
    return sign * fill.quantity * (effects.closes[instrument] - fill.price) - fill.fee


def _prices(bars: pd.DataFrame, kind: DealPrice) -> dict[str, Decimal]:
    ticks = deal_prices(bars, kind).tolist()
    return {name: ticks_to_decimal(price) for name, price in zip(bars["instrument"], ticks, strict=True) if price > 0}


def _summed(events: pd.DataFrame) -> pd.DataFrame:
    """Put the corporate actions of one instrument together."""
    grouped = events.groupby("instrument", sort=False)
    return grouped.agg({"quantity_before": "first", "quantity_after": "last", "amount": "sum"}).reset_index()
