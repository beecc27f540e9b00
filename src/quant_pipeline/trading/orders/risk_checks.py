"""The checks of an order, one after the other: each finds nothing, or why it denies and the values it compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from math import isfinite

from quant_pipeline.trading.ledger.events import Order
from quant_pipeline.trading.orders.risk_limits import RiskLimits
from quant_pipeline.trading.orders.risk_view import DenialCode, InstrumentView, RiskView, TradingState, Verdict

UNKNOWN = InstrumentView(Decimal("NaN"), 0, Decimal(0), "", False, False)
_PERCENT = Decimal("0.000001")


@dataclass
class Tally:
    """What the account would hold if everything approved so far had been filled."""

    held: dict[str, Decimal]
    sector_value: dict[str, Decimal]
    gross: Decimal
    cash: Decimal
    turnover: Decimal
    count: int
    sides: dict[str, str]

    @classmethod
    def start(cls, view: RiskView) -> Tally:
        """Begin with what the account holds."""
        tally = cls(dict(view.positions), {}, Decimal(0), view.cash, view.value_sent, view.orders_sent, {})
        for instrument, quantity in view.positions.items():
            facts = view.instruments.get(instrument, UNKNOWN)
            value = _held_value(instrument, quantity, facts, view)
            tally.gross += value
            sector = _sector(instrument, facts)
            tally.sector_value[sector] = tally.sector_value.get(sector, Decimal(0)) + value
        return tally

    def take(self, order: Order, view: RiskView) -> None:
        """Count an order as filled."""
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
class Candidate:
    """One order that is checked, with what it is checked against."""

    order: Order
    view: RiskView
    limits: RiskLimits
    tally: Tally

    @property
    def facts(self) -> InstrumentView:
        """The instrument."""
        return self.view.instruments.get(self.order.instrument, UNKNOWN)

    @property
    def is_buy(self) -> bool:
        """Whether it buys."""
        return self.order.side == "buy"

    @property
    def value(self) -> Decimal:
        """Its value at the higher of its reference and the last price."""
        return _value(self.order, self.facts)


Answer = tuple[DenialCode, str, str] | None


def check_order(candidate: Candidate) -> Verdict:
    """Check an order until a check denies it."""
    is_flattened = candidate.view.is_flattening and not candidate.is_buy
    for check in FLATTEN_CHECKS if is_flattened else CHECKS:
        answer = check(candidate)
        if answer is not None:
            return Verdict(candidate.order, *answer)
    return Verdict(candidate.order)


def _check_state(q: Candidate) -> Answer:
    limits, view = q.limits, q.view
    if view.state is TradingState.HALTED:
        return DenialCode.TRADING_HALTED, "the account is halted", ""
    if view.is_flattening and not q.is_buy:
        return None
    if view.daily_loss >= as_decimal(limits.hard_daily_loss):
        return DenialCode.DAILY_LOSS, _text(view.daily_loss), _text(limits.hard_daily_loss)
    if view.drawdown >= as_decimal(limits.max_drawdown):
        return DenialCode.DRAWDOWN, _text(view.drawdown), _text(limits.max_drawdown)
    if q.is_buy and view.state is TradingState.REDUCING:
        return DenialCode.REDUCE_ONLY, "the account lets only exits through", ""
    if q.is_buy and view.daily_loss >= as_decimal(limits.soft_daily_loss):
        return DenialCode.DAILY_LOSS, _text(view.daily_loss), _text(limits.soft_daily_loss)
    return None


def _check_arming(q: Candidate) -> Answer:
    if not q.view.armed:
        return DenialCode.NOT_ARMED, f"the account is not armed for {q.view.session:%Y-%m-%d}", ""
    return None


def _check_staleness(q: Candidate) -> Answer:
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


def old_trade(order: Order, facts: InstrumentView, limits: RiskLimits) -> Answer:
    """Deny an order whose instrument has not traded for too long."""
    oldest, age = limits.max_trade_age_seconds, facts.trade_age
    if oldest is None or age is None or age <= oldest or (limits.allow_stale_exit and order.side == "sell"):
        return None
    found = f"last trade {age:.0f} s ago" if isfinite(age) else "no trade of this session is known"
    return DenialCode.STALE_DATA, found, f"{oldest:g} s"


def _check_symbol(q: Candidate) -> Answer:
    if q.order.instrument.upper() in {name.strip().upper() for name in q.limits.restricted}:
        return DenialCode.RESTRICTED, q.order.instrument, ""
    if q.order.instrument in q.view.foreign:
        return DenialCode.FOREIGN_POSITION, f"{q.order.instrument} is held short or is no share", ""
    if q.order.instrument in q.view.converting and not q.view.is_flattening:
        return DenialCode.CORPORATE_ACTION, f"a part of a corporate action of {q.order.instrument} is missing", ""
    if not q.facts.tradable:
        return DenialCode.NOT_TRADABLE, q.order.instrument, ""
    if q.is_buy and not q.facts.member:
        return DenialCode.NOT_IN_UNIVERSE, q.order.instrument, ""
    return None


def _check_duplicate(q: Candidate) -> Answer:
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


def _check_known_price(q: Candidate) -> Answer:
    return unknown_price(q.order, q.facts)


def unknown_price(order: Order, facts: InstrumentView) -> Answer:
    """Deny an order without a price to compare."""
    reference, last = Decimal(order.reference_price), facts.price
    if reference.is_finite() and last.is_finite() and reference > 0 and last > 0:
        return None
    return DenialCode.INVALID_PRICE, f"reference {reference}, last known {last}", "two positive prices"


def _check_price(q: Candidate) -> Answer:
    return wrong_price(q.order, q.facts, q.limits)


def wrong_price(order: Order, facts: InstrumentView, limits: RiskLimits) -> Answer:
    """Deny an order whose reference is too far from the last price, or a buy of too cheap a share."""
    reference, last = Decimal(order.reference_price), facts.price
    distance = abs(reference / last - 1)
    if distance > as_decimal(limits.price_collar):
        return DenialCode.PRICE_COLLAR, _text(distance), _text(limits.price_collar)
    if order.side == "buy" and min(reference, last) < as_decimal(limits.min_price):
        return DenialCode.MINIMUM_PRICE, str(min(reference, last)), str(limits.min_price)
    return None


def _check_quantity(q: Candidate) -> Answer:
    order = q.order
    if order.side not in ("buy", "sell") or order.quantity <= 0:
        return DenialCode.INVALID_QUANTITY, f"{order.side} {order.quantity}", "buy or sell of at least one share"
    held = q.tally.held.get(order.instrument, Decimal(0))
    if not q.is_buy and order.quantity > held:
        return DenialCode.SHORT_SALE, str(order.quantity), f"{held} shares held"
    return None


def _check_size(q: Candidate) -> Answer:
    order, limits, equity = q.order, q.limits, q.view.equity
    weight = limits.max_order_weight if q.is_buy else limits.max_exit_weight
    if q.value > as_decimal(weight) * equity:
        return DenialCode.ORDER_VALUE, _part(q.value, equity), _limit(weight, equity)
    if q.is_buy and limits.max_order_value is not None and q.value > as_decimal(limits.max_order_value):
        return DenialCode.ORDER_VALUE, _cents(q.value), _cents(as_decimal(limits.max_order_value))
    if not q.facts.average_volume.is_finite():
        return DenialCode.PARTICIPATION, f"{order.quantity} shares", "unknown volume"
    if order.quantity > as_decimal(limits.max_participation) * q.facts.average_volume:
        most = as_decimal(limits.max_participation) * q.facts.average_volume
        return DenialCode.PARTICIPATION, f"{order.quantity} shares", f"{most:.0f} shares"
    traded = q.facts.average_volume * q.facts.price
    if q.is_buy and traded < as_decimal(limits.min_traded_value):
        return DenialCode.ILLIQUID, _cents(traded), _cents(as_decimal(limits.min_traded_value))
    return None


def _check_exposure(q: Candidate) -> Answer:
    if not q.is_buy:
        return None
    limits, equity, tally = q.limits, q.view.equity, q.tally
    instrument, sector = q.order.instrument, _sector(q.order.instrument, q.facts)
    held = tally.held.get(instrument, Decimal(0)) * q.facts.price
    of_sector = tally.sector_value.get(sector, Decimal(0))
    after = (
        (DenialCode.POSITION_WEIGHT, instrument, held + q.value, limits.max_position_weight),
        (DenialCode.SECTOR_WEIGHT, f"sector {sector}", of_sector + q.value, limits.max_sector_weight),
        (DenialCode.GROSS_EXPOSURE, "all positions", tally.gross + q.value, limits.max_gross_exposure),
    )
    for code, what, value, limit in after:
        if value > as_decimal(limit) * equity:
            return code, f"{what} {_part(value, equity)}", _limit(limit, equity)
    return None


def _check_turnover(q: Candidate) -> Answer:
    # Exits are counted but pass: a limit must not block an exit.
    turnover, equity = q.tally.turnover + q.value, q.view.equity
    if q.is_buy and turnover > as_decimal(q.limits.max_turnover) * equity:
        return DenialCode.TURNOVER, f"orders {_part(turnover, equity)}", _limit(q.limits.max_turnover, equity)
    money = q.limits.max_daily_value
    if q.is_buy and money is not None and turnover > as_decimal(money):
        return DenialCode.DAILY_VALUE, _cents(turnover), _cents(as_decimal(money))
    return None


def _check_day_trades(q: Candidate) -> Answer:
    done, most = q.view.day_trades, q.limits.max_day_trades
    is_another = not q.is_buy and q.order.instrument in q.view.bought_today
    if is_another and done is not None and most is not None and done >= most:
        return DenialCode.DAY_TRADES, f"{done} in five sessions, and {q.order.instrument} was bought today", str(most)
    return None


def _check_cash(q: Candidate) -> Answer:
    available = q.tally.cash - as_decimal(q.limits.min_cash) * q.view.equity
    if q.is_buy and q.value > available:
        return DenialCode.INSUFFICIENT_CASH, _cents(q.value), _cents(available)
    return None


def _check_rate(q: Candidate) -> Answer:
    if q.tally.count >= q.limits.max_orders_per_session:
        return DenialCode.ORDER_COUNT, str(q.tally.count + 1), str(q.limits.max_orders_per_session)
    return None


CHECKS: tuple[Callable[[Candidate], Answer], ...] = (
    _check_state,
    _check_arming,
    _check_staleness,
    _check_symbol,
    _check_duplicate,
    _check_known_price,
    _check_price,
    _check_quantity,
    _check_size,
    _check_exposure,
    _check_turnover,
    _check_day_trades,
    _check_cash,
    _check_rate,
)
# The operator who orders to sell everything knows losses, prices and sizes; no limit blocks that.
FLATTEN_CHECKS = (
    _check_state,
    _check_arming,
    _check_symbol,
    _check_duplicate,
    _check_known_price,
    _check_quantity,
)


def _sector(instrument: str, facts: InstrumentView) -> str:
    """Name the sector; an instrument without one is a sector of its own, and only the limit of a name holds it."""
    return facts.sector or f"only {instrument}"


def _held_value(instrument: str, quantity: Decimal, facts: InstrumentView, view: RiskView) -> Decimal:
    """Value a holding at its last known price, else as the broker does; what has no value at all is without bound."""
    if facts.price.is_finite() and instrument not in view.foreign:
        return abs(quantity) * facts.price
    stated = view.market_values.get(instrument)
    return Decimal("Infinity") if stated is None else abs(stated)


def _value(order: Order, facts: InstrumentView) -> Decimal:
    """Value an order at the higher of its reference and the last known price."""
    return order.quantity * max(Decimal(order.reference_price), facts.price)


@lru_cache(maxsize=256)
def as_decimal(limit: float) -> Decimal:
    """Return a limit as it is written."""
    return Decimal(str(limit))


def _text(part: Decimal | float) -> str:
    return str(Decimal(str(part)).quantize(_PERCENT).normalize())


def _part(amount: Decimal, equity: Decimal) -> str:
    """Write an amount as a part of the equity and as money."""
    if not amount.is_finite():
        return "of unknown value"
    return f"{amount / equity:.2%} ({amount:.2f})" if equity > 0 else f"{amount:.2f}"


def _limit(part: float, equity: Decimal) -> str:
    """Write a limit as a part of the equity and as money."""
    return f"{(100 * as_decimal(part)).normalize():f}% ({as_decimal(part) * equity:.2f})"


def _cents(amount: Decimal) -> str:
    return f"{amount:.2f}"
