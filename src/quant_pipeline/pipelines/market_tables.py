"""What every backtest is given: the market as ingested, and the rules of an account."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pandas as pd

from quant_pipeline.backtest.weight_multipliers import sessions_looked_back_over
from quant_pipeline.exchange.listings import Listings
from quant_pipeline.exchange.market import TradingMarket
from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.market.benchmark import levels_in
from quant_pipeline.market.classification import Classification
from quant_pipeline.strategy.account_parameters import AccountParameters
from quant_pipeline.strategy.rules import StrategyRules


@dataclass(frozen=True)
class TradingRules:
    """How an account decides and trades: the same in search, backtest and execution."""

    strategy: StrategyRules
    market_rules: MarketRules
    cost_rules: CostRules
    account: AccountParameters


@dataclass(frozen=True)
class MarketTables:
    """The market as ingested.

    Attributes
    ----------
    bars, corporate_actions
        As traded.
    sessions
        ``date`` of every session.
    benchmark
        ``date``, ``total_return_close`` and, for a dividend tax, ``dividend_return``.
    instruments
        ``instrument``, ``sector`` and, where the source has it, ``company``.
    """

    bars: pd.DataFrame
    corporate_actions: pd.DataFrame
    sessions: pd.DataFrame
    benchmark: pd.DataFrame
    instruments: pd.DataFrame

    def market_of(self, traded: pd.DatetimeIndex, rules: TradingRules) -> TradingMarket:
        """Build the market of some consecutive sessions; nothing later than the last of them goes in.

        Sessions before them that the weights of the strategy look back over are its history.
        """
        earlier = sessions_looked_back_over(rules.strategy, pd.DatetimeIndex(self.sessions["date"]), traded[0])
        first, last = earlier.append(traded)[[0, -1]]
        bars, actions = (
            table[(table["date"] >= first) & (table["date"] <= last)] for table in (self.bars, self.corporate_actions)
        )
        if rules.market_rules.price_limits:
            bars = self._with_closes_before(first, bars)
            actions = self.corporate_actions[self.corporate_actions["date"] <= last]
        listings = Listings.of(self.bars) if rules.market_rules.frees_listings else None
        market = TradingMarket.from_bars(bars, actions, traded, rules.market_rules, earlier, listings)
        return replace(market, classification=Classification.of(self.instruments))

    def _with_closes_before(self, first: pd.Timestamp, bars: pd.DataFrame) -> pd.DataFrame:
        """Add the last bar before a session of every instrument: what the limits of its first bar refer to."""
        earlier = self.bars[(self.bars["date"] < first) & self.bars["instrument"].isin(bars["instrument"].unique())]
        last = earlier.sort_values("date", kind="stable").drop_duplicates("instrument", keep="last")
        return pd.concat([last, bars], ignore_index=True)

    def benchmark_levels(self, market: TradingMarket) -> pd.Series:
        """Level of the benchmark in the sessions of a market, after the tax on dividends; see `levels_in`."""
        return levels_in(self.benchmark, market.sessions, market.rules.dividend_tax_rate)
