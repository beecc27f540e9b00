"""State of many accounts as arrays: what the compiled strategy and exchange read and change.

Row ``a`` of every array belongs to account ``a``. Holdings sit in the first ``totals[a, HELD]`` slots, in no
particular order: nothing that is computed from them may depend on that order.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from quant_pipeline.common.compiled import shared

# Columns of `totals`.
CASH = 0
"""Cash, ticks."""
HELD = 1
"""Number of instruments held."""
ORDERS = 2
"""Number of pending orders."""
FEES = 3
"""Fees paid so far, ticks."""
BOUGHT = 4
"""Value bought so far, ticks, fees not included."""
SOLD = 5
"""Value sold so far, ticks, fees not included."""
SLIPPAGE = 6
"""Paid so far for executing away from the market's execution price, ticks."""
CLOSES = 7
"""Number of closes the account has seen, from which the age of a holding is counted."""
N_TOTALS = 8

NOT_HELD = -1


class AccountArrays(NamedTuple):
    """Accounts side by side.

    ``slot_instrument``, ``slot_shares`` and ``slot_since`` (:data:`CLOSES` before it was bought) are accounts × slots;
    ``slot_of`` is accounts × instruments and finds the slot of an instrument or :data:`NOT_HELD`; ``order_instrument``,
    ``order_shares`` (positive buys, negative sells) and ``order_reason`` are accounts × orders, in plan order;
    ``totals`` is accounts × :data:`N_TOTALS`. Instruments are unsigned because numba checks signed indices for
    negative ones.
    """

    slot_instrument: npt.NDArray[np.uint32]
    slot_shares: npt.NDArray[np.int64]
    slot_since: npt.NDArray[np.int32]
    slot_of: npt.NDArray[np.signedinteger[Any]]
    order_instrument: npt.NDArray[np.uint32]
    order_shares: npt.NDArray[np.int64]
    order_reason: npt.NDArray[np.int32]
    totals: npt.NDArray[np.int64]


def new_accounts(n_accounts: int, n_instruments: int, cash: int, n_orders: int | None = None) -> AccountArrays:
    """Create accounts that hold nothing but cash.

    Parameters
    ----------
    n_accounts
        Number of accounts.
    n_instruments
        Number of instruments of the market.
    cash
        Cash of each account, ticks.
    n_orders
        Room for pending orders; by default one sale and one buy of every instrument.
    """
    n_orders = 2 * n_instruments if n_orders is None else n_orders
    totals = np.zeros((n_accounts, N_TOTALS), dtype=np.int64)
    totals[:, CASH] = cash
    return AccountArrays(
        slot_instrument=np.zeros((n_accounts, n_instruments), dtype=np.uint32),
        slot_shares=np.zeros((n_accounts, n_instruments), dtype=np.int64),
        slot_since=np.zeros((n_accounts, n_instruments), dtype=np.int32),
        slot_of=np.full((n_accounts, n_instruments), NOT_HELD, dtype=_slot_type(n_instruments)),
        order_instrument=np.zeros((n_accounts, n_orders), dtype=np.uint32),
        order_shares=np.zeros((n_accounts, n_orders), dtype=np.int64),
        order_reason=np.zeros((n_accounts, n_orders), dtype=np.int32),
        totals=totals,
    )


def _slot_type(n_instruments: int) -> type[np.int16 | np.int32]:
    """Choose the smallest type, so that the accounts of a search stay in the cache."""
    return np.int16 if n_instruments <= np.iinfo(np.int16).max else np.int32


@shared
def open_slot(accounts: AccountArrays, a: int, instrument: int, shares: int, sessions: int) -> None:
    """Add an instrument that is not held yet and has seen so many closes."""
    slot = accounts.totals[a, HELD]
    accounts.slot_instrument[a, slot] = instrument
    accounts.slot_shares[a, slot] = shares
    accounts.slot_since[a, slot] = accounts.totals[a, CLOSES] - sessions
    accounts.slot_of[a, instrument] = slot
    accounts.totals[a, HELD] = slot + 1


@shared
def close_slot(accounts: AccountArrays, a: int, slot: int) -> None:
    """Remove a holding; the last slot moves into the gap."""
    last = accounts.totals[a, HELD] - 1
    accounts.slot_of[a, accounts.slot_instrument[a, slot]] = NOT_HELD
    if slot != last:
        moved = accounts.slot_instrument[a, last]
        accounts.slot_instrument[a, slot] = moved
        accounts.slot_shares[a, slot] = accounts.slot_shares[a, last]
        accounts.slot_since[a, slot] = accounts.slot_since[a, last]
        accounts.slot_of[a, moved] = slot
    accounts.totals[a, HELD] = last


@shared
def sessions_held(accounts: AccountArrays, a: int, slot: int) -> int:
    """Count the closes a holding has seen: 1 on the day it was bought."""
    return accounts.totals[a, CLOSES] - accounts.slot_since[a, slot]


@shared
def net_asset_value(accounts: AccountArrays, a: int, prices: npt.NDArray[np.int64]) -> int:
    """Cash plus shares at the given prices (ticks per instrument)."""
    value = accounts.totals[a, CASH]
    for slot in range(accounts.totals[a, HELD]):
        shares = accounts.slot_shares[a, slot]
        if shares <= 0:  # Never so; but a loop that may end early is not turned into gathers, which are slower.
            break
        value += shares * prices[accounts.slot_instrument[a, slot]]
    return value
