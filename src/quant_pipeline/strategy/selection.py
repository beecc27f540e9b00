"""Decisions by rank with a buffer zone, compiled: who stays, who goes, and whole-portfolio target weights.

Semantics, in the order of the code:

1. The best ``topk + buffer`` tradable instruments are ranked, holdings among them.
2. A holding outside that zone is sold whole, by instrument code, unless it is too young or cannot trade; a holding
   without score is an orphan, as in :mod:`~quant_pipeline.strategy.topk_drop`.
3. Free places are filled with the best that are not held.
4. *Buffer zone*: holdings are left as they are, each new one gets the same budget. *Target weights*: everything is
   brought to its weight of what can be invested, sales first, buys by rank and never beyond the cash.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from quant_pipeline.common.compiled import kernel
from quant_pipeline.exchange.account_arrays import CASH, HELD, NOT_HELD, ORDERS, AccountArrays, sessions_held
from quant_pipeline.exchange.costs import buy_fee, sell_fee
from quant_pipeline.exchange.dated_rules import DEGREE_UNITS
from quant_pipeline.exchange.lots import sellable_shares, whole_lots
from quant_pipeline.exchange.purchases import affordable_shares
from quant_pipeline.strategy.fused_scores import FusedScores, exact_score
from quant_pipeline.strategy.placing import (
    Decision,
    buy_best,
    insert_by_code,
    obstacle_to_sale,
    place_order,
    sell_slots,
)
from quant_pipeline.strategy.ranking import DecisionBuffers, find_candidates
from quant_pipeline.strategy.reasons import (
    BUY_RAISED,
    BUY_RANKED,
    KEEP,
    KEEP_UNSCORED,
    SELL_DROPPED,
    SELL_ORPHAN,
    SELL_TRIMMED,
    SKIP_BELOW_LOT,
)
from quant_pipeline.strategy.terms import BY_SCORE, TARGET_WEIGHTS, StrategyTerms
from quant_pipeline.strategy.weights import cap_weights

_ROUNDING = 1e-9
"""Part of a share that a weight's rounding may take: six elevenths of 1,100 shares are 600, not 599."""


@kernel
def decide_by_rank(decision: Decision) -> None:
    """Replace the pending orders of an account by those of a new decision."""
    accounts, a, tradable, terms = decision.accounts, decision.a, decision.tradable, decision.terms
    buffers = decision.buffers
    accounts.totals[a, ORDERS] = 0
    n_best = find_candidates(a, decision.fused, tradable, min(terms.topk + terms.buffer, tradable.size), buffers)
    _settle_holdings(accounts, a, n_best, decision.fused, tradable, terms, buffers)
    proceeds = _sell_leavers(decision)
    n_held = accounts.totals[a, HELD] - accounts.totals[a, ORDERS]
    free = max(terms.topk - n_held, 0)
    if terms.method == TARGET_WEIGHTS:
        n_chosen = _choose(accounts, a, n_best, free, True, buffers)
        _bring_to_weights(decision, proceeds, n_chosen)
    else:
        n_buys = _choose(accounts, a, n_best, free, False, buffers)
        buy_best(decision, proceeds, n_buys)


@kernel
def _settle_holdings(
    accounts: AccountArrays,
    a: int,
    n_best: int,
    fused: FusedScores,
    tradable: npt.NDArray[np.bool_],
    terms: StrategyTerms,
    buffers: DecisionBuffers,
) -> None:
    """Write what becomes of each holding; KEEP is only for those that stay because of their rank."""
    for slot in range(accounts.totals[a, HELD]):
        instrument = accounts.slot_instrument[a, slot]
        is_orphan = np.isnan(fused.rough[instrument])
        decision = SELL_ORPHAN if is_orphan else SELL_DROPPED
        if is_orphan and terms.sell_orphans == 0:
            decision = KEEP_UNSCORED
        else:
            obstacle = obstacle_to_sale(sessions_held(accounts, a, slot), tradable[instrument], terms)
            decision = decision if obstacle == KEEP else obstacle
        buffers.slot_decision[slot] = decision
    n_kept = 0
    for i in range(n_best):
        slot = accounts.slot_of[a, buffers.best[i]]
        if slot != NOT_HELD and n_kept < terms.topk:
            buffers.slot_decision[slot] = KEEP
            n_kept += 1


@kernel
def _sell_leavers(decision: Decision) -> int:
    """Order the sales of whole holdings by instrument code and return the estimated net proceeds."""
    settled = decision.buffers.slot_decision
    n_leavers = 0
    for slot in range(decision.accounts.totals[decision.a, HELD]):
        if settled[slot] == SELL_ORPHAN or settled[slot] == SELL_DROPPED:
            insert_by_code(decision, slot, n_leavers)
            n_leavers += 1
    return sell_slots(decision, n_leavers)


@kernel
def _choose(accounts: AccountArrays, a: int, n_best: int, n_new: int, with_held: bool, buffers: DecisionBuffers) -> int:
    """Move the chosen instruments to the front of ``buffers.best``, by rank, and return their number.

    Chosen are the first `n_new` that are not held and, if `with_held`, the holdings that stay because of their rank.
    """
    found = 0
    for i in range(n_best):
        instrument = buffers.best[i]
        slot = accounts.slot_of[a, instrument]
        is_chosen = with_held and slot != NOT_HELD and buffers.slot_decision[slot] == KEEP
        if slot == NOT_HELD and n_new > 0:
            is_chosen = True
            n_new -= 1
        if is_chosen:
            buffers.best[found] = instrument
            found += 1
    return found


@kernel
def _bring_to_weights(decision: Decision, proceeds: int, n_chosen: int) -> None:
    """Order what brings the chosen instruments to their weights: sales first, then buys by rank."""
    accounts, a, value, prices = decision.accounts, decision.a, decision.value, decision.prices
    terms, costs, buffers = decision.terms, decision.costs, decision.buffers
    weights = buffers.weights
    for i in range(n_chosen):
        instrument = buffers.best[i]
        weight = decision.preferences[instrument]
        if terms.weighting == BY_SCORE:
            weight *= max(exact_score(decision.fused, instrument), 0.0)
        weights[i] = weight if weight > 0.0 and weight < np.inf else 0.0
    cap_weights(weights, n_chosen, terms.max_weight)
    invested = value * terms.risk_degree // DEGREE_UNITS - _stuck_value(accounts, a, prices, buffers)
    least = terms.min_trade * value
    for i in range(n_chosen):
        instrument = buffers.best[i]
        whole = int(max(invested, 0) * weights[i] / prices[instrument] + _ROUNDING)
        fewest, step = terms.lots.fewest[instrument], terms.lots.step[instrument]
        wanted = whole_lots(whole, fewest, step)
        slot = accounts.slot_of[a, instrument]
        held = accounts.slot_shares[a, slot] if slot != NOT_HELD else 0
        buffers.wanted_shares[i] = wanted - held
        surplus = sellable_shares(held - wanted, held, fewest, step)
        if surplus <= 0 or surplus * prices[instrument] < least:
            continue
        if sessions_held(accounts, a, slot) < terms.hold_threshold:
            continue
        buffers.slot_decision[slot] = SELL_TRIMMED
        place_order(accounts, a, instrument, -surplus, SELL_TRIMMED)
        proceeds += surplus * prices[instrument] - sell_fee(surplus, prices[instrument], costs)
    available = accounts.totals[a, CASH] + proceeds
    for i in range(n_chosen):
        instrument = buffers.best[i]
        price = prices[instrument]
        is_new = accounts.slot_of[a, instrument] == NOT_HELD
        missing = buffers.wanted_shares[i]
        if missing < 0 or (not is_new and (missing == 0 or missing * price < least)):
            continue
        fewest, step = terms.lots.fewest[instrument], terms.lots.step[instrument]
        shares = whole_lots(min(missing, affordable_shares(available, price, step, costs)), fewest, step)
        available -= shares * price + buy_fee(shares, price, costs)
        if is_new:
            place_order(accounts, a, instrument, shares, BUY_RANKED if shares > 0 else SKIP_BELOW_LOT)
        elif shares > 0:
            place_order(accounts, a, instrument, shares, BUY_RAISED)


@kernel
def _stuck_value(accounts: AccountArrays, a: int, prices: npt.NDArray[np.int64], buffers: DecisionBuffers) -> int:
    """Value of the holdings that stay although their rank does not ask for it."""
    value = 0
    for slot in range(accounts.totals[a, HELD]):
        decision = buffers.slot_decision[slot]
        if decision != KEEP and decision != SELL_DROPPED and decision != SELL_ORPHAN:
            value += accounts.slot_shares[a, slot] * prices[accounts.slot_instrument[a, slot]]
    return value
