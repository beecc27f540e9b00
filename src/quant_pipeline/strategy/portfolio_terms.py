"""Portfolio rules as the numbers that the compiled decisions use."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.common.exceptions import StrategyError
from quant_pipeline.exchange.dated_rules import DEGREE_UNITS
from quant_pipeline.market.classification import Classification
from quant_pipeline.strategy.rules import StrategyRules

NO_LIMIT = -1


class PortfolioTerms(NamedTuple):
    """What a portfolio may hold, beyond the best by rank; see :class:`StrategyRules`.

    ``is_bound`` is 0 where no such rule is set: nothing else is looked at then. ``barred`` instruments are never
    bought, the ``banned`` among them are sold. ``sector`` and ``company`` number what belongs together. The others are
    in basis points of the net asset value, :data:`NO_LIMIT` where there is none.
    """

    is_bound: int
    barred: npt.NDArray[np.bool_]
    banned: npt.NDArray[np.bool_]
    sector: npt.NDArray[np.uint32]
    company: npt.NDArray[np.uint32]
    max_sector: int
    max_position: int
    min_position: int
    max_turnover: int


def portfolio_terms(
    rules: StrategyRules, instruments: pd.Index, classification: Classification | None
) -> PortfolioTerms:
    """Convert the portfolio rules to kernel terms for some instruments.

    Raises
    ------
    StrategyError
        When a rule needs sectors or companies that are not known.
    """
    alone = np.arange(len(instruments), dtype=np.uint32)
    sector, company = alone, alone
    if rules.max_sector_weight is not None:
        if classification is None:
            raise StrategyError(
                "strategy.max_sector_weight needs the sectors of the instruments. Give the market a `classification`."
            )
        sector = classification.sector_numbers(instruments)
    if rules.one_listing_per_company:
        known = Classification() if classification is None else classification
        company = known.with_companies(rules.companies).company_numbers(instruments)
    banned = np.asarray(instruments.isin(rules.blacklist), dtype=np.bool_)
    return PortfolioTerms(
        is_bound=int(rules.binds_portfolio),
        barred=banned | np.asarray(instruments.isin(rules.watchlist), dtype=np.bool_),
        banned=banned,
        sector=sector,
        company=company,
        max_sector=_basis_points(rules.max_sector_weight),
        max_position=_basis_points(rules.max_position_weight),
        min_position=_basis_points(rules.min_position_weight),
        max_turnover=_basis_points(rules.max_turnover),
    )


def _basis_points(part: float | None) -> int:
    return NO_LIMIT if part is None else round(part * DEGREE_UNITS)
