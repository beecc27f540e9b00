"""At which prices of a session a broker can execute, by which orders, and until when it takes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import pandas as pd

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.market.clock import DealPrice
from quant_pipeline.trading.broker_records import TimeInForce


@dataclass(frozen=True)
class AuctionOrders:
    """When a broker takes the orders of an auction.

    Attributes
    ----------
    auction
        Which auction of the session executes them.
    taken_before_open
        How long before the open of the session the first one is taken.
    cutoff
        How long before the auction an order has to arrive; later ones are rejected.
    """

    auction: Literal["open", "close"]
    taken_before_open: pd.Timedelta
    cutoff: pd.Timedelta


@dataclass(frozen=True)
class ExecutionCapability:
    """What a broker can do; every broker states it once, where its adapter is.

    Attributes
    ----------
    broker
        Name of the broker, for messages.
    times_in_force
        By price of the session: the kinds of orders that execute at it. A price that is not named cannot be had.
    auctions
        When orders of an auction are taken; kinds that are not named are taken as any other order.
    """

    broker: str
    times_in_force: Mapping[DealPrice, tuple[TimeInForce, ...]]
    auctions: Mapping[TimeInForce, AuctionOrders] = field(default_factory=dict)

    def require(self, deal_price: DealPrice, time_in_force: TimeInForce) -> None:
        """Refuse orders that would execute at another price than the one of labels and backtests.

        Parameters
        ----------
        deal_price
            ``market_rules.deal_price``.
        time_in_force
            ``execution.time_in_force``.

        Raises
        ------
        ConfigurationError
            When the broker cannot execute at the price, or not by these orders.
        """
        kinds = self.times_in_force.get(deal_price, ())
        if time_in_force in kinds:
            return
        if not kinds:
            raise ConfigurationError(
                f"market_rules.deal_price is {deal_price}, but {self.broker} executes at "
                f"{' or '.join(self.times_in_force)} only; nothing is sent at another price. Set "
                f"market_rules.deal_price to {' or '.join(self.times_in_force)} and train again, or run the simulated "
                "account: --env sim."
            )
        kind = kinds[0]
        waves = " and execution.waves to together" if kind in self.auctions else ""
        raise ConfigurationError(
            f"market_rules.deal_price is {deal_price}, but {self.broker} does not execute orders of "
            f"execution.time_in_force {time_in_force} at it; nothing is sent at another price. Set "
            f"execution.time_in_force to {' or '.join(kinds)}{waves} in the environment's parameters_execution.yml, "
            "or change market_rules.deal_price and train again."
        )
