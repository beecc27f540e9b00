"""Pre-trade risk: every order passes the same checks in the same order; every denial states value and limit.

The checks follow SEC rule 15c3-5 (17 CFR 240.15c3-5): authority, age of the data, instrument, duplicates, price,
size, position, exposure, cash, rate. Sales must be exits of what is held; they are not held against the limits of
positions, because they make them smaller, and the refusal of a plan stops buys alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from quant_pipeline.trading.ledger.events import Order
from quant_pipeline.trading.orders.risk_checks import (
    Candidate,
    Tally,
    as_decimal,
    check_order,
    old_trade,
    unknown_price,
    wrong_price,
)
from quant_pipeline.trading.orders.risk_limits import RiskLimits
from quant_pipeline.trading.orders.risk_view import (
    DenialCode,
    InstrumentView,
    RiskView,
    Standing,
    TradingState,
    Verdict,
)

# Denials that follow from the state of the account; they say nothing about the plan. A limit of turnover spreads a
# large change over sessions.
_OF_THE_ACCOUNT = frozenset(
    {
        DenialCode.TRADING_HALTED,
        DenialCode.REDUCE_ONLY,
        DenialCode.DAILY_LOSS,
        DenialCode.DRAWDOWN,
        DenialCode.NOT_ARMED,
        DenialCode.CLOCK_SKEW,
        DenialCode.STALE_SIGNAL,
        DenialCode.TURNOVER,
        DenialCode.DAILY_VALUE,
        DenialCode.DAY_TRADES,
        DenialCode.FOREIGN_POSITION,
        DenialCode.CORPORATE_ACTION,
        DenialCode.PLAN_REFUSED,
    }
)


def check_orders(orders: Sequence[Order], view: RiskView, limits: RiskLimits) -> tuple[Verdict, ...]:
    """Judge the orders of a plan one after the other, each as if those approved before it had been filled.

    Parameters
    ----------
    orders
        The plan, sales first.
    view
        The account and the market.
    limits
        The limits.

    Returns
    -------
    tuple of Verdict
        One per order, in their order. When several orders, and more than `max_denied_share` of the plan, are
        denied for what they are, every buy is refused: such a plan is a mistake, and its good half is not trusted
        either. Exits that have passed their own checks go on, because a limit must not block an exit.
    """
    tally = Tally.start(view)
    verdicts = []
    for order in orders:
        verdict = check_order(Candidate(order, view, limits, tally))
        if verdict.approved:
            tally.take(order, view)
        verdicts.append(verdict)
    wrong = sum(1 for verdict in verdicts if verdict.code is not None and verdict.code not in _OF_THE_ACCOUNT)
    if wrong > max(1, limits.max_denied_share * len(verdicts)):
        share = f"{wrong} of {len(verdicts)} orders denied"
        limit = f"{limits.max_denied_share:.0%}"
        return tuple(
            Verdict(known.order, DenialCode.PLAN_REFUSED, share, limit)
            if known.approved and known.order.side == "buy"
            else known
            for known in verdicts
        )
    return tuple(verdicts)


def check_price(order: Order, facts: InstrumentView, limits: RiskLimits) -> Verdict:
    """Compare an order once more with the price of now, just before it leaves.

    Parameters
    ----------
    order
        An order that has been approved.
    facts
        Its instrument, with the price of now and its age.
    limits
        The limits.
    """
    answer = old_trade(order, facts, limits) or unknown_price(order, facts) or wrong_price(order, facts, limits)
    return Verdict(order) if answer is None else Verdict(order, *answer)


def state_after_losses(standing: Standing, limits: RiskLimits) -> tuple[TradingState, DenialCode] | None:
    """Return whether losses demand a stricter trading state than the account is in.

    Returns
    -------
    tuple or None
        The state and why, or None when the account may stay as it is. A state never becomes laxer automatically.
    """
    if standing.state is TradingState.HALTED or standing.is_flattening:
        return None
    if standing.daily_loss >= as_decimal(limits.hard_daily_loss):
        return TradingState.HALTED, DenialCode.DAILY_LOSS
    if standing.drawdown >= as_decimal(limits.max_drawdown):
        return TradingState.HALTED, DenialCode.DRAWDOWN
    if standing.state is TradingState.ACTIVE and standing.daily_loss >= as_decimal(limits.soft_daily_loss):
        return TradingState.REDUCING, DenialCode.DAILY_LOSS
    return None
