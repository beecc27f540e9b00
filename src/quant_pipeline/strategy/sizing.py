"""How many shares: budgets per buy and the largest affordable quantity, fee reserved."""

from __future__ import annotations

from quant_pipeline.common.compiled import inlined
from quant_pipeline.exchange.dated_rules import DEGREE_UNITS
from quant_pipeline.exchange.purchases import whole_quotient


@inlined
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
