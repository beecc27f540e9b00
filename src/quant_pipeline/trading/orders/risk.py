"""Pre-trade risk: every order is asked the same questions in the same order, and every denial carries its numbers.

The questions follow SEC rule 15c3-5 (17 CFR 240.15c3-5): authority, age of the data, instrument, duplicates, price,
size, position, exposure, cash, rate. Sales must be exits of what is held; they are not held against the limits of
positions, because they make them smaller.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from math import isfinite

from quant_pipeline.trading.ledger.events import Order
from quant_pipeline.trading.orders.risk_limits import RiskLimits
from quant_pipeline.trading.orders.risk_view import (
    DenialCode,
    InstrumentView,
    RiskView,
    Standing,
    TradingState,
    Verdict,
)

_UNKNOWN = InstrumentView(Decimal("NaN"), 0, Decimal(0), "", False, False)
_PERCENT = Decimal("0.000001")

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
        denied for what they are, everything is refused: such a plan is a mistake, and its good half is not trusted
        either. A plan to sell everything by the operator's command is no mistake.
    """
    tally = _Tally.start(view)
    verdicts = []
    for order in orders:
        verdict = _judge(_Question(order, view, limits, tally))
        if verdict.approved:
            tally.take(order, view)
        verdicts.append(verdict)
    wrong = sum(1 for verdict in verdicts if verdict.code is not None and verdict.code not in _OF_THE_ACCOUNT)
    if wrong > max(1, limits.max_denied_share * len(verdicts)) and not view.is_flattening:
        share = f"{wrong} of {len(verdicts)} orders denied"
        limit = f"{limits.max_denied_share:.0%}"
        return tuple(
            Verdict(known.order, DenialCode.PLAN_REFUSED, share, limit) if known.approved else known
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
    answer = _old_trade(order, facts, limits) or _unknown_price(order, facts) or _wrong_price(order, facts, limits)
    return Verdict(order) if answer is None else Verdict(order, *answer)


def state_after_losses(standing: Standing, limits: RiskLimits) -> tuple[TradingState, DenialCode] | None:
    """Return whether losses demand a stricter trading state than the account is in.

    Returns
    -------
    tuple or None
        The state and why, or None when the account may stay as it is. A state never becomes laxer by itself.
    """
    if standing.state is TradingState.HALTED or standing.is_flattening:
        return None
    if standing.daily_loss >= _decimal(limits.hard_daily_loss):
        return TradingState.HALTED, DenialCode.DAILY_LOSS
    if standing.drawdown >= _decimal(limits.max_drawdown):
        return TradingState.HALTED, DenialCode.DRAWDOWN
    if standing.state is TradingState.ACTIVE and standing.daily_loss >= _decimal(limits.soft_daily_loss):
        return TradingState.REDUCING, DenialCode.DAILY_LOSS
    return None


@dataclass
class _Tally:
    """What the account would hold if everything approved so far had been filled."""

    held: dict[str, Decimal]
    sector_value: dict[str, Decimal]
    gross: Decimal
    cash: Decimal
    turnover: Decimal
    count: int
    sides: dict[str, str]

    @classmethod
    def start(cls, view: RiskView) -> _Tally:
        tally = cls(dict(view.positions), {}, Decimal(0), view.cash, view.value_sent, view.orders_sent, {})
        for instrument, quantity in view.positions.items():
            facts = view.instruments.get(instrument, _UNKNOWN)
            value = _held_value(instrument, quantity, facts, view)
            tally.gross += value
            sector = _sector(instrument, facts)
            tally.sector_value[sector] = tally.sector_value.get(sector, Decimal(0)) + value
        return tally

    def take(self, order: Order, view: RiskView) -> None:
        facts = view.instruments[order.instrument]
        sign = 1 if order.side == "buy" else -1
        value = _value(order, facts)
        self.held[order.instrument] = self.held.get(order.instrument, Decimal(0)) + sign * order.quantity
        # An exit frees its last known value; what it really brings is seen before the buys leave.
        change = value if sign > 0 else -order.quantity * facts.price
        self.gross += change
        sector = _sector(order.instrument, facts)
        self.sector_value[sector] = self.sector_value.get(sector, Decimal(0)) + change
        self.cash -= change
        self.turnover += value
        self.count += 1
        self.sides[order.instrument] = order.side


@dataclass(frozen=True)
class _Question:
    """One order before the judge."""

    order: Order
    view: RiskView
    limits: RiskLimits
    tally: _Tally

    @property
    def facts(self) -> InstrumentView:
        return self.view.instruments.get(self.order.instrument, _UNKNOWN)

    @property
    def is_buy(self) -> bool:
        return self.order.side == "buy"

    @property
    def value(self) -> Decimal:
        return _value(self.order, self.facts)


_Answer = tuple[DenialCode, str, str] | None


def _judge(question: _Question) -> Verdict:
    leaves_by_order = question.view.is_flattening and not question.is_buy
    for ask in _QUESTIONS_ABOUT_A_WAY_OUT if leaves_by_order else _QUESTIONS:
        answer = ask(question)
        if answer is not None:
            return Verdict(question.order, *answer)
    return Verdict(question.order)


def _ask_state(q: _Question) -> _Answer:
    limits, view = q.limits, q.view
    if view.state is TradingState.HALTED:
        return DenialCode.TRADING_HALTED, "the account is halted", ""
    if view.is_flattening and not q.is_buy:
        return None
    if view.daily_loss >= _decimal(limits.hard_daily_loss):
        return DenialCode.DAILY_LOSS, _text(view.daily_loss), _text(limits.hard_daily_loss)
    if view.drawdown >= _decimal(limits.max_drawdown):
        return DenialCode.DRAWDOWN, _text(view.drawdown), _text(limits.max_drawdown)
    if q.is_buy and view.state is TradingState.REDUCING:
        return DenialCode.REDUCE_ONLY, "the account lets only exits through", ""
    if q.is_buy and view.daily_loss >= _decimal(limits.soft_daily_loss):
        return DenialCode.DAILY_LOSS, _text(view.daily_loss), _text(limits.soft_daily_loss)
    return None


def _ask_arming(q: _Question) -> _Answer:
    if not q.view.armed:
        return DenialCode.NOT_ARMED, f"the account is not armed for {q.view.session:%Y-%m-%d}", ""
    return None


def _ask_staleness(q: _Question) -> _Answer:
    limits, view = q.limits, q.view
    if view.clock_skew_seconds > limits.max_clock_skew_seconds:
        return DenialCode.CLOCK_SKEW, f"{view.clock_skew_seconds:.1f} s", f"{limits.max_clock_skew_seconds:.1f} s"
    if limits.allow_stale_exit and not q.is_buy:
        return None
    if not 0 <= view.signal_age <= limits.max_signal_age:
        return DenialCode.STALE_SIGNAL, f"{view.signal_age} sessions", f"{limits.max_signal_age} sessions"
    if not 0 <= q.facts.price_age <= limits.max_price_age:
        return DenialCode.STALE_DATA, f"{q.facts.price_age} sessions", f"{limits.max_price_age} sessions"
    return None


def _old_trade(order: Order, facts: InstrumentView, limits: RiskLimits) -> _Answer:
    oldest, age = limits.max_trade_age_seconds, facts.trade_age
    if oldest is None or age is None or age <= oldest or (limits.allow_stale_exit and order.side == "sell"):
        return None
    found = f"last trade {age:.0f} s ago" if isfinite(age) else "no trade of this session is known"
    return DenialCode.STALE_DATA, found, f"{oldest:g} s"


def _ask_symbol(q: _Question) -> _Answer:
    if q.order.instrument in q.limits.restricted:
        return DenialCode.RESTRICTED, q.order.instrument, ""
    if q.order.instrument in q.view.foreign:
        return DenialCode.FOREIGN_POSITION, f"{q.order.instrument} is held short or is no share", ""
    if not q.facts.tradable:
        return DenialCode.NOT_TRADABLE, q.order.instrument, ""
    if q.is_buy and not q.facts.member:
        return DenialCode.NOT_IN_UNIVERSE, q.order.instrument, ""
    return None


def _ask_duplicate(q: _Question) -> _Answer:
    order = q.order
    for side, order_id in sorted(q.view.live_orders.get(order.instrument, ())):
        has_ended = order_id in q.view.ended_orders
        if side == order.side and not (q.view.is_flattening and has_ended):
            return DenialCode.DUPLICATE_ORDER, order.client_order_id, order_id
        if side != order.side and (q.is_buy or not has_ended):
            return DenialCode.OPPOSITE_ORDER, order.client_order_id, order_id
    before = q.tally.sides.get(order.instrument)
    if before is not None:
        code = DenialCode.DUPLICATE_ORDER if before == order.side else DenialCode.OPPOSITE_ORDER
        return code, order.client_order_id, "an order of this plan"
    return None


def _ask_known_price(q: _Question) -> _Answer:
    return _unknown_price(q.order, q.facts)


def _unknown_price(order: Order, facts: InstrumentView) -> _Answer:
    reference, last = Decimal(order.reference_price), facts.price
    if reference.is_finite() and last.is_finite() and reference > 0 and last > 0:
        return None
    return DenialCode.INVALID_PRICE, f"reference {reference}, last known {last}", "two positive prices"


def _ask_price(q: _Question) -> _Answer:
    return _wrong_price(q.order, q.facts, q.limits)


def _wrong_price(order: Order, facts: InstrumentView, limits: RiskLimits) -> _Answer:
    reference, last = Decimal(order.reference_price), facts.price
    distance = abs(reference / last - 1)
    if distance > _decimal(limits.price_collar):
        return DenialCode.PRICE_COLLAR, _text(distance), _text(limits.price_collar)
    if order.side == "buy" and min(reference, last) < _decimal(limits.min_price):
        return DenialCode.MINIMUM_PRICE, str(min(reference, last)), str(limits.min_price)
    return None


def _ask_quantity(q: _Question) -> _Answer:
    order = q.order
    if order.side not in ("buy", "sell") or order.quantity <= 0:
        return DenialCode.INVALID_QUANTITY, f"{order.side} {order.quantity}", "buy or sell of at least one share"
    held = q.tally.held.get(order.instrument, Decimal(0))
    if not q.is_buy and order.quantity > held:
        return DenialCode.SHORT_SALE, str(order.quantity), f"{held} shares held"
    return None


def _ask_size(q: _Question) -> _Answer:
    order, limits, equity = q.order, q.limits, q.view.equity
    weight = limits.max_order_weight if q.is_buy else limits.max_exit_weight
    if q.value > _decimal(weight) * equity:
        return DenialCode.ORDER_VALUE, _cents(q.value), _cents(_decimal(weight) * equity)
    if q.is_buy and limits.max_order_value is not None and q.value > _decimal(limits.max_order_value):
        return DenialCode.ORDER_VALUE, _cents(q.value), _cents(_decimal(limits.max_order_value))
    if not q.facts.average_volume.is_finite():
        return DenialCode.PARTICIPATION, f"{order.quantity} shares", "unknown volume"
    if order.quantity > _decimal(limits.max_participation) * q.facts.average_volume:
        most = _decimal(limits.max_participation) * q.facts.average_volume
        return DenialCode.PARTICIPATION, f"{order.quantity} shares", f"{most:.0f} shares"
    traded = q.facts.average_volume * q.facts.price
    if q.is_buy and traded < _decimal(limits.min_traded_value):
        return DenialCode.ILLIQUID, _cents(traded), _cents(_decimal(limits.min_traded_value))
    return None


def _ask_exposure(q: _Question) -> _Answer:
    if not q.is_buy:
        return None
    limits, equity, tally = q.limits, q.view.equity, q.tally
    held = tally.held.get(q.order.instrument, Decimal(0)) * q.facts.price
    after = (
        (DenialCode.POSITION_WEIGHT, held + q.value, limits.max_position_weight),
        (
            DenialCode.SECTOR_WEIGHT,
            tally.sector_value.get(_sector(q.order.instrument, q.facts), Decimal(0)) + q.value,
            limits.max_sector_weight,
        ),
        (DenialCode.GROSS_EXPOSURE, tally.gross + q.value, limits.max_gross_exposure),
    )
    for code, value, limit in after:
        if value > _decimal(limit) * equity:
            return code, _cents(value), _cents(_decimal(limit) * equity)
    return None


def _ask_turnover(q: _Question) -> _Answer:
    # Exits are counted but pass: a limit must not block an exit.
    most = _decimal(q.limits.max_turnover) * q.view.equity
    if q.is_buy and q.tally.turnover + q.value > most:
        return DenialCode.TURNOVER, _cents(q.tally.turnover + q.value), _cents(most)
    money = q.limits.max_daily_value
    if q.is_buy and money is not None and q.tally.turnover + q.value > _decimal(money):
        return DenialCode.DAILY_VALUE, _cents(q.tally.turnover + q.value), _cents(_decimal(money))
    return None


def _ask_day_trades(q: _Question) -> _Answer:
    done, most = q.view.day_trades, q.limits.max_day_trades
    is_another = not q.is_buy and q.order.instrument in q.view.bought_today
    if is_another and done is not None and most is not None and done >= most:
        return DenialCode.DAY_TRADES, f"{done} in five sessions, and {q.order.instrument} was bought today", str(most)
    return None


def _ask_cash(q: _Question) -> _Answer:
    available = q.tally.cash - _decimal(q.limits.min_cash) * q.view.equity
    if q.is_buy and q.value > available:
        return DenialCode.INSUFFICIENT_CASH, _cents(q.value), _cents(available)
    return None


def _ask_rate(q: _Question) -> _Answer:
    if q.tally.count >= q.limits.max_orders_per_session:
        return DenialCode.ORDER_COUNT, str(q.tally.count + 1), str(q.limits.max_orders_per_session)
    return None


_QUESTIONS: tuple[Callable[[_Question], _Answer], ...] = (
    _ask_state,
    _ask_arming,
    _ask_staleness,
    _ask_symbol,
    _ask_duplicate,
    _ask_known_price,
    _ask_price,
    _ask_quantity,
    _ask_size,
    _ask_exposure,
    _ask_turnover,
    _ask_day_trades,
    _ask_cash,
    _ask_rate,
)
# The operator who orders to sell everything knows losses, prices and sizes; no limit blocks that.
_QUESTIONS_ABOUT_A_WAY_OUT = (
    _ask_state,
    _ask_arming,
    _ask_symbol,
    _ask_duplicate,
    _ask_known_price,
    _ask_quantity,
)


def _sector(instrument: str, facts: InstrumentView) -> str:
    """Name the sector; an instrument without one is a sector by itself, and only the limit of a name holds it."""
    return facts.sector or f"only {instrument}"


def _held_value(instrument: str, quantity: Decimal, facts: InstrumentView, view: RiskView) -> Decimal:
    """Value a holding at its last known price, else as the broker does; what has no value at all is without bound."""
    if facts.price.is_finite() and instrument not in view.foreign:
        return abs(quantity) * facts.price
    stated = view.market_values.get(instrument)
    return Decimal("Infinity") if stated is None else abs(stated)


def _value(order: Order, facts: InstrumentView) -> Decimal:
    """Value an order at the dearer of its reference and the last known price."""
    return order.quantity * max(Decimal(order.reference_price), facts.price)


@lru_cache(maxsize=256)
def _decimal(limit: float) -> Decimal:
    return Decimal(str(limit))


def _text(part: Decimal | float) -> str:
    return str(Decimal(str(part)).quantize(_PERCENT).normalize())


def _cents(amount: Decimal) -> str:
    return f"{amount:.2f}"
