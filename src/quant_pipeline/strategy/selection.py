"""Decisions by rank with a buffer zone, compiled: who stays, who goes, and whole-portfolio target weights.

Semantics, in the order of the code:

1. The best ``topk + buffer`` tradable instruments are ranked, holdings among them.
2. A holding outside that zone is sold whole, by instrument code, unless it is too young or cannot trade; a holding
   without score is an orphan, as in :mod:`~quant_pipeline.strategy.topk_drop`.
3. Free places are filled with the best that are not held.
4. *Buffer zone*: holdings are left as they are, each new one gets the same budget. *Target weights*: everything is
   brought to its weight of what can be invested, sales first, buys by rank and never beyond the cash.

Portfolio rules change who is a candidate, what must go and how much may be traded: see
:mod:`~quant_pipeline.strategy.portfolio_rules`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from quant_pipeline.common.compiled import inner
from quant_pipeline.exchange.account_arrays import HELD, NOT_HELD, ORDERS, sessions_held
from quant_pipeline.strategy.placing import (
    Decision,
    buy_best,
    insert_by_code,
    obstacle_to_sale,
    sell_slots,
)
from quant_pipeline.strategy.portfolio_rules import (
    admit_all,
    is_sold_whole,
    list_refused,
    refuse_candidates,
    spare_leavers,
)
from quant_pipeline.strategy.portfolio_terms import NO_LIMIT
from quant_pipeline.strategy.ranking import find_candidates
from quant_pipeline.strategy.reasons import KEEP, KEEP_UNSCORED, SELL_BLACKLISTED, SELL_DROPPED, SELL_ORPHAN
from quant_pipeline.strategy.target_weights import bring_to_weights
from quant_pipeline.strategy.terms import TARGET_WEIGHTS


@inner
def decide_by_rank(decision: Decision) -> None:
    """Replace the pending orders of an account by those of a new decision."""
    accounts, a, terms, buffers = decision.accounts, decision.a, decision.terms, decision.buffers
    is_bound = terms.portfolio.is_bound != 0
    eligible = buffers.eligible if is_bound else decision.tradable
    accounts.totals[a, ORDERS] = 0
    if is_bound:
        admit_all(decision)
    while True:
        n_best = find_candidates(a, decision.fused, eligible, min(terms.topk + terms.buffer, eligible.size), buffers)
        _settle_holdings(decision, n_best)
        if not is_bound:
            break
        if terms.portfolio.max_turnover != NO_LIMIT:
            spare_leavers(decision)
        if not refuse_candidates(decision, n_best, _free_places(decision)):
            break
    free = max(_free_places(decision), 0)
    proceeds = _sell_leavers(decision)
    n_chosen = _choose(decision, n_best, free, eligible)
    if terms.method == TARGET_WEIGHTS:
        bring_to_weights(decision, proceeds, n_chosen)
    else:
        buy_best(decision, proceeds, n_chosen)
    if is_bound:
        list_refused(decision)


@inner
def _settle_holdings(decision: Decision, n_best: int) -> None:
    """Write what becomes of each holding; KEEP is only for those that stay because of their rank."""
    accounts, a, terms, buffers = decision.accounts, decision.a, decision.terms, decision.buffers
    for slot in range(accounts.totals[a, HELD]):
        instrument = accounts.slot_instrument[a, slot]
        is_banned = terms.portfolio.is_bound != 0 and terms.portfolio.banned[instrument]
        is_orphan = np.isnan(decision.fused.rough[instrument])
        settled = SELL_ORPHAN if is_orphan else SELL_DROPPED
        settled = SELL_BLACKLISTED if is_banned else settled
        if is_orphan and terms.sell_orphans == 0 and not is_banned:
            settled = KEEP_UNSCORED
        else:
            obstacle = obstacle_to_sale(sessions_held(accounts, a, slot), decision.tradable[instrument], terms)
            settled = settled if obstacle == KEEP else obstacle
        buffers.slot_decision[slot] = settled
    n_kept = 0
    for i in range(n_best):
        slot = accounts.slot_of[a, buffers.best[i]]
        if slot != NOT_HELD and n_kept < terms.topk:
            buffers.slot_decision[slot] = KEEP
            n_kept += 1


@inner
def _free_places(decision: Decision) -> int:
    """Places that are free after the sales of whole holdings; negative where more stay than there are places."""
    accounts, a = decision.accounts, decision.a
    n_held = 0
    for slot in range(accounts.totals[a, HELD]):
        n_held += 0 if is_sold_whole(decision.buffers.slot_decision[slot]) else 1
    return decision.terms.topk - n_held


@inner
def _sell_leavers(decision: Decision) -> int:
    """Order the sales of whole holdings by instrument code and return the estimated net proceeds."""
    settled = decision.buffers.slot_decision
    n_leavers = np.int64(0)
    for slot in range(decision.accounts.totals[decision.a, HELD]):
        if is_sold_whole(settled[slot]):
            insert_by_code(decision, slot, n_leavers)
            n_leavers += 1
    return sell_slots(decision, n_leavers)


@inner
def _choose(decision: Decision, n_best: int, n_new: int, eligible: npt.NDArray[np.bool_]) -> int:
    """Move the chosen instruments to the front of ``buffers.best``, by rank, and return their number.

    Chosen are the first `n_new` eligible ones that are not held and, for target weights, the holdings that stay because
    of their rank.
    """
    accounts, a, buffers = decision.accounts, decision.a, decision.buffers
    with_held = decision.terms.method == TARGET_WEIGHTS
    found = 0
    for i in range(n_best):
        instrument = buffers.best[i]
        slot = accounts.slot_of[a, instrument]
        is_chosen = with_held and slot != NOT_HELD and buffers.slot_decision[slot] == KEEP
        if slot == NOT_HELD and n_new > 0 and eligible[instrument]:
            is_chosen = True
            n_new -= 1
        if is_chosen:
            buffers.best[found] = instrument
            found += 1
    return found
