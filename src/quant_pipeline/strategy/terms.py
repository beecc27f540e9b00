"""Strategy rules as the numbers that the compiled decisions use."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd

from quant_pipeline.common.exceptions import StrategyError
from quant_pipeline.exchange.dated_rules import DEGREE_UNITS
from quant_pipeline.exchange.lots import Lots, lots_of
from quant_pipeline.exchange.rules import MarketRules
from quant_pipeline.market.classification import Classification
from quant_pipeline.strategy.portfolio_terms import PortfolioTerms, portfolio_terms
from quant_pipeline.strategy.rules import Method, StrategyRules

TOPK_DROP = 0
BUFFER_ZONE = 1
TARGET_WEIGHTS = 2
METHODS: dict[Method, int] = {"topk_drop": TOPK_DROP, "buffer_zone": BUFFER_ZONE, "target_weights": TARGET_WEIGHTS}

BY_PREFERENCE = 0
BY_SCORE = 1


class StrategyTerms(NamedTuple):
    """:class:`StrategyRules` in numbers.

    ``risk_degree`` is in basis points, ``lots`` in shares, ``max_weight`` and ``min_trade`` are fractions;
    ``weighting`` is :data:`BY_SCORE`, or :data:`BY_PREFERENCE` (all others, which differ in the preferences);
    ``portfolio`` holds the rules beyond rank and weight.
    """

    method: int
    topk: int
    n_drop: int
    buffer: int
    hold_threshold: int
    risk_degree: int
    sell_orphans: int
    lots: Lots
    weighting: int
    max_weight: float
    min_trade: float
    portfolio: PortfolioTerms


def strategy_terms(
    rules: StrategyRules,
    market_rules: MarketRules,
    instruments: pd.Index,
    classification: Classification | None = None,
) -> StrategyTerms:
    """Convert rules to kernel terms for some instruments.

    Raises
    ------
    StrategyError
        When the method is one that the kernels do not know, or a portfolio rule needs sectors and there are none.
    MarketDataError
        When a portfolio rule needs companies and none is known.
    ExtensionError
        When there is no such weighting of positions.
    """
    if rules.method not in METHODS:
        raise StrategyError(f"Unknown strategy.method {rules.method!r}. Use one of {sorted(METHODS)}.")
    return StrategyTerms(
        method=METHODS[rules.method],
        topk=rules.topk,
        n_drop=rules.n_drop,
        buffer=rules.buffer,
        hold_threshold=rules.hold_threshold,
        risk_degree=round(rules.risk_degree * DEGREE_UNITS),
        sell_orphans=int(rules.sell_orphans),
        lots=lots_of(market_rules, instruments),
        weighting=BY_SCORE if rules.weighting.by_score else BY_PREFERENCE,
        max_weight=float(rules.max_weight),
        min_trade=float(rules.min_trade),
        portfolio=portfolio_terms(rules, instruments, classification),
    )
