"""One session of the market as the exchange kernels take it, compiled."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from quant_pipeline.common.compiled import inlined, shared
from quant_pipeline.exchange.account_arrays import CASH, NOT_HELD, AccountArrays
from quant_pipeline.exchange.kernels import (
    EVENT_AFTER,
    EVENT_BEFORE,
    EVENT_CASH,
    EVENT_INSTRUMENT,
    EVENT_KIND,
    EVENT_SESSION,
    SPLIT,
    SessionQuotes,
    apply_action,
    interest_in_ticks,
)
from quant_pipeline.exchange.lots import Lots
from quant_pipeline.exchange.market import MarketArrays


@inlined
def quotes_of_session(market: MarketArrays, t: int) -> SessionQuotes:
    """View of what orders meet in session ``t``."""
    limits = t if market.lowest.shape[0] > 1 else 0
    return SessionQuotes(
        market.deal_price[t],
        market.volume[t],
        market.buy_blocked[t],
        market.sell_blocked[t],
        market.lowest[limits],
        market.highest[limits],
    )


@shared
def apply_session_actions(
    accounts: AccountArrays,
    a: int,
    t: int,
    market: MarketArrays,
    lots: Lots,
    events: npt.NDArray[np.int64],
    n_events: int,
) -> int:
    """Credit interest and apply the corporate actions of session ``t`` to one account.

    Returns the used rows of the record of corporate actions.
    """
    if market.interest[t] > 0.0:
        accounts.totals[a, CASH] += interest_in_ticks(accounts.totals[a, CASH], market.interest[t])
    for k in range(market.actions.offsets[t], market.actions.offsets[t + 1]):
        instrument = market.actions.instrument[k]
        slot = accounts.slot_of[a, instrument]
        if slot == NOT_HELD and market.actions.kind[k] != SPLIT:
            continue  # A split also scales the pending orders of what is not held.
        before = 0 if slot == NOT_HELD else accounts.slot_shares[a, slot]
        received = apply_action(
            accounts,
            a,
            instrument,
            market.actions.kind[k],
            market.actions.paid[k],
            market.actions.denominator[k],
            market.mark[t - 1, instrument] if t > 0 else 0,
            lots,
        )
        if before > 0:
            if n_events < events.shape[0]:
                slot = accounts.slot_of[a, instrument]
                events[n_events, EVENT_SESSION] = t
                events[n_events, EVENT_INSTRUMENT] = instrument
                events[n_events, EVENT_KIND] = market.actions.kind[k]
                events[n_events, EVENT_BEFORE] = before
                events[n_events, EVENT_AFTER] = 0 if slot == NOT_HELD else accounts.slot_shares[a, slot]
                events[n_events, EVENT_CASH] = received
            n_events += 1
    return n_events
