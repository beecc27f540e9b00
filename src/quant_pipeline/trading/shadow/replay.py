"""A session of the account as the backtest would have lived it: the same books, the exchange by its rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

import pandas as pd

from quant_pipeline.exchange.market import TradingMarket
from quant_pipeline.exchange.money import ticks_to_decimal, value_in_cents
from quant_pipeline.exchange.quotes import deal_prices
from quant_pipeline.exchange.shared_market import market_of
from quant_pipeline.market.clock import DealPrice
from quant_pipeline.trading.brokers.adapter import Exchange
from quant_pipeline.trading.brokers.simulated.bookkeeping import execute_session
from quant_pipeline.trading.ledger.account import owners_cash
from quant_pipeline.trading.ledger.events import Order, money
from quant_pipeline.trading.ledger.lots import ZERO
from quant_pipeline.trading.ledger.session_effects import SessionEffects
from quant_pipeline.trading.shadow.session_orders import Key


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
    """Let a session happen to the account as it was at the close before.

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
    table = _table(orders)
    cash = effects.start.cash + sum((owners_cash(effect.event) for effect in effects.effects), ZERO)
    outcome, executed = execute_session(
        effects.start.positions_table(), cash, table, session, bars, actions, market, exchange.cost_rules
    )
    pending = table if outcome.pending_orders is None else outcome.pending_orders
    requested = {(row.instrument, row.side): Decimal(int(row.quantity)) for row in pending.itertuples(index=False)}
    fills = {
        (row["instrument"], row["side"]): _model_fill(requested[row["instrument"], row["side"]], row)
        for row in executed.to_dict("records")
    }
    return Replay(
        fills,
        _prices(bars, market.rules.deal_price),
        {key: _profit(key, fill, effects) for key, fill in fills.items()},
        {
            row["instrument"]: (row["quantity_after"] - row["quantity_before"]) * effects.closes[row["instrument"]]
            + Decimal(money(row["amount"]))
            for row in _summed(outcome.events).to_dict("records")
        },
        outcome.interest,
    )


def _quoted_at(exchange: Exchange, deal_price: DealPrice | None) -> TradingMarket:
    """Return the market with the price at which a plan was decided to execute."""
    bars, corporate_actions, sessions, market_rules, _ = exchange.parts
    rules = market_rules if deal_price is None else market_rules.model_copy(update={"deal_price": deal_price})
    return market_of(bars, corporate_actions, sessions, rules)


def _table(orders: Sequence[Order]) -> pd.DataFrame:
    """Orders as the exchange takes them: whole shares."""
    return pd.DataFrame(
        {
            "instrument": pd.Series([order.instrument for order in orders], dtype="str"),
            "side": pd.Series([order.side for order in orders], dtype="str"),
            "quantity": pd.Series([int(order.quantity) for order in orders], dtype="int64"),
        }
    )


def _model_fill(requested: Decimal, row: Mapping[str, object]) -> ModelFill:
    quantity = Decimal(str(row["quantity"]))
    price, fee = ((Decimal(money(str(row[name]))) if quantity else ZERO) for name in ("price", "fee"))
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
