"""Sizing and placing orders, compiled: what every decision shares."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from quant_pipeline.common.compiled import inlined, shared
from quant_pipeline.exchange.account_arrays import CASH, ORDERS, AccountArrays
from quant_pipeline.exchange.costs import CostTerms, sell_fee, value_in_ticks
from quant_pipeline.exchange.dated_rules import DEGREE_UNITS
from quant_pipeline.exchange.lots import whole_lots
from quant_pipeline.exchange.purchases import affordable_shares, whole_quotient
from quant_pipeline.strategy.fused_scores import FusedScores
from quant_pipeline.strategy.portfolio_terms import NO_LIMIT
from quant_pipeline.strategy.ranking import DecisionBuffers
from quant_pipeline.strategy.reasons import (
    BUY_RANKED,
    KEEP,
    KEEP_UNTRADABLE,
    KEEP_YOUNG,
    SKIP_BELOW_LOT,
    SKIP_SMALL,
    SKIP_TURNOVER,
)
from quant_pipeline.strategy.terms import StrategyTerms

UNBOUNDED = 2**62
"""Ticks that no account has."""


class Decision(NamedTuple):
    """What one account decides on at the close of a session.

    ``a`` is its row of ``accounts`` and ``value`` its net asset value in ticks; ``fused`` are the scores of the session
    (the rough ones are changed on the way and restored), ``tradable`` says which instruments have a bar in it,
    ``prices`` are the last known closes in ticks, ``preferences`` multiply target weights: ones, or what past returns
    give; NaN or 0 is no weight. ``terms`` and ``costs`` are the rules. ``buffers`` is scratch space, whose
    ``slot_decision`` explains the holdings afterwards.
    """

    accounts: AccountArrays
    a: int
    value: int
    fused: FusedScores
    tradable: npt.NDArray[np.bool_]
    prices: npt.NDArray[np.int64]
    preferences: npt.NDArray[np.float64]
    terms: StrategyTerms
    costs: CostTerms
    buffers: DecisionBuffers


@inlined
def place_order(accounts: AccountArrays, a: int, instrument: int, shares: int, reason: int) -> None:
    """Append an order to the pending ones: positive shares buy, negative ones sell."""
    order = accounts.totals[a, ORDERS]
    accounts.order_instrument[a, order] = instrument
    accounts.order_shares[a, order] = shares
    accounts.order_reason[a, order] = reason
    accounts.totals[a, ORDERS] = order + 1


@inlined
def sell_slot(decision: Decision, slot: int, reason: int) -> int:
    """Order the sale of a whole holding and return its estimated net proceeds."""
    accounts, a = decision.accounts, decision.a
    shares, instrument = accounts.slot_shares[a, slot], accounts.slot_instrument[a, slot]
    decision.buffers.slot_decision[slot] = reason
    place_order(accounts, a, instrument, -shares, reason)
    price = decision.prices[instrument]
    return value_in_ticks(shares, price) - sell_fee(shares, price, decision.costs)


@inlined
def insert_by_code(decision: Decision, slot: int, found: int) -> None:
    """Insert a holding into the `found` first of ``buffers.worst``, which are ordered by instrument code."""
    worst, instruments = decision.buffers.worst, decision.accounts.slot_instrument[decision.a]
    index = found
    while index > 0 and instruments[worst[index - 1]] > instruments[slot]:
        worst[index] = worst[index - 1]
        index -= 1
    worst[index] = slot


@inlined
def sell_slots(decision: Decision, n_slots: int) -> int:
    """Order the sales of the first of ``buffers.worst`` and return the estimated net proceeds.

    Each is sold for the reason that its ``slot_decision`` gives.
    """
    proceeds = 0
    for i in range(n_slots):
        slot = decision.buffers.worst[i]
        proceeds += sell_slot(decision, slot, decision.buffers.slot_decision[slot])
    return proceeds


@inlined
def obstacle_to_sale(sessions: int, is_tradable: bool, terms: StrategyTerms) -> int:
    """Reason why a holding that should go has to stay, KEEP if there is none."""
    if not is_tradable:
        return KEEP_UNTRADABLE
    if sessions < terms.hold_threshold:
        return KEEP_YOUNG
    return KEEP


@shared
def budget_per_buy(available: int, net_asset_value: int, risk_degree: int, n_buys: int, topk: int) -> int:
    """Ticks one buy may spend, its fee included.

    Parameters
    ----------
    available
        Cash plus the estimated net proceeds of the decision's sales, ticks.
    net_asset_value
        Value of the account at the decision, ticks.
    risk_degree
        Part to invest, in basis points.
    n_buys
        Number of buys of the decision, positive.
    topk
        Number of positions of a full portfolio.

    Returns
    -------
    int
        The smaller of an equal share of the available cash and an equal share of the whole account. The second keeps
        a decision that finds much cash and few names from betting it all on them.
    """
    if available <= 0 or net_asset_value <= 0:
        return 0
    return min(
        whole_quotient(available * risk_degree // DEGREE_UNITS, n_buys),
        whole_quotient(net_asset_value * risk_degree // DEGREE_UNITS, topk),
    )


@inlined
def part_of_value(value: int, basis_points: int) -> int:
    """Ticks of a part of the net asset value, without bound where the part is no limit."""
    return UNBOUNDED if basis_points == NO_LIMIT else max(value, 0) * basis_points // DEGREE_UNITS


@inlined
def turnover_left(decision: Decision) -> int:
    """Ticks that the decision may still trade after the sales that it has ordered; nothing has been bought yet."""
    accounts, a = decision.accounts, decision.a
    left = part_of_value(decision.value, decision.terms.portfolio.max_turnover)
    if left == UNBOUNDED:
        return left
    for order in range(accounts.totals[a, ORDERS]):
        left += accounts.order_shares[a, order] * decision.prices[accounts.order_instrument[a, order]]
    return max(left, 0)


@inlined
def largest_position(decision: Decision) -> int:
    """Ticks of a full position: what a buy may spend at most."""
    terms = decision.terms
    invested = max(decision.value, 0) * terms.risk_degree // DEGREE_UNITS
    return min(whole_quotient(invested, terms.topk), part_of_value(decision.value, terms.portfolio.max_position))


@inlined
def buy_best(decision: Decision, proceeds: int, n_buys: int) -> None:
    """Order the first `n_buys` of ``buffers.best`` with equal budgets; one below a lot is an order of 0 shares.

    The last of them are left out where the turnover of the decision does not allow all, or where the cash gives them
    less than the smallest position that is wanted.
    """
    if n_buys <= 0:
        return
    accounts, a, terms = decision.accounts, decision.a, decision.terms
    available = accounts.totals[a, CASH] + proceeds
    budget = budget_per_buy(available, decision.value, terms.risk_degree, n_buys, terms.topk)
    n_bought = n_buys
    reason = SKIP_BELOW_LOT
    if terms.portfolio.is_bound != 0:
        room, largest = turnover_left(decision), largest_position(decision)
        smallest = max(part_of_value(decision.value, max(terms.portfolio.min_position, 0)), 0)
        while n_bought > 0:
            budget = budget_per_buy(available, decision.value, terms.risk_degree, n_bought, terms.topk)
            budget = min(budget, largest)
            if n_bought * budget <= room and budget >= smallest:
                break
            reason = SKIP_SMALL if budget < smallest else SKIP_TURNOVER
            n_bought -= 1
    for i in range(n_bought):
        instrument = decision.buffers.best[i]
        fewest, step = terms.lots.fewest[instrument], terms.lots.step[instrument]
        shares = affordable_shares(budget, decision.prices[instrument], step, decision.costs)
        shares = whole_lots(shares, fewest, step)
        place_order(accounts, a, instrument, shares, BUY_RANKED if shares > 0 else SKIP_BELOW_LOT)
    for i in range(n_bought, n_buys):
        place_order(accounts, a, decision.buffers.best[i], 0, reason)
