"""What was planned for a session and what the account did with it: one record per instrument and side."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import pandas as pd

from quant_pipeline.market.clock import DealPrice
from quant_pipeline.trading.ledger.account import Plan
from quant_pipeline.trading.ledger.amendments import EffectiveFill
from quant_pipeline.trading.ledger.events import Event, EventKind, Order
from quant_pipeline.trading.ledger.late_events import effective_session
from quant_pipeline.trading.ledger.lots import ZERO
from quant_pipeline.trading.ledger.session_effects import Effect, SessionEffects
from quant_pipeline.trading.orders.risk_view import FLATTEN, DenialCode

Key = tuple[str, str]
"""Instrument and side."""

OPERATORS_CODES = ("PERSON", "KILL_SWITCH", FLATTEN)
"""Causes of a trading state that are the operator's."""

_STATE_DENIALS = (DenialCode.TRADING_HALTED, DenialCode.REDUCE_ONLY)
_SENT = (EventKind.ORDER_SUBMITTING, EventKind.ORDER_ACCEPTED)


@dataclass
class OrderOutcome:
    """What became of a planned order.

    Attributes
    ----------
    order
        As it was planned last.
    fills
        Its fills, as they count at the close of the session.
    executed, value
        Shares and what they were worth at the prices of the fills.
    profit
        What the fills brought at the closes of the session, fees taken off.
    market_value
        What the shares were worth at the prices of the market that a simulated exchange has recorded; None elsewhere.
    arrival
        Price of the last trade as the order left, where the exchange was open.
    at
        When the first fill happened, ISO 8601; empty where only the day is known.
    ending, reason
        How it ended (``denied``, ``rejected``, ``expired``, ``busted``, …) and why it did not execute in full; empty
        where it did, or nothing says so.
    is_operators
        Whether the operator is that reason.
    """

    order: Order
    fills: list[Effect] = field(default_factory=list)
    executed: Decimal = ZERO
    value: Decimal = ZERO
    profit: Decimal = ZERO
    market_value: Decimal | None = None
    arrival: Decimal | None = None
    at: str = ""
    ending: str = ""
    reason: str = ""
    is_operators: bool = False

    @property
    def sign(self) -> int:
        """1 of a buy, -1 of a sale."""
        return 1 if self.order.side == "buy" else -1

    def add(self, effect: Effect) -> None:
        """Count a fill."""
        facts = effect.event.payload
        quantity = Decimal(facts["quantity"])
        self.fills.append(effect)
        self.executed += quantity
        self.value += quantity * Decimal(facts["price"])
        self.profit += effect.profit
        self.at = self.at or str(facts.get("at", ""))
        if "market_price" in facts:
            self.market_value = (self.market_value or ZERO) + quantity * Decimal(facts["market_price"])

    def settle(self, requested: Decimal) -> None:
        """Forget why it did not execute in full where it did: `requested` are its shares after the session's splits."""
        if self.executed >= requested:
            self.ending, self.reason, self.is_operators = "", "", False

    def as_known(self, fills: Mapping[str, EffectiveFill], close: Decimal) -> OrderOutcome:
        """Return it with its fills as they count by now, corrections and busts of later sessions included.

        Parameters
        ----------
        fills
            Every fill of the ledger as it counts, by its key.
        close
            Price at which the shares are valued.
        """
        known = OrderOutcome(self.order, arrival=self.arrival, ending=self.ending, reason=self.reason)
        for effect in self.fills:
            fill = fills.get(effect.event.key)
            if fill is None or fill.booked == effect.event.payload:
                known.add(effect)
            elif fill.counts:
                profit = fill.cash + self.sign * fill.quantity * close
                event = replace(effect.event, payload=fill.booked)
                known.add(effect._replace(event=event, profit=profit, cash=fill.cash))
        return known

    def with_late(self, fills: Iterable[EffectiveFill], close: Decimal) -> OrderOutcome:
        """Return it with fills that later sessions have booked, as they count by now.

        Parameters
        ----------
        fills
            Fills of this order.
        close
            Price at which the shares are valued.
        """
        known = replace(self, fills=[*self.fills])
        for fill in fills:
            if fill.counts:
                event, moved = replace(fill.event, payload=fill.booked), self.sign * fill.quantity
                profit = fill.cash + moved * close
                known.add(Effect(event, profit, fill.cash, ZERO, {self.order.instrument: moved}))
        return known


@dataclass(frozen=True)
class SessionOrders:
    """The plans of a session and the fills of the account.

    Attributes
    ----------
    plans
        Every revision, the first one first.
    outcomes
        What the account was to do at the end, and did.
    late
        Fills of orders of earlier sessions, see `planned_for`.
    strangers
        Fills that no plan explains.
    """

    plans: tuple[Plan, ...]
    outcomes: dict[Key, OrderOutcome]
    late: tuple[Effect, ...] = ()
    strangers: tuple[Effect, ...] = ()

    @property
    def wanted(self) -> Plan | None:
        """The plan that the account was to execute: the orders of all outcomes."""
        if not self.plans:
            return None
        return replace(self.plans[-1], orders=tuple(outcome.order for outcome in self.outcomes.values()))


@dataclass
class _Facts:
    """What the events of a session say of orders, by client order id; of busts, by instrument and side."""

    sent: set[str] = field(default_factory=set)
    arrivals: dict[str, Decimal] = field(default_factory=dict)
    reasons: dict[str, tuple[str, str, bool]] = field(default_factory=dict)
    busted: set[Key] = field(default_factory=set)


def orders_of_session(effects: SessionEffects, events: Sequence[Event]) -> SessionOrders:
    """Match the fills of a session with its plans.

    Parameters
    ----------
    effects
        The session.
    events
        The ledger; a fill without an order of its own, as of a statement, belongs to the planned order of its
        instrument and side.
    """
    plans = tuple(sorted(_plans(events, effects.session), key=lambda plan: plan.revision))
    names = {order.client_order_id: _key(order) for plan in plans for order in plan.orders}
    planned = planned_for(events)
    facts = _facts(events, effects.session)
    outcomes = {_key(order): OrderOutcome(order) for order in _wanted(plans, facts.sent)}
    late, strangers = [], []
    for effect in effects.of_kinds(EventKind.FILL):
        session, key = planned.get(effect.event.key, (None, None))
        if session is not None and session != effects.session:
            late.append(effect)
        elif key in outcomes:
            outcomes[key].add(effect)
        else:
            strangers.append(effect)
    for outcome in outcomes.values():
        _explain(outcome, [name for name, key in names.items() if key == _key(outcome.order)], facts)
    return SessionOrders(plans, outcomes, tuple(late), tuple(strangers))


def planned_for(events: Sequence[Event]) -> dict[str, tuple[pd.Timestamp, Key]]:
    """Find the session, instrument and side of the planned order to which a fill belongs, by the key of the fill.

    A fill names its order, or it belongs to what was planned for its session: the one in which it happened, which may
    be before the one that booked it. Fills that no plan explains are left out.
    """
    by_name: dict[str, tuple[pd.Timestamp, Key]] = {}
    for plan in _plans(events):
        by_name |= {order.client_order_id: (plan.execution_session, _key(order)) for order in plan.orders}
    planned = set(by_name.values())
    closed = [event.session for event in events if event.kind is EventKind.SESSION_CLOSED]
    found = {}
    for event in events:
        if event.kind is not EventKind.FILL:
            continue
        name, happened = str(event.payload.get("client_order_id", "")), effective_session(event)
        # What is dated on a holiday belongs to the next session.
        place = bisect_left(closed, happened)
        session = closed[place] if happened < event.session and place < len(closed) else event.session
        belongs = by_name.get(name, (session, (event.payload["instrument"], event.payload["side"])))
        if belongs in planned and (name in by_name or not name.startswith("external:")):
            found[event.key] = belongs
    return found


def _key(order: Order) -> Key:
    return order.instrument, order.side


def _plans(events: Iterable[Event], session: pd.Timestamp | None = None) -> Iterable[Plan]:
    for event in events:
        if event.kind is EventKind.PLAN_RECORDED:
            executes = pd.Timestamp(event.payload["deal_session"])
            if session is None or executes == session:
                orders = tuple(map(Order.of, event.payload["orders"]))
                price: DealPrice | None = event.payload.get("deal_price")
                yield Plan(executes, int(event.payload["revision"]), orders, price)


def _wanted(plans: Sequence[Plan], sent: set[str]) -> Iterable[Order]:
    """Yield the orders of the last plan, and those of earlier ones that had left: no later plan calls them back."""
    last = plans[-1].orders if plans else ()
    left = [o for plan in plans[:-1] for o in plan.orders if o.client_order_id in sent]
    known = {_key(order) for order in last}
    yield from last
    yield from (order for order in {_key(o): o for o in left}.values() if _key(order) not in known)


def _facts(events: Sequence[Event], session: pd.Timestamp) -> _Facts:
    facts, code = _Facts(), ""
    fills: dict[str, Key] = {}
    for event in events:
        if event.kind is EventKind.TRADING_STATE_CHANGED:
            code = str(event.payload["code"])
        if event.session != session:
            continue
        if event.kind is EventKind.FILL:
            fills[event.key] = event.payload["instrument"], event.payload["side"]
        elif event.kind is EventKind.TRADE_BUST and event.payload["fill"] in fills:
            facts.busted.add(fills[event.payload["fill"]])
        name = _name(event)
        if not name:
            continue
        if event.kind in _SENT:
            facts.sent.add(name)
        if "last_trade" in event.payload:
            facts.arrivals[name] = Decimal(event.payload["last_trade"])
        if event.kind in (EventKind.ORDER_DENIED, EventKind.ORDER_REJECTED, EventKind.ORDER_ENDED):
            facts.reasons[name] = _reason(event, code)
    return facts


def _name(event: Event) -> str:
    payload: Mapping[str, Any] = event.payload
    return str(payload.get("client_order_id") or payload.get("order", {}).get("client_order_id", ""))


def _reason(event: Event, state_code: str) -> tuple[str, str, bool]:
    """Return how an order ended, why, and whether the operator is the cause."""
    payload = event.payload
    denial = payload.get("code", "")
    is_operators = denial == DenialCode.NOT_ARMED or (denial in _STATE_DENIALS and state_code in OPERATORS_CODES)
    if event.kind is EventKind.ORDER_ENDED and payload.get("status") == "canceled":
        is_operators = state_code in OPERATORS_CODES
    word = {EventKind.ORDER_DENIED: "denied", EventKind.ORDER_REJECTED: "rejected"}.get(
        event.kind, str(payload.get("status", "ended"))
    )
    message = str(payload.get("message", ""))
    return word, f"{word}: {message}" if message else word, is_operators


def _explain(outcome: OrderOutcome, names: Sequence[str], facts: _Facts) -> None:
    """Say how an order ended and why, and at which price it arrived."""
    if _key(outcome.order) in facts.busted:
        outcome.ending, outcome.reason = "busted", "busted: the broker took the fill back"
    for name in names:
        outcome.arrival = facts.arrivals.get(name, outcome.arrival)
        if name in facts.reasons:
            outcome.ending, outcome.reason, outcome.is_operators = facts.reasons[name]
