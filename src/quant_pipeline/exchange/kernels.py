"""What an exchange and a custodian do to an account, compiled: fills, corporate actions, interest; outcomes of orders.

The array engine, the event engine and the simulated broker call these kernels; nothing else changes an account.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.common.compiled import inlined, shared
from quant_pipeline.exchange.account_arrays import (
    BOUGHT,
    CASH,
    CLOSES,
    FEES,
    NOT_HELD,
    ORDERS,
    SLIPPAGE,
    SOLD,
    AccountArrays,
    close_slot,
    open_slot,
)
from quant_pipeline.exchange.costs import CostTerms, buy_fee, filled_price, sell_fee, value_in_ticks
from quant_pipeline.exchange.lots import Lots, lots_of, sellable_shares, whole_lots
from quant_pipeline.exchange.money import PAYMENT_SCALE, TICKS_PER_CENT, price_after_dividend, price_after_split
from quant_pipeline.exchange.purchases import affordable_shares
from quant_pipeline.exchange.rules import MarketRules

# Status of an executed order.
FILLED = 0
CUT_TO_VOLUME = 1
CUT_TO_CASH = 2
CUT_TO_POSITION = 3
EXPIRED_NO_BAR = 4
EXPIRED_NO_VOLUME = 5
REJECTED_PRICE_LIMIT = 6
REJECTED_CASH = 7
REJECTED_POSITION = 8
REJECTED_LOCKED = 9
EXPIRED_UNREACHED = 10
EXPIRED_LATE = 11
REJECTED_LOT = 12

# Kinds of corporate actions, in the order in which those of one session apply.
SPLIT = 0
CASH_DIVIDEND = 1
DELISTING = 2

# Columns of the record of fills.
FILL_SESSION, FILL_INSTRUMENT, FILL_REQUESTED, FILL_SHARES, FILL_PRICE, FILL_MARKET_PRICE, FILL_FEE = range(7)
FILL_STATUS, FILL_REASON = 7, 8
N_FILL_COLUMNS = 9

# Columns of the record of corporate actions.
EVENT_SESSION, EVENT_INSTRUMENT, EVENT_KIND, EVENT_BEFORE, EVENT_AFTER, EVENT_CASH = range(6)
N_EVENT_COLUMNS = 6

_PAYMENT_UNITS_PER_CENT = PAYMENT_SCALE // 100

# Commands that only look at an account value halted holdings too, without numba; so these are written for Python.
_after_split = inlined(price_after_split)
_after_dividend = inlined(price_after_dividend)


class ExchangeTerms(NamedTuple):
    """:class:`MarketRules` as the numbers the kernels use; a ``max_participation`` of 0 is no cap."""

    lots: Lots
    max_participation: float


class SessionQuotes(NamedTuple):
    """One session of the market: execution price (0 = no bar), volume, and what a price limit forbids, by instrument.

    Spread and impact move no execution below ``lowest`` or above ``highest``.
    """

    deal_price: npt.NDArray[np.int64]
    volume: npt.NDArray[np.int64]
    buy_blocked: npt.NDArray[np.bool_]
    sell_blocked: npt.NDArray[np.bool_]
    lowest: npt.NDArray[np.int64]
    highest: npt.NDArray[np.int64]


def exchange_terms(rules: MarketRules, instruments: pd.Index) -> ExchangeTerms:
    """Convert market rules to kernel terms."""
    return ExchangeTerms(lots=lots_of(rules, instruments), max_participation=float(rules.max_participation or 0.0))


@shared
def payment_in_ticks(shares: int, payment: int) -> int:
    """Cash for `shares` at `payment` units of 10^-8 per share, half up to whole cents, in ticks."""
    return (shares * payment + _PAYMENT_UNITS_PER_CENT // 2) // _PAYMENT_UNITS_PER_CENT * TICKS_PER_CENT


@shared
def interest_in_ticks(cash: int, fraction: float) -> int:
    """Interest on cash in ticks: a fraction of it, half up to whole cents; nothing on what is owed."""
    return int(np.floor(max(cash, 0) * fraction / TICKS_PER_CENT + 0.5)) * TICKS_PER_CENT


@inlined
def cash_in_lieu(remainder: int, numerator: int, previous_close: int) -> int:
    """Cash for the fraction of a new share a split leaves, half up to whole cents, in ticks.

    The fraction ``remainder / denominator`` of a new share is worth ``remainder × previous close / numerator``.
    """
    unit = numerator * TICKS_PER_CENT
    return (remainder * previous_close + unit // 2) // unit * TICKS_PER_CENT


@shared
def price_after_action(price: int, kind: int, numerator: int, denominator: int) -> int:
    """Take a price in ticks over the ex-date of a corporate action.

    A split divides it, a cash dividend is taken off, a delisting leaves it. An unknown price (0) stays unknown.
    """
    if price <= 0:
        return price
    if kind == SPLIT:
        return _after_split(price, numerator, denominator)
    if kind == CASH_DIVIDEND:
        return _after_dividend(price, numerator)
    return price


@shared
def apply_action(
    accounts: AccountArrays,
    a: int,
    instrument: int,
    kind: int,
    numerator: int,
    denominator: int,
    previous_close: int,
    lots: Lots,
) -> int:
    """Apply one corporate action to one account before its orders execute.

    Parameters
    ----------
    accounts, a
        Accounts and the row of the one it happens to.
    instrument, kind
        Which instrument, and :data:`SPLIT`, :data:`CASH_DIVIDEND` or :data:`DELISTING`.
    numerator, denominator
        New and old shares of a split; otherwise the numerator is the payment per share in units of 10^-8.
    previous_close
        Last known close before the action, ticks.
    lots
        Sizes of orders, for pending ones.

    Returns
    -------
    int
        Cash received, ticks.
    """
    if kind == SPLIT:
        _scale_pending_orders(accounts, a, instrument, numerator, denominator, lots)
    slot = accounts.slot_of[a, instrument]
    if slot == NOT_HELD:
        return 0
    shares = accounts.slot_shares[a, slot]
    if kind == SPLIT:
        new_shares = shares * numerator // denominator
        received = cash_in_lieu(shares * numerator % denominator, numerator, previous_close)
        accounts.slot_shares[a, slot] = new_shares
        if new_shares == 0:
            close_slot(accounts, a, slot)
    else:
        received = payment_in_ticks(shares, numerator)
        if kind == DELISTING:
            close_slot(accounts, a, slot)
    accounts.totals[a, CASH] += received
    return received


@inlined
def _scale_pending_orders(
    accounts: AccountArrays, a: int, instrument: int, numerator: int, denominator: int, lots: Lots
) -> None:
    fewest, step = lots.fewest[instrument], lots.step[instrument]
    slot = accounts.slot_of[a, instrument]
    held = 0 if slot == NOT_HELD else accounts.slot_shares[a, slot] * numerator // denominator
    for order in range(accounts.totals[a, ORDERS]):
        if accounts.order_instrument[a, order] == instrument:
            shares = accounts.order_shares[a, order]
            if shares < 0:
                scaled = -shares * numerator // denominator
                allowed = scaled if scaled >= held else sellable_shares(scaled, held, fewest, step)
                accounts.order_shares[a, order] = -allowed
            else:
                accounts.order_shares[a, order] = whole_lots(shares * numerator // denominator, fewest, step)


@shared
def shares_within_volume(shares: int, volume: int, instrument: int, terms: ExchangeTerms) -> int:
    """Cut an order to its largest allowed part of the session's volume, in whole lots."""
    if terms.max_participation <= 0.0:
        return shares
    most = int(volume * terms.max_participation)
    return shares if shares <= most else whole_lots(most, terms.lots.fewest[instrument], terms.lots.step[instrument])


@inlined
def _refusal(market_price: int, is_blocked: bool) -> int:
    """Why an order cannot execute in a session at all: no bar, or its price limit; FILLED where it can."""
    if market_price == 0:
        return EXPIRED_NO_BAR
    return REJECTED_PRICE_LIMIT if is_blocked else FILLED


@inlined
def _cut_to_volume(shares: int, volume: int, instrument: int, terms: ExchangeTerms, status: int) -> tuple[int, int]:
    """Cut an order to what the volume allows; return the shares and the status."""
    allowed = shares_within_volume(shares, volume, instrument, terms)
    return allowed, CUT_TO_VOLUME if allowed < shares else status


@inlined
def _sell(
    accounts: AccountArrays,
    a: int,
    instrument: int,
    wanted: int,
    quotes: SessionQuotes,
    terms: ExchangeTerms,
    costs: CostTerms,
) -> tuple[int, int, int, int]:
    """Execute a sale; return shares, price, fee and status."""
    slot = accounts.slot_of[a, instrument]
    if slot == NOT_HELD:
        return 0, 0, 0, REJECTED_POSITION
    market_price, volume = quotes.deal_price[instrument], quotes.volume[instrument]
    status = _refusal(market_price, quotes.sell_blocked[instrument])
    if status != FILLED:
        return 0, 0, 0, status
    held = accounts.slot_shares[a, slot]
    if sellable_shares(wanted, held, terms.lots.fewest[instrument], terms.lots.step[instrument]) < min(wanted, held):
        return 0, 0, 0, REJECTED_LOT
    status = FILLED if wanted <= held else CUT_TO_POSITION
    shares, status = _cut_to_volume(min(wanted, held), volume, instrument, terms, status)
    if shares == 0:
        return 0, 0, 0, EXPIRED_NO_VOLUME
    moved = filled_price(market_price, shares, volume, False, costs)
    price = max(moved, quotes.lowest[instrument])
    value, fee = value_in_ticks(shares, price), sell_fee(shares, price, costs)
    if accounts.totals[a, CASH] + value < fee:
        return 0, 0, 0, REJECTED_CASH
    accounts.totals[a, CASH] += value - fee
    accounts.totals[a, SOLD] += value
    accounts.slot_shares[a, slot] = held - shares
    if held == shares:
        close_slot(accounts, a, slot)
    return shares, price, fee, status


@inlined
def _buy(
    accounts: AccountArrays,
    a: int,
    instrument: int,
    wanted: int,
    quotes: SessionQuotes,
    terms: ExchangeTerms,
    costs: CostTerms,
) -> tuple[int, int, int, int]:
    """Execute a buy, never beyond the cash; return shares, price, fee and status."""
    market_price, volume = quotes.deal_price[instrument], quotes.volume[instrument]
    status = _refusal(market_price, quotes.buy_blocked[instrument])
    if status != FILLED:
        return 0, 0, 0, status
    fewest, step = terms.lots.fewest[instrument], terms.lots.step[instrument]
    if whole_lots(wanted, fewest, step) < wanted:
        return 0, 0, 0, REJECTED_LOT
    shares, status = _cut_to_volume(wanted, volume, instrument, terms, status)
    if shares == 0:
        return 0, 0, 0, EXPIRED_NO_VOLUME
    moved = filled_price(market_price, shares, volume, True, costs)
    price = min(moved, quotes.highest[instrument])
    value, fee = value_in_ticks(shares, price), buy_fee(shares, price, costs)
    cash = accounts.totals[a, CASH]
    if value + fee > cash:
        status = CUT_TO_CASH
        shares = whole_lots(affordable_shares(cash, price, step, costs), fewest, step)
        if shares == 0:
            return 0, 0, 0, REJECTED_CASH
        value, fee = value_in_ticks(shares, price), buy_fee(shares, price, costs)
    accounts.totals[a, CASH] = cash - value - fee
    accounts.totals[a, BOUGHT] += value
    slot = accounts.slot_of[a, instrument]
    if slot == NOT_HELD:
        open_slot(accounts, a, instrument, shares, 0)
    else:
        accounts.slot_shares[a, slot] += shares
    return shares, price, fee, status


@shared
def execute_pending_orders(
    accounts: AccountArrays,
    a: int,
    session: int,
    quotes: SessionQuotes,
    terms: ExchangeTerms,
    costs: CostTerms,
    fills: npt.NDArray[np.int64],
    n_fills: int,
) -> int:
    """Execute the pending orders of an account in plan order (sales come first) and forget them.

    Parameters
    ----------
    accounts, a
        Accounts and the row of the one that executes.
    session
        Number of the session, for the record.
    quotes, terms, costs
        The session's market and its rules.
    fills, n_fills
        Record of fills (rows × :data:`N_FILL_COLUMNS`) and the number of fills so far; fills beyond the last row are
        counted but not recorded.

    Returns
    -------
    int
        Number of fills so far.
    """
    for order in range(accounts.totals[a, ORDERS]):
        requested = accounts.order_shares[a, order]
        if requested == 0:
            continue
        instrument = accounts.order_instrument[a, order]
        if requested < 0:
            shares, price, fee, status = _sell(accounts, a, instrument, -requested, quotes, terms, costs)
        else:
            shares, price, fee, status = _buy(accounts, a, instrument, requested, quotes, terms, costs)
        accounts.totals[a, FEES] += fee
        accounts.totals[a, SLIPPAGE] += shares * abs(price - quotes.deal_price[instrument])
        if n_fills < fills.shape[0]:
            fills[n_fills, FILL_SESSION] = session
            fills[n_fills, FILL_INSTRUMENT] = instrument
            fills[n_fills, FILL_REQUESTED] = requested
            fills[n_fills, FILL_SHARES] = shares
            fills[n_fills, FILL_PRICE] = price
            fills[n_fills, FILL_MARKET_PRICE] = quotes.deal_price[instrument]
            fills[n_fills, FILL_FEE] = fee
            fills[n_fills, FILL_STATUS] = status
            fills[n_fills, FILL_REASON] = accounts.order_reason[a, order]
        n_fills += 1
    accounts.totals[a, ORDERS] = 0
    return n_fills


@shared
def count_close(accounts: AccountArrays, a: int) -> None:
    """Count the close for every holding; a position bought in this session has then seen one."""
    accounts.totals[a, CLOSES] += 1
