"""Implementation shortfall of every planned order: what a paper portfolio would have earned more than the account.

The paper portfolio buys and sells everything at the price of the decision and pays nothing (Perold, "The Implementation
Shortfall: Paper versus Reality", Journal of Portfolio Management 14(3), 1988). What it earns more by the close of the
session is cut in four: *delay* from the decision to the price at which the order was to execute or, where it left while
the exchange was open, to the last trade of then; *spread and impact* from there to the price that was got;
*opportunity* of the shares that were not executed; *fees*. Costs are positive.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

import pandas as pd

from quant_pipeline.exchange.money import split_terms
from quant_pipeline.trading.ledger.amendments import EffectiveFill, effective_fills
from quant_pipeline.trading.ledger.events import TICK, Event
from quant_pipeline.trading.ledger.lots import ZERO
from quant_pipeline.trading.shadow.causes import ShadowSession
from quant_pipeline.trading.shadow.session_orders import Key, OrderOutcome, planned_for

PARTS = ("delay", "impact", "opportunity", "fees")
SHORTFALL_COLUMNS = {
    "date": "datetime64[ns]",
    "client_order_id": "str",
    "instrument": "str",
    "side": "str",
    "requested": "float64",
    "executed": "float64",
    "decision_price": "float64",
    "market_price": "float64",
    "arrival_price": "float64",
    "price": "float64",
    "close": "float64",
    **dict.fromkeys(PARTS, "float64"),
    "shortfall": "float64",
    "decided_value": "float64",
    "shortfall_bps": "float64",
    "share_of_volume": "float64",
    "at": "str",
    "reason": "str",
}


def shortfall_table(
    sessions: Sequence[ShadowSession], bars: pd.DataFrame, corporate_actions: pd.DataFrame, events: Sequence[Event] = ()
) -> pd.DataFrame:
    """Measure every order that was planned for some sessions.

    Parameters
    ----------
    sessions
        Sessions of account and shadow.
    bars, corporate_actions
        The market as traded: volumes, and what prices of decisions go ex of.
    events
        The ledger: fills count as they were corrected, busted or booked since. Without it they count as at their
        closes.

    Returns
    -------
    pandas.DataFrame
        One row per order: ``date``, ``client_order_id``, ``instrument``, ``side``, ``requested`` and ``executed``
        (shares), ``decision_price`` (ex the splits and dividends of the session), ``market_price`` (at which it was to
        execute), ``arrival_price`` (the last trade as it left, where the exchange was open), ``price`` (mean of its
        fills), ``close``, the four parts in the currency, ``shortfall`` (their sum), ``decided_value`` (shares at the
        price of the decision), ``shortfall_bps`` of it, ``share_of_volume``, ``at`` (first fill), ``reason`` (why it
        did not execute in full). Prices that are not known are NaN.
    """
    known = _Known.by(events)
    rows = [row for session in sessions for row in _rows(session, bars, corporate_actions, known)]
    table = pd.DataFrame(rows, columns=list(SHORTFALL_COLUMNS)).astype(SHORTFALL_COLUMNS)
    # Exact zeros have a sign at times, which says nothing.
    return table.assign(**{name: table[name] + 0.0 for name in (*PARTS, "shortfall")})


class _Known(NamedTuple):
    """Fills as they count by now: all by their key, and those booked late by session, instrument and side."""

    fills: Mapping[str, EffectiveFill]
    late: Mapping[tuple[pd.Timestamp, Key], list[EffectiveFill]]

    @classmethod
    def by(cls, events: Sequence[Event]) -> _Known:
        fills, late = effective_fills(events), defaultdict(list)
        for key, (session, order) in planned_for(events).items():
            if session < fills[key].event.session:
                late[session, order].append(fills[key])
        return cls(fills, late)


def _rows(
    session: ShadowSession, bars: pd.DataFrame, actions: pd.DataFrame, known: _Known
) -> Iterator[dict[str, object]]:
    today = bars[bars["date"] == session.session]
    volume = dict(zip(today["instrument"], today["volume"], strict=True))
    acted = actions[actions["date"] == session.session]
    for (instrument, side), booked in session.orders.outcomes.items():
        close = session.effects.closes[instrument]
        late = known.late.get((session.session, (instrument, side)), [])
        outcome = booked.as_known(known.fills, close).with_late(late, close)
        model = session.replay.fills.get((instrument, side))
        requested = Decimal(outcome.order.quantity) if model is None else model.requested
        outcome.settle(requested)
        decided = _gone_ex(Decimal(outcome.order.reference_price), acted[acted["instrument"] == instrument])
        market = session.replay.market_prices.get(instrument)
        parts = _parts(outcome, requested, decided, market, close)
        value = requested * decided
        total = sum(parts.values(), ZERO)
        traded = volume.get(instrument, 0)
        yield {
            "date": session.session,
            "client_order_id": outcome.order.client_order_id,
            "instrument": instrument,
            "side": side,
            "requested": requested,
            "executed": outcome.executed,
            "decision_price": decided,
            "market_price": market,
            "arrival_price": outcome.arrival,
            "price": outcome.value / outcome.executed if outcome.executed else None,
            "close": close,
            **parts,
            "shortfall": total,
            "decided_value": value,
            "shortfall_bps": total / value * 10_000 if value else None,
            "share_of_volume": float(outcome.executed) / traded if traded > 0 else None,
            "at": outcome.at,
            "reason": outcome.reason,
        }


def _parts(
    outcome: OrderOutcome, requested: Decimal, decided: Decimal, market: Decimal | None, close: Decimal
) -> dict[str, Decimal]:
    """Cut the shortfall of one order; the parts sum to the profit of the paper portfolio less that of the account."""
    sign, done, value = outcome.sign, outcome.executed, outcome.value
    arrival = outcome.arrival if outcome.arrival is not None else market
    at_arrival = value if arrival is None else done * arrival
    return {
        "delay": sign * (at_arrival - done * decided),
        "impact": sign * (value - at_arrival),
        "opportunity": sign * (requested - done) * (close - decided),
        "fees": sign * (done * close - value) - outcome.profit,
    }


def _gone_ex(price: Decimal, actions: pd.DataFrame) -> Decimal:
    """Return the price of a decision ex the splits and dividends of the session; both are no cost of trading."""
    for kind, value in sorted(zip(actions["kind"], actions["value"], strict=True), reverse=True):
        if kind == "split":
            new, old = split_terms(value)
            price = price * old / new
        elif kind == "cash_dividend":
            price -= Decimal(str(value))
    return price.quantize(TICK)
