"""Stop-loss, trailing stop and take-profit: sales that no decision asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from pydantic import Field

from quant_pipeline.backtest.event_engine.orders import BarPrices
from quant_pipeline.common.parameters import Parameters


class ProtectiveRules(Parameters):
    """When a holding is sold whole, whatever its score.

    Levels are prices: a split divides them, a cash dividend does not move them, though the price falls by it on its
    ex-date. A stop should lie further away than the largest dividend.

    Attributes
    ----------
    stop_loss
        Fall from the mean price paid that sells, as a fraction.
    trailing_stop
        Fall from the highest price since the purchase that sells, as a fraction.
    take_profit
        Rise from the mean price paid that sells, as a fraction.
    """

    stop_loss: float | None = Field(default=None, gt=0, lt=1)
    trailing_stop: float | None = Field(default=None, gt=0, lt=1)
    take_profit: float | None = Field(default=None, gt=0)

    @property
    def is_active(self) -> bool:
        """Whether any rule is set."""
        return any(rule is not None for rule in (self.stop_loss, self.trailing_stop, self.take_profit))


class ProtectiveSale(NamedTuple):
    """A sale that a rule asks for: at which price (ticks), and why."""

    price: int
    reason: str


@dataclass
class ProtectedHolding:
    """What the rules need to know of a holding: mean price paid and highest price since, in ticks."""

    mean_price: float
    highest: float

    def sale_in(self, bar: BarPrices, rules: ProtectiveRules) -> ProtectiveSale | None:
        """Return at which price a bar sells the holding, None if it does not, and remember its high.

        Stops are looked at before profits, since it is unknown which came first within a bar; the trailing stop
        follows the highs of earlier bars only, for the same reason. A bar that opens beyond a level fills at its open.
        """
        levels = []
        if rules.stop_loss is not None:
            levels.append((self.mean_price * (1 - rules.stop_loss), "stop loss"))
        if rules.trailing_stop is not None:
            levels.append((max(self.highest, bar.open) * (1 - rules.trailing_stop), "trailing stop"))
        if levels:
            level, reason = max(levels)
            price = round(level)
            if bar.low <= price:
                return ProtectiveSale(min(bar.open, price), reason)
        if rules.take_profit is not None:
            price = round(self.mean_price * (1 + rules.take_profit))
            if bar.high >= price:
                return ProtectiveSale(max(bar.open, price), "take profit")
        self.highest = max(self.highest, bar.high)
        return None

    def bought(self, held: int, shares: int, price: int) -> None:
        """Average a further purchase in."""
        self.mean_price = (self.mean_price * held + price * shares) / (held + shares)
        self.highest = max(self.highest, price)

    def split(self, numerator: int, denominator: int) -> None:
        """Divide the prices by the ratio of a split."""
        self.mean_price *= denominator / numerator
        self.highest *= denominator / numerator
