"""What the risk limits of the account will deny of decided orders, reported with the rule that keeps below them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pandas as pd

from quant_pipeline.common.parameters import did_you_mean
from quant_pipeline.market.classification import Classification
from quant_pipeline.strategy.rules import StrategyRules
from quant_pipeline.trading.orders.risk_limits import RiskLimits


def unknown_names(rules: StrategyRules, known: Iterable[str]) -> Iterator[str]:
    """Name what the lists of the strategy name and the market does not have: such a rule never binds.

    Parameters
    ----------
    rules
        Lists by instrument.
    known
        Instruments of the market.
    """
    names = {str(name) for name in known}
    for key in ("blacklist", "watchlist", "companies"):
        for name in sorted(set(getattr(rules, key)) - names):
            yield (
                f"strategy.{key} names {name}, which the market does not have{did_you_mean(name.upper(), names)}: it "
                "binds nothing"
            )


@dataclass(frozen=True)
class PlannedPortfolio:
    """The account as it would be if every order executed at its reference price.

    Attributes
    ----------
    value
        Net asset value at the decision.
    worth
        Value of each position afterwards, by instrument.
    bought, traded
        Instruments that are bought, and the value of all orders.
    classification
        Sectors and companies.
    """

    value: float
    worth: pd.Series
    bought: pd.Index
    traded: float
    classification: Classification

    @classmethod
    def of(
        cls, orders: pd.DataFrame, held: pd.Series, prices: pd.Series, cash: float, classification: Classification
    ) -> PlannedPortfolio:
        """Execute orders in the mind.

        Parameters
        ----------
        orders
            ``instrument``, ``side``, ``quantity``, ``reference_price``.
        held, prices
            Shares and last known closes, by instrument.
        cash
            Cash at the decision.
        classification
            Sectors and companies.
        """
        before = (held * prices.reindex(held.index)).astype("float64").fillna(0.0)
        executed = orders[orders["side"].isin(["buy", "sell"]) & (orders["quantity"] > 0)].set_index("instrument")
        worth = executed["quantity"] * executed["reference_price"]
        signed = worth.where(executed["side"] == "buy", -worth)
        bought = executed.index[executed["side"] == "buy"]
        after = before.add(signed, fill_value=0.0)
        return cls(cash + before.sum(), after, bought, float(worth.sum()), classification)

    @property
    def sectors(self) -> pd.Series:
        """Value of each sector afterwards."""
        return self.worth.groupby([self.classification.sector_of(name) for name in self.worth.index]).sum()

    def exceeded(self, limits: RiskLimits) -> Iterator[str]:
        """Say which limits the buys exceed, by how much, and which rule of the strategy keeps below them."""
        positions = self.worth[self.bought]
        yield from self._above(positions, "position", limits.max_position_weight, "max_position_weight")
        bought = {self.classification.sector_of(name) for name in self.bought}
        sectors = self.sectors[[name for name in self.sectors.index if name in bought]]
        yield from self._above(sectors, "sector", limits.max_sector_weight, "max_sector_weight")
        if len(self.bought):
            orders = pd.Series({"all orders": self.traded})
            yield from self._above(orders, "value of", limits.max_turnover, "max_turnover")

    def _above(self, values: pd.Series, what: str, limit: float, key: str) -> Iterator[str]:
        above = values[values > limit * self.value]
        if above.empty:
            return
        name, amount = str(above.idxmax()), float(above.max())
        others = f" and {len(above) - 1} more" if len(above) > 1 else ""
        yield (
            f"the plan brings the {what} {name} to {amount / self.value:.1%} of the account ({amount:,.2f}){others}, "
            f"above risk.{key} {limit:.0%}: buys beyond it will be denied. Set strategy.{key} a little below it; "
            "backtests and search follow it too"
        )

    def may_take(self, instrument: str, amount: float, rules: StrategyRules) -> bool:
        """Whether the rules of the strategy let another instrument be bought for an amount."""
        known = self.classification.with_companies(rules.companies)
        if instrument in rules.blacklist or instrument in rules.watchlist:
            return False
        own = {known.company_of(name) for name in self.worth.index[self.worth > 0]}
        if rules.one_listing_per_company and known.company_of(instrument) in own:
            return False
        of_sector = float(self.sectors.get(known.sector_of(instrument), 0.0))
        return rules.max_sector_weight is None or of_sector + amount <= rules.max_sector_weight * self.value
