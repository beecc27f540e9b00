"""The largest quantity that an amount of money buys, fee included."""

from __future__ import annotations

from quant_pipeline.common.compiled import inlined, shared
from quant_pipeline.exchange.costs import CostTerms, buy_fee, value_in_ticks
from quant_pipeline.exchange.dated_rules import RATE_UNITS

MAX_FEE_UNITS = 9_000_000_000_000_000_000
"""Largest commission and tax of a purchase in ticks times rate units, 90 million: below 2^63, with room for more."""


@inlined
def whole_quotient(amount: int, divisor: int) -> int:
    """Divide two positive integers below 2^53, rounding down: exact, and much faster than an integer division."""
    quotient = int(amount / divisor)
    return quotient - 1 if quotient * divisor > amount else quotient


@shared
def affordable_shares(budget: int, price: int, lot: int, costs: CostTerms) -> int:
    """Return the largest whole number of lots, in shares, whose value and fee fit into a budget.

    It ends where the fee can no longer be counted, which only a fee per share at a fraction of a cent comes to.

    Parameters
    ----------
    budget
        Ticks that may be spent.
    price
        Ticks per share.
    lot
        Shares per lot.
    costs
        Cost terms; slippage is not included here, `price` already carries it where it is known.
    """
    if budget <= 0 or price <= 0:
        return 0
    # Fees grow with the quantity, or are the minimum; solved without rounding, both together miss by a lot or two.
    minimum = whole_quotient(costs.min_commission, RATE_UNITS)
    taxed = price * (1.0 + costs.buy_tax_rate / RATE_UNITS)
    unit = price * (1.0 + (costs.buy_rate + costs.buy_tax_rate) / RATE_UNITS) + costs.per_share / RATE_UNITS
    charged = price * (costs.buy_rate + costs.buy_tax_rate) + costs.per_share
    countable = max(MAX_FEE_UNITS - costs.earlier.commission, 0) / max(charged, 1)
    lots = int(min(budget / unit, max(budget - minimum, 0) / taxed, countable))
    if lot > 1:
        lots //= lot
    while lots > 0 and purchase_cost(lots * lot, price, costs) > budget:
        lots -= 1
    while (lots + 1) * lot <= countable and purchase_cost((lots + 1) * lot, price, costs) <= budget:
        lots += 1
    return lots * lot


@inlined
def purchase_cost(shares: int, price: int, costs: CostTerms) -> int:
    """Value and fee of a purchase, each in whole cents, in ticks."""
    return value_in_ticks(shares, price) + buy_fee(shares, price, costs)
