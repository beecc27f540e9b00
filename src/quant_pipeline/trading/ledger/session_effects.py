"""What changed the net asset value in a session, event by event, in exact money; the parts sum to the change.

At the closes of a session, an event is worth the cash that it moves and the shares that it moves at these closes. What
was held before earns the difference of two closes. The two together are the change of the value, whatever the events
are: fills, splits, mergers, corrections of what was booked long ago.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, NamedTuple

import pandas as pd

from quant_pipeline.exchange.market import TradingMarket
from quant_pipeline.exchange.money import ticks_to_decimal
from quant_pipeline.trading.ledger.account import AccountState
from quant_pipeline.trading.ledger.amendments import AMENDING, effective_fills
from quant_pipeline.trading.ledger.bookkeeping import last_prices
from quant_pipeline.trading.ledger.events import Event, EventKind
from quant_pipeline.trading.ledger.lots import ZERO

REVISING = (*AMENDING, EventKind.EVENT_CANCELLED)
"""Events that may change anything that was booked before."""

_CORPORATE = (
    EventKind.SPLIT,
    EventKind.CASH_DIVIDEND,
    EventKind.DELISTING,
    EventKind.SPIN_OFF,
    EventKind.MERGER,
    EventKind.SYMBOL_CHANGE,
    EventKind.CASH_IN_LIEU,
    EventKind.RETURN_OF_CAPITAL,
)
_OF_INSTRUMENTS = (EventKind.TAX, EventKind.DEPOSIT, EventKind.WITHDRAWAL)
"""Kinds that belong to a corporate action where they name an instrument: taxes of dividends, cash of mergers."""


def is_corporate(event: Event) -> bool:
    """Return whether an event is a corporate action, or a part of one."""
    return event.kind in _CORPORATE or (event.kind in _OF_INSTRUMENTS and bool(event.payload.get("instrument")))


class Effect(NamedTuple):
    """What one event did to an account.

    Attributes
    ----------
    event
        The event; a fill that was corrected or busted in the same session has the facts that count at its close.
    profit
        Cash that it moved, and shares at the closes of the session, without the flow.
    cash
        Cash that it moved.
    flow
        What the owner paid in by it, shares at their cost.
    shares
        Shares that it moved, by instrument.
    """

    event: Event
    profit: Decimal
    cash: Decimal
    flow: Decimal
    shares: Mapping[str, Decimal]


@dataclass(frozen=True)
class SessionEffects:
    """The change of the net asset value from one close to the next, in parts.

    ``after - before`` is ``flow`` and ``profit``; ``profit`` is the sum of ``held``, of the profits of all effects, of
    ``foreign`` and of ``valuation``.

    Attributes
    ----------
    session
        Session of the close.
    before, after
        Net asset value as the ledger closed with it; 0 before the first close.
    flow
        Deposits less withdrawals, shares transferred at their cost.
    held
        By instrument, what the shares of the close before have earned by the change of their closes.
    effects
        What happened since the close before, in the order of the ledger.
    foreign
        Change of the broker's value of positions that the books keep no lots of.
    valuation
        What the closes of the ledger differ from those of the market as it is known now.
    start
        The account at the close before; it is not to be changed.
    closes, closes_before
        Closes of the market by instrument, for what was held or traded.
    """

    session: pd.Timestamp
    before: Decimal
    after: Decimal
    flow: Decimal
    held: Mapping[str, Decimal]
    effects: tuple[Effect, ...]
    foreign: Decimal
    valuation: Decimal
    start: AccountState
    closes: Closes
    closes_before: Mapping[str, Decimal]

    @property
    def profit(self) -> Decimal:
        """Change of the net asset value without the flow."""
        return self.after - self.before - self.flow

    @property
    def since(self) -> pd.Timestamp | None:
        """Session of the close before; None before the first. Sessions that were never closed lie between the two."""
        return self.start.last_session

    def of_kinds(self, *kinds: EventKind) -> Iterator[Effect]:
        """Yield the effects of some kinds of events."""
        return (effect for effect in self.effects if effect.event.kind in kinds)


class Closes:
    """Closes of one session by instrument, in exact money.

    Parameters
    ----------
    market, session
        Where closes come from.
    known
        What holdings are valued at, which the market may not price.
    earlier
        Prices of the close before, for what has left the account and has no price.
    """

    def __init__(
        self,
        market: TradingMarket,
        session: pd.Timestamp,
        known: Mapping[str, Decimal],
        earlier: Mapping[str, Decimal],
    ) -> None:
        self._marks = market.arrays.mark[market.sessions.get_loc(session)]
        self._places = market.instruments
        self._known, self._earlier = known, earlier

    def __getitem__(self, instrument: str) -> Decimal:
        """Return the last known close; 0 of what never had a price and is not held."""
        if instrument in self._known:
            return self._known[instrument]
        place = int(self._places.get_indexer([instrument])[0])
        if place >= 0 and self._marks[place] > 0:
            return ticks_to_decimal(int(self._marks[place]))
        return self._earlier.get(instrument, ZERO)


def walk_effects(
    events: Sequence[Event], market: TradingMarket, first: pd.Timestamp, last: pd.Timestamp
) -> Iterator[SessionEffects]:
    """Walk through the ledger, and take every session apart between its close and the one before.

    Parameters
    ----------
    events
        The ledger, from its beginning.
    market
        Prices of every booked session; its last one is `last` or later.
    first, last
        Sessions to take apart.

    Yields
    ------
    SessionEffects
        In the order of the closes.
    """
    state = AccountState()
    waiting: list[Event] = []
    for event in events:
        if event.session > last:
            continue
        waiting.append(event)
        if event.kind is not EventKind.SESSION_CLOSED:
            continue
        if event.session >= first:
            yield _take_apart(state, waiting, market)
        else:
            for each in waiting:
                state.apply(each)
        waiting = []


def _take_apart(state: AccountState, events: Sequence[Event], market: TradingMarket) -> SessionEffects:
    """Apply the events of a session to an account, and measure what each of them did."""
    session, start = events[-1].session, state.fork()
    moved = [_apply(state, event) for event in events]
    before = start.closes[-1] if start.closes else None
    closes_before = last_prices(start, market, before[0]) if before and start.positions else {}
    closes = Closes(market, session, last_prices(state, market, session), closes_before)
    measured = [
        Effect(event, cash + sum((n * closes[name] for name, n in shares.items()), ZERO) - flow, cash, flow, shares)
        for event, (cash, shares, flow) in zip(events, moved, strict=True)
    ]
    effects = tuple(e for e in _with_amendments(measured) if e.cash or e.shares or e.flow)
    held = {
        name: position.quantity * (closes[name] - closes_before[name]) for name, position in start.positions.items()
    }
    value, after = ZERO if before is None else before[1], state.closes[-1][1]
    flow = sum((effect.flow for effect in effects), ZERO)
    foreign = _foreign_value(state) - _foreign_value(start)
    explained = sum(held.values(), ZERO) + sum((effect.profit for effect in effects), ZERO) + foreign
    valuation = after - value - flow - explained
    return SessionEffects(session, value, after, flow, held, effects, foreign, valuation, start, closes, closes_before)


def _with_amendments(effects: Sequence[Effect]) -> Iterator[Effect]:
    """Put busts and corrections of fills of the session together with these: what counts at its close is one effect."""
    fills = {effect.event.key for effect in effects if effect.event.kind is EventKind.FILL}
    parts: dict[str, list[Effect]] = {}
    for effect in effects:
        parts.setdefault(_fill_amended_by(effect.event, fills) or effect.event.key, []).append(effect)
    counting = effective_fills(e.event for key in fills for e in parts[key])
    for key, (effect, *amendments) in parts.items():
        if amendments and key in fills:
            effect = _summed(replace(effect.event, payload=counting[key].booked), (effect, *amendments))
            amendments = []
        yield effect
        yield from amendments


def _fill_amended_by(event: Event, fills: set[str]) -> str | None:
    """Return the fill of the session that an event amends alone; None where it amends anything else."""
    keys = [event.payload["fill"]] if event.kind in AMENDING else []
    if event.kind is EventKind.EVENT_CANCELLED:
        keys = list(event.payload["events"])
    return keys[0] if len(keys) == 1 and keys[0] in fills else None


def _summed(event: Event, effects: Sequence[Effect]) -> Effect:
    shares: dict[str, Decimal] = {}
    for effect in effects:
        for name, quantity in effect.shares.items():
            shares[name] = shares.get(name, ZERO) + quantity
    return Effect(
        event,
        sum((effect.profit for effect in effects), ZERO),
        sum((effect.cash for effect in effects), ZERO),
        sum((effect.flow for effect in effects), ZERO),
        {name: quantity for name, quantity in shares.items() if quantity},
    )


def _apply(state: AccountState, event: Event) -> tuple[Decimal, dict[str, Decimal], Decimal]:
    """Apply an event; return the cash, the shares and what the owner paid in that it moved."""
    named = {str(event.payload[name]) for name in ("instrument", "new_instrument") if event.payload.get(name)}
    cash, contributed = state.cash, state.contributed
    shares = _shares(state, named, event)
    state.apply(event)
    now = _shares(state, named, event)
    moved = {name: now.get(name, ZERO) - shares.get(name, ZERO) for name in {*shares, *now}}
    return (
        state.cash - cash,
        {name: quantity for name, quantity in sorted(moved.items()) if quantity},
        state.contributed - contributed,
    )


def _shares(state: AccountState, named: set[str], event: Event) -> dict[str, Decimal]:
    # What comes late is booked in its place, and corrections in the place of what they correct.
    is_far = event.kind in REVISING or "effective" in event.payload
    names: Any = state.positions if is_far else named & state.positions.keys()
    return {name: state.positions[name].quantity for name in names}


def _foreign_value(state: AccountState) -> Decimal:
    return sum((value for value in state.foreign_values.values() if value is not None), ZERO)
