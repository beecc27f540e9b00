"""The decision of any strategy, compiled: every engine, order generation and `rebalance` call it."""

from __future__ import annotations

from quant_pipeline.common.compiled import shared
from quant_pipeline.strategy.placing import Decision
from quant_pipeline.strategy.selection import decide_by_rank
from quant_pipeline.strategy.terms import TOPK_DROP
from quant_pipeline.strategy.topk_drop import decide_topk_drop


@shared
def decide(decision: Decision) -> None:
    """Replace the pending orders of an account by those of a new decision."""
    if decision.terms.method == TOPK_DROP:
        decide_topk_drop(decision)
    else:
        decide_by_rank(decision)
