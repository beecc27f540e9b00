"""The rule of TopK-Drop, corrected, compiled.

Semantics, in the order of the code:

1. Holdings without a finite score leave as *orphans* if they may be sold.
2. Candidates are the best instruments not held, with a finite score and tradable at the decision: as many as there
   are free places plus `n_drop`. Equal scores rank by instrument code.
3. Holdings among the weakest `n_drop` of ranked holdings and candidates together are dropped, worst first, unless
   they are too young or cannot trade. Nothing is sold for a candidate that ranks below it, nor without a candidate
   to take its place (unless more than `topk` are held).
4. Free places are filled with the best candidates, each with the same budget (`placing.budget_per_buy`).

Portfolio rules change who is a candidate, what must go and how much may be traded: see
:mod:`~quant_pipeline.strategy.portfolio_rules`.

Qlib's ``TopkDropoutStrategy`` differs where its behaviour hurts a trader; see ``docs/concepts/strategy.md``.
"""

from __future__ import annotations

import numpy as np

from quant_pipeline.common.compiled import inlined, inner
from quant_pipeline.exchange.account_arrays import HELD, ORDERS, sessions_held
from quant_pipeline.strategy.fused_scores import fused_below
from quant_pipeline.strategy.placing import (
    UNBOUNDED,
    Decision,
    buy_best,
    insert_by_code,
    obstacle_to_sale,
    sell_slot,
    sell_slots,
    turnover_left,
)
from quant_pipeline.strategy.portfolio_rules import admit_all, keep_eligible, list_refused, refuse_candidates
from quant_pipeline.strategy.ranking import find_candidates, find_worst_slots
from quant_pipeline.strategy.reasons import (
    KEEP,
    KEEP_TURNOVER,
    KEEP_UNSCORED,
    SELL_BLACKLISTED,
    SELL_DROPPED,
    SELL_ORPHAN,
)


@inlined
def _sell_orphans(decision: Decision) -> int:
    """Take the rough scores of the holdings out, order the sale of orphans by code, return the proceeds.

    Blacklisted holdings are orphans whatever their score; they are no candidates, so their scores stay where they are.
    """
    accounts, a, buffers, terms = decision.accounts, decision.a, decision.buffers, decision.terms
    rough = decision.fused.rough
    n_orphans = np.int64(0)
    for slot in range(accounts.totals[a, HELD]):
        instrument = accounts.slot_instrument[a, slot]
        score = rough[instrument]
        is_banned = terms.portfolio.is_bound != 0 and terms.portfolio.banned[instrument]
        if is_banned:
            score = np.float32(np.nan)
        else:
            rough[instrument] = np.nan
        buffers.slot_rough[slot] = score
        buffers.slot_decision[slot] = KEEP
        if score == score:
            continue
        if terms.sell_orphans == 0 and not is_banned:
            buffers.slot_decision[slot] = KEEP_UNSCORED
            continue
        obstacle = obstacle_to_sale(sessions_held(accounts, a, slot), decision.tradable[instrument], terms)
        reason = SELL_BLACKLISTED if is_banned else SELL_ORPHAN
        buffers.slot_decision[slot] = reason if obstacle == KEEP else obstacle
        if obstacle == KEEP:
            insert_by_code(decision, slot, n_orphans)
            n_orphans += 1
    return sell_slots(decision, n_orphans)


@inlined
def _sell_weakest(decision: Decision, n_best: int, most_sales: int, room: int) -> int:
    """Order the sale of the weakest holdings, worst first, and return the estimated net proceeds.

    What is sold is worth no more than `room` ticks; a holding that does not fit is passed over.
    """
    accounts, a, fused, buffers = decision.accounts, decision.a, decision.fused, decision.buffers
    terms = decision.terms
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
        obstacle = obstacle_to_sale(sessions_held(accounts, a, slot), decision.tradable[instrument], terms)
        worth = accounts.slot_shares[a, slot] * decision.prices[instrument]
        if obstacle == KEEP and worth > room:
            obstacle = KEEP_TURNOVER
        if obstacle == KEEP:
            n_sold += 1
            room -= worth
            proceeds += sell_slot(decision, slot, SELL_DROPPED)
        else:
            buffers.slot_decision[slot] = obstacle
    return proceeds


@inlined
def _restore_scores(decision: Decision) -> None:
    """Write the rough scores of the holdings back."""
    accounts, a, buffers = decision.accounts, decision.a, decision.buffers
    for slot in range(accounts.totals[a, HELD]):
        score = buffers.slot_rough[slot]
        if score == score:
            decision.fused.rough[accounts.slot_instrument[a, slot]] = score


@inlined
def decide_topk_drop(decision: Decision) -> None:
    """Replace the pending orders of an account by those of a new decision."""
    accounts, a, fused, buffers = decision.accounts, decision.a, decision.fused, decision.buffers
    terms = decision.terms
    accounts.totals[a, ORDERS] = 0
    if terms.portfolio.is_bound != 0:
        _decide_under_rules(decision)
        return
    proceeds = _sell_orphans(decision)
    free = terms.topk - accounts.totals[a, HELD] + accounts.totals[a, ORDERS]
    n_best = find_candidates(a, fused, decision.tradable, free + terms.n_drop, buffers)
    _restore_scores(decision)
    proceeds += _sell_weakest(decision, n_best, max(n_best - free, 0), np.int64(UNBOUNDED))
    free = terms.topk - accounts.totals[a, HELD] + accounts.totals[a, ORDERS]
    buy_best(decision, proceeds, min(free, n_best))


@inner
def _decide_under_rules(decision: Decision) -> None:
    """Decide as without rules, again and again with fewer candidates, until every place is filled that can be."""
    accounts, a, fused, buffers = decision.accounts, decision.a, decision.fused, decision.buffers
    terms = decision.terms
    admit_all(decision)
    of_orphans = _sell_orphans(decision)
    n_orphans = accounts.totals[a, ORDERS]
    room = turnover_left(decision) // 2
    while True:
        free = terms.topk - accounts.totals[a, HELD] + accounts.totals[a, ORDERS]
        n_best = find_candidates(a, fused, buffers.eligible, free + terms.n_drop, buffers)
        proceeds = of_orphans + _sell_weakest(decision, n_best, max(n_best - free, 0), room)
        free = terms.topk - accounts.totals[a, HELD] + accounts.totals[a, ORDERS]
        if not refuse_candidates(decision, n_best, free):
            break
        accounts.totals[a, ORDERS] = n_orphans
        for slot in range(accounts.totals[a, HELD]):
            if buffers.slot_rough[slot] == buffers.slot_rough[slot]:
                buffers.slot_decision[slot] = KEEP
    _restore_scores(decision)
    buy_best(decision, proceeds, keep_eligible(decision, n_best, free))
    list_refused(decision)
