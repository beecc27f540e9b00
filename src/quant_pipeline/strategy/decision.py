"""The decision of any strategy, compiled: the one door through which every engine decides."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from quant_pipeline.common.compiled import inlined
from quant_pipeline.exchange.account_arrays import AccountArrays
from quant_pipeline.exchange.costs import CostTerms
from quant_pipeline.strategy.fused_scores import FusedScores
from quant_pipeline.strategy.ranking import DecisionBuffers
from quant_pipeline.strategy.selection import decide_by_rank
from quant_pipeline.strategy.terms import TOPK_DROP, StrategyTerms
from quant_pipeline.strategy.topk_drop import decide_topk_drop


@inlined
def decide(
    accounts: AccountArrays,
    a: int,
    value: int,
    fused: FusedScores,
    tradable: npt.NDArray[np.bool_],
    prices: npt.NDArray[np.int64],
    preferences: npt.NDArray[np.float64],
    terms: StrategyTerms,
    costs: CostTerms,
    buffers: DecisionBuffers,
) -> None:
    """Replace the pending orders of an account by those of a new decision.

    Parameters
    ----------
    accounts, a
        Accounts and the row of the one that decides.
    value
        Its net asset value, ticks.
    fused
        Scores of the session; the rough ones are changed on the way and restored.
    tradable
        Whether each instrument has a bar in the decision's session.
    prices
        Last known closes, ticks.
    preferences
        Factor of the weight of each instrument, for target weights.
    terms, costs
        Rules.
    buffers
        Scratch space; afterwards ``slot_decision`` explains the holdings.
    """
    if terms.method == TOPK_DROP:
        decide_topk_drop(accounts, a, value, fused, tradable, prices, terms, costs, buffers)
    else:
        decide_by_rank(accounts, a, value, fused, tradable, prices, preferences, terms, costs, buffers)
