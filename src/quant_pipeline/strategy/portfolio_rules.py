"""What a portfolio may hold, compiled: lists of names, sectors, companies, sizes and the turnover of a decision.

The rules bind what is bought; of what is held, only the blacklist sells. Semantics, the same for every method:

1. *Lists.* A blacklisted holding is sold whole as soon as it can be, as an orphan is; a name on blacklist or watchlist
   is never bought. On the watchlist it may be held and sold.
2. *Sectors and companies.* The free places go to the best candidates, one after the other. A candidate is refused
   while a full position of it would lift its sector above the cap (values at the decision's prices, after its sales),
   or while another listing of its company stays or has been chosen. Where a place stays empty because of a refusal,
   everything is decided again as if the refused could not be traded, until none does: the next candidates move up, and
   nothing is sold to make room for a candidate that is not bought.
3. *Turnover* is the value of all sales and buys at the decision's prices. Orphans and blacklisted holdings are sold
   beyond any budget, and count. Half of what they leave is for sales by rank, worst first; one that does not fit is
   passed over, and its holding stays. The rest is for buys, best first: whole or not at all, but for target weights,
   which are cut to what is left.
4. *Sizes.* No buy lifts a position above its largest weight. None opens one below the smallest weight, to within a lot:
   where there is too little money for all, the worst-ranked are left out.

Rules that bind nothing change nothing. Sectors and companies are those of today, in a backtest too.
"""

from __future__ import annotations

import numpy as np

from quant_pipeline.common.compiled import inlined, inner
from quant_pipeline.exchange.account_arrays import HELD, NOT_HELD, ORDERS
from quant_pipeline.strategy.fused_scores import fused_below
from quant_pipeline.strategy.placing import Decision, largest_position, part_of_value, place_order
from quant_pipeline.strategy.reasons import (
    KEEP_TURNOVER,
    SELL_BLACKLISTED,
    SELL_DROPPED,
    SELL_ORPHAN,
    SELL_TRIMMED,
    SKIP_COMPANY,
    SKIP_SECTOR,
)
from quant_pipeline.strategy.weights import cap_weights

_HALF_A_TICK = 0.5


@inlined
def is_sold_whole(reason: int) -> bool:
    """Whether the reason of a holding is one for which all of it is sold."""
    return reason in (SELL_DROPPED, SELL_ORPHAN, SELL_BLACKLISTED)


@inner
def admit_all(decision: Decision) -> None:
    """Begin a decision under rules: whatever can be traded is eligible, but for what a list bars."""
    accounts, a, buffers, rules = decision.accounts, decision.a, decision.buffers, decision.terms.portfolio
    for j in range(decision.tradable.size):
        may_stay = not rules.banned[j] and (accounts.slot_of[a, j] != NOT_HELD or not rules.barred[j])
        buffers.eligible[j] = decision.tradable[j] and may_stay
        buffers.refusal[j] = 0


@inner
def count_groups(decision: Decision) -> None:
    """Value every sector and count the listings of every company that stay after the sales decided so far."""
    accounts, a, buffers, rules = decision.accounts, decision.a, decision.buffers, decision.terms.portfolio
    for j in range(decision.tradable.size):
        buffers.sector_value[j] = 0
        buffers.company_held[j] = 0
    for slot in range(accounts.totals[a, HELD]):
        if is_sold_whole(buffers.slot_decision[slot]):
            continue
        j = accounts.slot_instrument[a, slot]
        buffers.sector_value[rules.sector[j]] += accounts.slot_shares[a, slot] * decision.prices[j]
        buffers.company_held[rules.company[j]] += 1
    for order in range(accounts.totals[a, ORDERS]):
        if accounts.order_reason[a, order] == SELL_TRIMMED:
            j = accounts.order_instrument[a, order]
            buffers.sector_value[rules.sector[j]] += accounts.order_shares[a, order] * decision.prices[j]


@inner
def refuse_candidates(decision: Decision, n_best: int, places: int) -> bool:
    """Refuse what sectors and companies have no room for, and return whether a place stays empty because of it.

    Parameters
    ----------
    decision
        Whose ``slot_decision`` says what is sold.
    n_best, places
        How many of ``buffers.best`` are candidates or holdings, and how many of them may be bought. Those refused are
        not eligible afterwards.
    """
    accounts, a, buffers, rules = decision.accounts, decision.a, decision.buffers, decision.terms.portfolio
    count_groups(decision)
    most = part_of_value(decision.value, rules.max_sector)
    position = largest_position(decision)
    n_refused = 0
    for i in range(n_best):
        j = buffers.best[i]
        if places <= 0:
            break
        if accounts.slot_of[a, j] != NOT_HELD:
            continue
        if buffers.company_held[rules.company[j]] > 0:
            buffers.refusal[j] = SKIP_COMPANY
        elif buffers.sector_value[rules.sector[j]] + position > most:
            buffers.refusal[j] = SKIP_SECTOR
        else:
            buffers.sector_value[rules.sector[j]] += position
            buffers.company_held[rules.company[j]] += 1
            places -= 1
            continue
        buffers.eligible[j] = False
        n_refused += 1
    return n_refused > 0 and places > 0


@inner
def keep_eligible(decision: Decision, n_best: int, wanted: int) -> int:
    """Move the first `wanted` of ``buffers.best`` that are eligible to the front; return how many there are."""
    best, eligible = decision.buffers.best, decision.buffers.eligible
    found = 0
    for i in range(n_best):
        if found < wanted and eligible[best[i]]:
            best[found] = best[i]
            found += 1
    return found


@inner
def list_refused(decision: Decision) -> None:
    """Append an order of 0 shares for every candidate that was refused, with the reason."""
    refusal = decision.buffers.refusal
    for j in range(refusal.size):
        if refusal[j] != 0:
            place_order(decision.accounts, decision.a, j, 0, refusal[j])


@inner
def spare_leavers(decision: Decision) -> None:
    """Keep the leavers that the turnover has no room for: the best of those that rank decides about."""
    accounts, a, buffers = decision.accounts, decision.a, decision.buffers
    room = part_of_value(decision.value, decision.terms.portfolio.max_turnover)
    n = np.int64(0)
    for slot in range(accounts.totals[a, HELD]):
        reason = buffers.slot_decision[slot]
        if reason == SELL_DROPPED:
            _insert_by_rank(decision, slot, n)
            n += 1
        elif is_sold_whole(reason):
            room -= accounts.slot_shares[a, slot] * decision.prices[accounts.slot_instrument[a, slot]]
    room = max(room, 0) // 2
    for i in range(n):
        slot = buffers.worst[i]
        worth = accounts.slot_shares[a, slot] * decision.prices[accounts.slot_instrument[a, slot]]
        if worth > room:
            buffers.slot_decision[slot] = KEEP_TURNOVER
        else:
            room -= worth


@inlined
def _insert_by_rank(decision: Decision, slot: int, found: int) -> None:
    """Insert a holding into the `found` first of ``buffers.worst``, worst first."""
    worst, instruments = decision.buffers.worst, decision.accounts.slot_instrument[decision.a]
    fused, own = decision.fused, instruments[slot]
    index = found
    while index > 0 and fused_below(
        fused, fused.rough[own], own, fused.rough[instruments[worst[index - 1]]], instruments[worst[index - 1]]
    ):
        worst[index] = worst[index - 1]
        index -= 1
    worst[index] = slot


@inner
def fit_weights(decision: Decision, n_chosen: int, invested: int) -> None:
    """Scale the first `n_chosen` of ``buffers.weights`` so that no position is above the largest or below the smallest.

    Those below the smallest get nothing, one after the other: the smallest weight first, of equal ones the last.
    """
    weights, wished, rules = decision.buffers.weights, decision.buffers.wished_weights, decision.terms.portfolio
    largest = decision.terms.max_weight
    if rules.max_position >= 0 and invested > 0:
        largest = min(largest, part_of_value(decision.value, rules.max_position) / invested)
    smallest = part_of_value(decision.value, max(rules.min_position, 0)) - _HALF_A_TICK
    for i in range(n_chosen):
        wished[i] = weights[i]
    while True:
        cap_weights(weights, n_chosen, largest)
        last = -1
        lowest = np.inf
        for i in range(n_chosen):
            if wished[i] > 0.0 and weights[i] * invested < smallest and weights[i] <= lowest:
                last = i
                lowest = weights[i]
        if last < 0:
            break
        wished[last] = 0.0
        for i in range(n_chosen):
            weights[i] = wished[i]
