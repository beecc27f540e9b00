"""Bringing a whole portfolio to its target weights, compiled: sales first, then buys by rank."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from quant_pipeline.common.compiled import inner
from quant_pipeline.exchange.account_arrays import CASH, HELD, NOT_HELD, ORDERS, AccountArrays, sessions_held
from quant_pipeline.exchange.costs import sell_fee, value_in_ticks
from quant_pipeline.exchange.dated_rules import DEGREE_UNITS
from quant_pipeline.exchange.lots import sellable_shares, whole_lots
from quant_pipeline.exchange.purchases import affordable_shares, purchase_cost
from quant_pipeline.strategy.fused_scores import exact_score
from quant_pipeline.strategy.placing import UNBOUNDED, Decision, part_of_value, place_order, turnover_left
from quant_pipeline.strategy.portfolio_rules import count_groups, fit_weights, is_sold_whole
from quant_pipeline.strategy.portfolio_terms import NO_LIMIT
from quant_pipeline.strategy.ranking import DecisionBuffers
from quant_pipeline.strategy.reasons import (
    BUY_RAISED,
    BUY_RANKED,
    KEEP,
    SELL_DROPPED,
    SELL_TRIMMED,
    SKIP_BELOW_LOT,
    SKIP_SECTOR,
    SKIP_SMALL,
    SKIP_TURNOVER,
)
from quant_pipeline.strategy.terms import BY_SCORE
from quant_pipeline.strategy.weights import cap_weights

_ROUNDING = 1e-9
"""Part of a share that a weight's rounding may take: six elevenths of 1,100 shares are 600, not 599."""


@inner
def bring_to_weights(decision: Decision, proceeds: int, n_chosen: int) -> None:
    """Order what brings the chosen instruments to their weights: sales first, then buys by rank."""
    accounts, a, value, terms = decision.accounts, decision.a, decision.value, decision.terms
    is_bound = terms.portfolio.is_bound != 0
    weights = decision.buffers.weights
    for i in range(n_chosen):
        instrument = decision.buffers.best[i]
        weight = decision.preferences[instrument]
        if terms.weighting == BY_SCORE:
            weight *= max(exact_score(decision.fused, instrument), 0.0)
        weights[i] = weight if weight > 0.0 and weight < np.inf else 0.0
    invested = value * terms.risk_degree // DEGREE_UNITS - _stuck_value(accounts, a, decision.prices, decision.buffers)
    invested = max(invested, 0)
    if is_bound:
        fit_weights(decision, n_chosen, invested)
    else:
        cap_weights(weights, n_chosen, terms.max_weight)
    _compare_with_targets(decision, n_chosen, invested)
    if is_bound and terms.portfolio.max_turnover != NO_LIMIT:
        _spare_surplus(decision, n_chosen)
    proceeds += _sell_surplus(decision, n_chosen)
    _buy_missing(decision, n_chosen, accounts.totals[a, CASH] + proceeds)


@inner
def _compare_with_targets(decision: Decision, n_chosen: int, invested: int) -> None:
    """Write what each of the chosen lacks, and what it has too much of and may sell."""
    accounts, a, prices, terms, buffers = (
        decision.accounts,
        decision.a,
        decision.prices,
        decision.terms,
        decision.buffers,
    )
    least = terms.min_trade * decision.value
    largest = part_of_value(decision.value, terms.portfolio.max_position)
    for i in range(n_chosen):
        instrument = buffers.best[i]
        whole = int(invested * buffers.weights[i] / prices[instrument] + _ROUNDING)
        fewest, step = terms.lots.fewest[instrument], terms.lots.step[instrument]
        wanted = whole_lots(min(whole, largest // prices[instrument]), fewest, step)
        slot = accounts.slot_of[a, instrument]
        held = accounts.slot_shares[a, slot] if slot != NOT_HELD else 0
        buffers.wanted_shares[i] = wanted - held
        surplus = max(sellable_shares(held - wanted, held, fewest, step), 0)
        is_left = surplus * prices[instrument] < least
        if surplus > 0 and sessions_held(accounts, a, slot) < terms.hold_threshold:
            is_left = True
        buffers.surplus_shares[i] = 0 if is_left else surplus


@inner
def _spare_surplus(decision: Decision, n_chosen: int) -> None:
    """Cut sales to half of the turnover that is left, the best-ranked first."""
    accounts, a, buffers, lots = decision.accounts, decision.a, decision.buffers, decision.terms.lots
    room = part_of_value(decision.value, decision.terms.portfolio.max_turnover)
    of_leavers = 0
    for order in range(accounts.totals[a, ORDERS]):
        worth = accounts.order_shares[a, order] * decision.prices[accounts.order_instrument[a, order]]
        if accounts.order_reason[a, order] == SELL_DROPPED:
            of_leavers -= worth
        else:
            room += worth
    room = max(room, 0) // 2 - of_leavers
    for k in range(n_chosen):
        i = n_chosen - 1 - k
        instrument = buffers.best[i]
        price = decision.prices[instrument]
        if buffers.surplus_shares[i] > 0:
            held = accounts.slot_shares[a, accounts.slot_of[a, instrument]]
            most = min(buffers.surplus_shares[i], max(room, 0) // price)
            fewest, step = lots.fewest[instrument], lots.step[instrument]
            buffers.surplus_shares[i] = max(sellable_shares(most, held, fewest, step), 0)
            room -= buffers.surplus_shares[i] * price


@inner
def _sell_surplus(decision: Decision, n_chosen: int) -> int:
    """Order the sales of what the chosen have too much of, by rank, and return the estimated net proceeds."""
    accounts, a, buffers = decision.accounts, decision.a, decision.buffers
    proceeds = 0
    for i in range(n_chosen):
        instrument = buffers.best[i]
        surplus, price = buffers.surplus_shares[i], decision.prices[instrument]
        if surplus > 0:
            buffers.slot_decision[accounts.slot_of[a, instrument]] = SELL_TRIMMED
            place_order(accounts, a, instrument, -surplus, SELL_TRIMMED)
            proceeds += value_in_ticks(surplus, price) - sell_fee(surplus, price, decision.costs)
    return proceeds


@inner
def _buy_missing(decision: Decision, n_chosen: int, available: int) -> None:
    """Order the buys of what the chosen lack, by rank, as far as cash and rules let them."""
    accounts, a, terms, buffers = decision.accounts, decision.a, decision.terms, decision.buffers
    costs, rules = decision.costs, decision.terms.portfolio
    least = terms.min_trade * decision.value
    room, of_sector, smallest = UNBOUNDED, UNBOUNDED, 0
    if rules.is_bound != 0:
        count_groups(decision)
        room = turnover_left(decision)
        of_sector = part_of_value(decision.value, rules.max_sector)
        smallest = part_of_value(decision.value, max(rules.min_position, 0))
    for i in range(n_chosen):
        instrument = buffers.best[i]
        price = decision.prices[instrument]
        is_new = accounts.slot_of[a, instrument] == NOT_HELD
        missing = buffers.wanted_shares[i]
        if missing < 0 or (not is_new and (missing == 0 or missing * price < least)):
            continue
        fewest, step = terms.lots.fewest[instrument], terms.lots.step[instrument]
        reason = BUY_RANKED if is_new else BUY_RAISED
        refusal = SKIP_BELOW_LOT
        if rules.is_bound != 0:
            if rules.barred[instrument]:
                continue
            free = of_sector - buffers.sector_value[rules.sector[instrument]]
            if min(free, room) // price < missing:
                missing = max(min(free, room), 0) // price
                refusal = SKIP_SECTOR if free < room else SKIP_TURNOVER
        shares = whole_lots(min(missing, affordable_shares(available, price, step, costs)), fewest, step)
        if is_new and smallest > 0 and (shares + step) * price <= smallest:
            shares, refusal = 0, SKIP_SMALL
        available -= purchase_cost(shares, price, costs)
        if rules.is_bound != 0:
            room -= shares * price
            buffers.sector_value[rules.sector[instrument]] += shares * price
        if shares > 0:
            place_order(accounts, a, instrument, shares, reason)
        elif is_new:
            place_order(accounts, a, instrument, 0, refusal)


@inner
def _stuck_value(accounts: AccountArrays, a: int, prices: npt.NDArray[np.int64], buffers: DecisionBuffers) -> int:
    """Value of the holdings that stay although their rank does not ask for it."""
    value = 0
    for slot in range(accounts.totals[a, HELD]):
        decision = buffers.slot_decision[slot]
        if decision != KEEP and not is_sold_whole(decision):
            value += accounts.slot_shares[a, slot] * prices[accounts.slot_instrument[a, slot]]
    return value
