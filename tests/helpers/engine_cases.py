"""Rules, costs and cash with which the engines are held against each other."""

from quant_pipeline.exchange.dated_rules import PriceLimit, TaxChange
from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.market.classification import Classification
from quant_pipeline.strategy.rules import StrategyRules
from quant_pipeline.strategy.schedule import Schedule

FULL_COSTS = CostRules(
    buy_rate=0.0005, sell_rate=0.0005, per_share=0.003, min_commission=1.0, sell_tax_rate=0.001, half_spread=0.0003,
    volume_impact=0.1, root_impact=0.01,
)  # fmt: skip
DATED_LIMITS = MarketRules(
    lot=100,
    price_limits=(
        PriceLimit(prefix="I", limit=0.03, until="2020-03-02"),
        PriceLimit(prefix="I", limit=0.05, since="2020-03-02"),
        PriceLimit(prefix="I07", limit=0.02, since="2020-02-03", until="2020-04-01"),
    ),
)
DATED_TAXES = CostRules.preset("CN").model_copy(
    update={
        "tax_changes": (
            TaxChange(since="2010-01-01", buy=0.00102, sell=0.00102),
            TaxChange(since="2020-03-16", buy=0.00001, sell=0.00051),
        )
    }
)
GROUPS = Classification(
    sectors={f"I{number:02d}": f"sector {number % 3}" for number in range(20)},
    companies={f"I{number:02d}": f"company {number // 2}" for number in range(12)},
)
"""Of the instruments of `random_market`; the last ones have no sector."""

CASES = {
    "us": (StrategyRules(topk=6, n_drop=2), MarketRules.preset("US"), CostRules.preset("US"), 100_000),
    "cn": (
        StrategyRules(topk=8, n_drop=3, hold_threshold=3),
        DATED_LIMITS.model_copy(update={"deal_price": "close"}),
        DATED_TAXES,
        1_000_000,
    ),
    "poor, all costs": (
        StrategyRules(topk=10, n_drop=10, risk_degree=1.0),
        MarketRules(max_participation=0.05, deal_price="vwap"),
        FULL_COSTS,
        5_000,
    ),
    "weekly": (
        StrategyRules(topk=5, n_drop=0, schedule=Schedule(frequency="weekly", phase=2)),
        MarketRules(),
        FULL_COSTS,
        50_000,
    ),
    "buffer zone": (
        StrategyRules(method="buffer_zone", topk=6, buffer=3, hold_threshold=2),
        MarketRules(max_participation=0.1),
        FULL_COSTS,
        40_000,
    ),
    "weights by score": (
        StrategyRules(method="target_weights", topk=5, position_weights="score", max_weight=0.3, min_trade=0.02),
        MarketRules(),
        CostRules.preset("US"),
        80_000,
    ),
    "weights by volatility, cn": (
        StrategyRules(
            method="target_weights",
            topk=6,
            buffer=2,
            position_weights="inverse_volatility",
            weight_sessions=20,
            schedule=Schedule(frequency="weekly", phase=1),
        ),
        DATED_LIMITS,
        DATED_TAXES,
        2_000_000,
    ),
    "interest and tax": (
        StrategyRules(topk=5, n_drop=2, risk_degree=0.6),
        MarketRules(cash_interest_rate=0.045, dividend_tax_rate=0.3),
        FULL_COSTS,
        70_000,
    ),
    "portfolio rules": (
        StrategyRules(
            topk=6,
            n_drop=3,
            max_sector_weight=0.4,
            max_turnover=0.5,
            min_position_weight=0.05,
            one_listing_per_company=True,
            blacklist=["I05"],
            watchlist=["I06", "I20"],
        ),
        MarketRules(max_participation=0.2),
        FULL_COSTS,
        60_000,
    ),
    "buffer zone under rules": (
        StrategyRules(method="buffer_zone", topk=6, buffer=4, max_sector_weight=0.35, max_turnover=0.6),
        MarketRules(),
        FULL_COSTS,
        60_000,
    ),
    "weights under rules": (
        StrategyRules(
            method="target_weights",
            topk=6,
            buffer=2,
            position_weights="score",
            max_sector_weight=0.4,
            max_position_weight=0.25,
            min_position_weight=0.06,
            max_turnover=0.7,
            one_listing_per_company=True,
            watchlist=["I03"],
        ),
        DATED_LIMITS,
        DATED_TAXES,
        900_000,
    ),
    "orphans kept": (StrategyRules(topk=5, n_drop=1, sell_orphans=False), MarketRules(), CostRules(), 30_000),
}
