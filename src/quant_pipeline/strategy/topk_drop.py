"""The decision of the corrected TopK-Drop strategy, compiled: the only place where its scores become orders.

Semantics, in the order of the code:

1. Holdings without a finite score leave as *orphans* if they may be sold.
2. Candidates are the best instruments not held, with a finite score and tradable at the decision: as many as there
   are free places plus `n_drop`. Equal scores rank by instrument code.
3. Holdings among the weakest `n_drop` of ranked holdings and candidates together are dropped, worst first, unless
   they are too young or cannot trade. Nothing is sold for a candidate that ranks below it, nor without a candidate
   to take its place (unless more than `topk` are held).
4. Free places are filled with the best candidates, each with the same budget (`placing.budget_per_buy`).

Qlib's ``TopkDropoutStrategy`` differs where its behaviour hurts a trader; see ``docs/concepts/strategy.md``.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from quant_pipeline.common.compiled import inlined
from quant_pipeline.exchange.account_arrays import HELD, ORDERS, AccountArrays, sessions_held
from quant_pipeline.exchange.costs import CostTerms
from quant_pipeline.strategy.fused_scores import FusedScores, fused_below
from quant_pipeline.strategy.placing import buy_best, obstacle_to_sale, sell_slot
from quant_pipeline.strategy.ranking import DecisionBuffers, find_candidates, find_worst_slots
from quant_pipeline.strategy.reasons import KEEP, KEEP_UNSCORED, SELL_DROPPED, SELL_ORPHAN
from quant_pipeline.strategy.terms import StrategyTerms


@inlined
def _sell_orphans(
    accounts: AccountArrays,
    a: int,
    rough: npt.NDArray[np.float32],
    tradable: npt.NDArray[np.bool_],
    prices: npt.NDArray[np.int64],
    terms: StrategyTerms,
    costs: CostTerms,
    buffers: DecisionBuffers,
) -> int:
    """Take the rough scores of the holdings out of `rough`, order the sale of orphans by code, return the proceeds."""
    n_orphans = 0
    for slot in range(accounts.totals[a, HELD]):
        instrument = accounts.slot_instrument[a, slot]
        score = rough[instrument]
        buffers.slot_rough[slot] = score
        buffers.slot_decision[slot] = KEEP
        rough[instrument] = np.nan
        if score == score:
            continue
        if terms.sell_orphans == 0:
            buffers.slot_decision[slot] = KEEP_UNSCORED
            continue
        obstacle = obstacle_to_sale(sessions_held(accounts, a, slot), tradable[instrument], terms)
        buffers.slot_decision[slot] = obstacle
        if obstacle != KEEP:
            continue
        index = n_orphans
        while index > 0 and accounts.slot_instrument[a, buffers.worst[index - 1]] > instrument:
            buffers.worst[index] = buffers.worst[index - 1]
            index -= 1
        buffers.worst[index] = slot
        n_orphans += 1
    proceeds = 0
    for i in range(n_orphans):
        slot = buffers.worst[i]
        price = prices[accounts.slot_instrument[a, slot]]
        proceeds += sell_slot(accounts, a, slot, SELL_ORPHAN, price, costs, buffers)
    return proceeds


@inlined
def _sell_weakest(
    accounts: AccountArrays,
    a: int,
    fused: FusedScores,
    n_best: int,
    most_sales: int,
    tradable: npt.NDArray[np.bool_],
    prices: npt.NDArray[np.int64],
    terms: StrategyTerms,
    costs: CostTerms,
    buffers: DecisionBuffers,
) -> int:
    """Order the sale of the weakest holdings, worst first, and return the estimated net proceeds."""
    n_worst = find_worst_slots(accounts, a, fused, terms.n_drop, buffers)
    proceeds = 0
    n_sold = 0
    next_worst = 0
    last_best = n_best - 1
    for _ in range(terms.n_drop):
        if next_worst == n_worst or n_sold == most_sales:
            break
        slot = buffers.worst[next_worst]
        instrument = accounts.slot_instrument[a, slot]
        if last_best >= 0 and fused_below(
            fused, buffers.best_rough[last_best], buffers.best[last_best], buffers.worst_rough[next_worst], instrument
        ):
            last_best -= 1
            continue
        next_worst += 1
        obstacle = obstacle_to_sale(sessions_held(accounts, a, slot), tradable[instrument], terms)
        if obstacle == KEEP:
            n_sold += 1
            proceeds += sell_slot(accounts, a, slot, SELL_DROPPED, prices[instrument], costs, buffers)
        else:
            buffers.slot_decision[slot] = obstacle
    return proceeds


@inlined
def decide_topk_drop(
    accounts: AccountArrays,
    a: int,
    value: int,
    fused: FusedScores,
    tradable: npt.NDArray[np.bool_],
    prices: npt.NDArray[np.int64],
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
    terms, costs
        Rules.
    buffers
        Scratch space; afterwards ``slot_decision`` explains the holdings.
    """
    accounts.totals[a, ORDERS] = 0
    proceeds = _sell_orphans(accounts, a, fused.rough, tradable, prices, terms, costs, buffers)
    free = terms.topk - accounts.totals[a, HELD] + accounts.totals[a, ORDERS]
    n_best = find_candidates(a, fused, tradable, free + terms.n_drop, buffers)
    for slot in range(accounts.totals[a, HELD]):
        fused.rough[accounts.slot_instrument[a, slot]] = buffers.slot_rough[slot]
    replaceable = max(n_best - free, 0)
    proceeds += _sell_weakest(accounts, a, fused, n_best, replaceable, tradable, prices, terms, costs, buffers)
    free = terms.topk - accounts.totals[a, HELD] + accounts.totals[a, ORDERS]
    buy_best(accounts, a, value, proceeds, min(free, n_best), prices, terms, costs, buffers)
