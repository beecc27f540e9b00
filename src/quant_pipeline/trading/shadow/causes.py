"""Why an account differs from its shadow: every difference of a session has a cause, and they sum to the difference.

The shadow begins each session with the account's own books. It decides again at the close before, executes at the
session's configured price by the rules of the backtest, and is valued at the same closes. A chain of accounts leads
from it to the real one, each different in one respect: the decision as it was recorded, the plan as the operator left
it, the shares that were executed, their prices, their fees.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, NamedTuple

import pandas as pd

from quant_pipeline.trading.brokers.adapter import Exchange
from quant_pipeline.trading.ledger.account import Plan
from quant_pipeline.trading.ledger.events import TICK, Event, EventKind, Order
from quant_pipeline.trading.ledger.lots import ZERO
from quant_pipeline.trading.ledger.session_effects import REVISING, Effect, SessionEffects, is_corporate
from quant_pipeline.trading.shadow.replay import ModelFill, Replay, replay_orders
from quant_pipeline.trading.shadow.session_orders import OrderOutcome, SessionOrders, orders_of_session

Cause = Literal[
    "delay",
    "impact",
    "unfilled",
    "fees",
    "data_revisions",
    "operator_actions",
    "corporate_actions",
    "code_changes",
    "valuation",
    "unexplained",
]
CAUSES: tuple[Cause, ...] = (
    "delay", "impact", "unfilled", "fees", "data_revisions", "operator_actions", "corporate_actions", "code_changes",
    "valuation", "unexplained",
)  # fmt: skip

_OPERATORS = (EventKind.TRANSFER, EventKind.ADJUSTMENT, EventKind.FOREIGN_MOVED)


class Difference(NamedTuple):
    """One difference: what the shadow has earned more than the account.

    Attributes
    ----------
    cause
        Its cause.
    instrument, client_order_id
        What it is about; empty where it is about the account.
    amount
        In the currency; positive where the account has earned less.
    detail
        What happened, in words.
    """

    cause: Cause
    instrument: str
    client_order_id: str
    amount: Decimal
    detail: str


class DecidedAgain(NamedTuple):
    """The decision for a session, made again from what is known now.

    Attributes
    ----------
    orders
        What it decides.
    same_inputs
        Whether scores and closes are those that the recorded plan was made from. If they are, another decision comes
        from code or parameters.
    """

    orders: tuple[Order, ...]
    same_inputs: bool


@dataclass(frozen=True)
class ShadowSession:
    """A session of account and shadow.

    Attributes
    ----------
    session
        Session.
    base
        Net asset value of the close before and what the owner has paid in.
    account, shadow
        Profit of both.
    differences
        They sum to ``shadow - account``.
    orders, replay
        What was planned and done, and what the backtest makes of the same orders.
    effects
        The session of the account, event by event.
    """

    session: pd.Timestamp
    base: Decimal
    account: Decimal
    shadow: Decimal
    differences: tuple[Difference, ...]
    orders: SessionOrders
    replay: Replay
    effects: SessionEffects

    @property
    def difference(self) -> Decimal:
        """What the shadow has earned more."""
        return self.shadow - self.account

    def by_cause(self) -> dict[Cause, Decimal]:
        """Return the sum of every cause."""
        return {cause: sum((d.amount for d in self.differences if d.cause == cause), ZERO) for cause in CAUSES}


def compare_session(
    effects: SessionEffects,
    events: Sequence[Event],
    exchange: Exchange,
    is_simulated: bool,
    again: DecidedAgain | None = None,
) -> ShadowSession:
    """Replay a session of an account and find the cause of every difference.

    Parameters
    ----------
    effects
        The session of the account.
    events
        The ledger.
    exchange
        The market as it is known now, and the rules of the backtest.
    is_simulated
        Whether the account is filled by the simulated exchange: its fills are the backtest's, so that whatever differs
        comes from bars that were revised, or from code and parameters.
    again
        The decision made again; None takes the recorded one, so that neither revisions of its data nor changes of code
        show.
    """
    orders = orders_of_session(effects, events)
    price = orders.plans[-1].deal_price if orders.plans else None
    wanted = orders.wanted
    replay = replay_orders(effects, () if wanted is None else wanted.orders, price, exchange)
    for key, outcome in orders.outcomes.items():
        outcome.settle(replay.fills[key].requested if key in replay.fills else Decimal(outcome.order.quantity))
    found = list(_decisions(effects, orders, replay, exchange, again))
    shadow_trades = sum(replay.trades.values(), ZERO) + sum((difference.amount for difference in found), ZERO)
    for key, outcome in orders.outcomes.items():
        found += _of_order(effects, outcome, replay.fills.get(key), replay, is_simulated)
    found += _of_other_fills(orders, effects, events)
    found += _of_corporate_actions(effects, replay)
    found += _of_other_events(effects, replay)
    if effects.foreign:
        found.append(Difference("operator_actions", "", "", -effects.foreign, "positions that no plan holds"))
    if effects.valuation:
        found.append(_of_valuation(effects, is_simulated))
    shadow = sum(effects.held.values(), ZERO) + shadow_trades + sum(replay.actions.values(), ZERO) + replay.interest
    rest = shadow - effects.profit - sum((difference.amount for difference in found), ZERO)
    if rest:
        found.append(Difference("unexplained", "", "", rest, "no event says why"))
    kept = tuple(difference for difference in found if difference.amount)
    base = effects.before + effects.flow
    return ShadowSession(effects.session, base, effects.profit, shadow, kept, orders, replay, effects)


def _decisions(
    effects: SessionEffects,
    orders: SessionOrders,
    wanted: Replay,
    exchange: Exchange,
    again: DecidedAgain | None,
) -> Iterator[Difference]:
    """Compare the decision made again, the first plan and the one that the operator left."""
    first = orders.plans[0] if orders.plans else Plan(effects.session, 0, ())
    price = first.deal_price
    recorded = wanted
    if orders.plans and not _are_same(first.orders, [outcome.order for outcome in orders.outcomes.values()]):
        recorded = replay_orders(effects, first.orders, price, exchange)
        yield from _apart(recorded, wanted, "operator_actions", "the plan was replaced")
    if again is None or _are_same(first.orders, again.orders):
        return
    repeated = replay_orders(effects, again.orders, price, exchange)
    if not orders.plans:
        yield from _apart(repeated, recorded, "unfilled", "no plan was recorded")
        return
    cause: Cause = "code_changes" if again.same_inputs else "data_revisions"
    words = "from the same inputs" if again.same_inputs else "from inputs that were revised"
    yield from _apart(repeated, recorded, cause, f"the decision is another one now, {words}")


def _are_same(one: Sequence[Order], other: Sequence[Order]) -> bool:
    return {(o.instrument, o.side, o.quantity) for o in one} == {(o.instrument, o.side, o.quantity) for o in other}


def _apart(one: Replay, other: Replay, cause: Cause, words: str) -> Iterator[Difference]:
    for instrument, side in {**one.trades, **other.trades}:
        key = (instrument, side)
        amount = one.trades.get(key, ZERO) - other.trades.get(key, ZERO)
        before, after = (fills[key].quantity if key in fills else ZERO for fills in (other.fills, one.fills))
        yield Difference(cause, instrument, "", amount, f"{words}: {side} {after:f} instead of {before:f}")


def _of_order(
    effects: SessionEffects, outcome: OrderOutcome, model: ModelFill | None, replay: Replay, is_simulated: bool
) -> Iterator[Difference]:
    """Cut the difference of one order: shares that were not executed, prices, fees."""
    order, sign, done = outcome.order, outcome.sign, outcome.executed
    close, market = effects.closes[order.instrument], replay.market_prices.get(order.instrument)
    average = outcome.value / done if done else ZERO
    wanted = ZERO if model is None else model.quantity
    price = model.price if model is not None and wanted else market if market is not None else average
    fee = ZERO if model is None else model.fee
    fee_of_done = (fee * done / wanted).quantize(TICK) if wanted else ZERO
    paid = sign * (done * close - outcome.value) - outcome.profit
    missing = sign * (wanted - done) * (close - price) - (fee - fee_of_done)
    dearer = sign * (outcome.value - done * price)

    def differs(cause: Cause, amount: Decimal, words: str) -> Difference:
        return Difference(cause, order.instrument, order.client_order_id, amount, words)

    # The simulated exchange executes whatever it is given, so that only its bars can have been others.
    is_revised = is_simulated and outcome.ending not in ("denied", "rejected")
    unfilled: Cause = "operator_actions" if outcome.is_operators else "data_revisions" if is_revised else "unfilled"
    reason = outcome.reason or ("" if done else "it was never sent" if not is_simulated else "")
    yield differs(unfilled, missing, f"{order.side} {done:f} of {wanted:f}{': ' if reason else ''}{reason}")
    if is_simulated:
        revised = ZERO
        if outcome.market_value is not None and market is not None:
            revised = sign * (outcome.market_value - done * market)
        yield differs("data_revisions", revised, "the price of the market was revised")
        yield differs("code_changes", dearer - revised, "slippage and impact are computed otherwise")
        yield differs("code_changes", paid - fee_of_done, "fees are computed otherwise")
        return
    waited = ZERO
    if outcome.arrival is not None and market is not None:
        waited = sign * done * (outcome.arrival - market)
    yield differs("delay", waited, f"the price was {outcome.arrival} as it was sent, {market} when it was to execute")
    yield differs("impact", dearer - waited, f"{order.side} at {average:.4f}, by the backtest at {price:f}")
    yield differs("fees", paid - fee_of_done, f"fees of {paid:f}, by the backtest {fee_of_done:f}")


def _of_other_fills(orders: SessionOrders, effects: SessionEffects, events: Sequence[Event]) -> Iterator[Difference]:
    revised = _revised_instruments(effects, events)
    for effect in orders.late:
        cause: Cause = "data_revisions" if effect.event.payload["instrument"] in revised else "delay"
        yield _of_fill(effect, cause, "of an order of an earlier session")
    for effect in orders.strangers:
        yield _of_fill(effect, "operator_actions", "outside of every plan")


def _of_valuation(effects: SessionEffects, is_simulated: bool) -> Difference:
    """Name what the account's value differs from the closes of the market; without holdings nothing says why."""
    shares: dict[str, Decimal] = {}
    for name, quantity in (item for effect in effects.effects for item in effect.shares.items()):
        shares[name] = shares.get(name, ZERO) + quantity
    start = effects.start
    if not (start.positions or start.foreign_values or effects.foreign or any(shares.values())):
        words = "nothing was held at either close, and yet the account was worth something else than its cash"
        return Difference("unexplained", "", "", -effects.valuation, words)
    cause: Cause = "data_revisions" if is_simulated else "valuation"
    return Difference(cause, "", "", -effects.valuation, "closes of the account's value and of the market differ")


def _revised_instruments(effects: SessionEffects, events: Sequence[Event]) -> set[str]:
    """Return the instruments of what a session has corrected, busted or taken back of what was booked before."""
    facts = [effect.event.payload for effect in effects.of_kinds(*REVISING)]
    keys = {str(key) for each in facts for key in each.get("events", [each.get("fill")])}
    return {str(event.payload.get("instrument", "")) for event in events if keys and event.key in keys}


def _of_fill(effect: Effect, cause: Cause, words: str) -> Difference:
    facts = effect.event.payload
    detail = f"{facts['side']} {facts['quantity']} at {facts['price']}, {words}"
    return Difference(cause, facts["instrument"], facts.get("client_order_id", ""), -effect.profit, detail)


def _of_corporate_actions(effects: SessionEffects, replay: Replay) -> Iterator[Difference]:
    """Compare what corporate actions did to the account and to its shadow, instrument by instrument."""
    real: dict[str, Decimal] = {}
    for effect in effects.effects:
        if is_corporate(effect.event):
            name = str(effect.event.payload.get("instrument", ""))
            real[name] = real.get(name, ZERO) + effect.profit
    for name in {**replay.actions, **real}:
        amount = replay.actions.get(name, ZERO) - real.get(name, ZERO)
        words = f"the market's are worth {replay.actions.get(name, ZERO):f}, those booked {real.get(name, ZERO):f}"
        yield Difference("corporate_actions", name, "", amount, words)


def _of_other_events(effects: SessionEffects, replay: Replay) -> Iterator[Difference]:
    interest = sum((effect.profit for effect in effects.of_kinds(EventKind.INTEREST)), ZERO)
    yield Difference("fees", "", "", replay.interest - interest, "interest")
    for effect in effects.effects:
        event = effect.event
        if event.kind in (EventKind.FILL, EventKind.INTEREST) or is_corporate(event):
            continue
        name = str(event.payload.get("instrument", ""))
        cause, words = _SORTS.get(event.kind, ("unexplained", str(event.payload.get("message") or event.kind.value)))
        yield Difference(cause, name, "", -effect.profit, words)


_SORTS: Mapping[EventKind, tuple[Cause, str]] = {
    EventKind.FEE: ("fees", "a fee outside of trades"),
    EventKind.TAX: ("fees", "a tax outside of trades"),
    **dict.fromkeys(REVISING, ("data_revisions", "what was booked before was corrected")),
    **dict.fromkeys(_OPERATORS, ("operator_actions", "booked by the operator, or outside of the plans")),
}
