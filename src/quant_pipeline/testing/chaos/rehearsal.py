"""One small trading day of a process: a plan of sales and buys, execution, the close.

The day can be lived through again and again on the same ledger; only the first time something happens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pandas as pd

from quant_pipeline.common.exceptions import AccountError
from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.testing.chaos.broker import ACCOUNT_NUMBER, FaultyBroker
from quant_pipeline.testing.chaos.faults import Fault
from quant_pipeline.trading.ledger.events import Event
from quant_pipeline.trading.ledger.store import Ledger
from quant_pipeline.trading.orders.closing import close_books
from quant_pipeline.trading.orders.desk import TradingDesk, arming_event
from quant_pipeline.trading.orders.execution import execute, judge, recover, verdict_events
from quant_pipeline.trading.orders.execution_parameters import ExecutionRules
from quant_pipeline.trading.orders.journal import Journal
from quant_pipeline.trading.orders.kill_switch import KillSwitch
from quant_pipeline.trading.orders.lease import Lease
from quant_pipeline.trading.orders.plans import record_plan
from quant_pipeline.trading.orders.risk_limits import RiskLimits
from quant_pipeline.trading.orders.risk_view import InstrumentView
from quant_pipeline.trading.ports import Broker

ACCOUNT = "chaos"
DECIDED, SESSION = pd.Timestamp("2025-01-02"), pd.Timestamp("2025-01-03")
OPENED = pd.Timestamp("2025-01-03 14:35", tz="UTC")
CASH = Decimal(4_000)
HOLDINGS = {"KEEP": Decimal(40), "SELL": Decimal(60)}
PRICES = {name: Decimal(price) for name, price in
          {"KEEP": 50, "SELL": 100, "AAA": 50, "BBB": 20, "BAD": 10, "BIG": 40, "OUT": 5}.items()}  # fmt: skip
ORDERS = (
    ("SELL", "sell", 50),
    ("AAA", "buy", 30),
    ("BBB", "buy", 90),
    ("BAD", "buy", 20),
    ("BIG", "buy", 200),
)
"""``BIG`` stands above the limit of an order: a right desk never sends it."""
LATER_ORDERS = (("SELL", "sell", 10),)
"""The plan that another command records in the place of `ORDERS`."""
LIMITS = RiskLimits(
    max_order_weight=0.30,
    max_exit_weight=0.60,
    max_position_weight=0.30,
    max_sector_weight=1.0,
    max_denied_share=0.5,
    soft_daily_loss=0.5,
    hard_daily_loss=0.6,
    max_drawdown=0.6,
    max_clock_skew_seconds=60,
    max_trade_age_seconds=60,
)
RULES = ExecutionRules(
    account_number=ACCOUNT_NUMBER,
    needs_arming=True,
    wait_for_sales_seconds=16,
    wait_for_fills_seconds=24,
    poll_seconds=2,
    max_attempts=12,
    missing_fill_polls=6,
)


@dataclass(frozen=True)
class Clockwork:
    """Time as the process under test sees it; the broker lives by the same clock."""

    now: Callable[[], pd.Timestamp]
    sleep: Callable[[float], None]


def new_broker(faults: frozenset[Fault], seed: int) -> FaultyBroker:
    """Open the account at the broker as it stands before the day."""
    return FaultyBroker(CASH, HOLDINGS, PRICES, OPENED, faults, seed)


def exchange_calendar() -> TradingCalendar:
    """Return the sessions around the day."""
    return TradingCalendar.of("XNYS", SESSION - pd.Timedelta(days=10), SESSION + pd.Timedelta(days=10))


def open_desk(ledger_file: Path, broker: Broker, clockwork: Clockwork, holds_lease: bool = True) -> TradingDesk:
    """Open the desk of the rehearsal on a ledger, as a new process does."""
    ledger = Ledger.at(ledger_file)
    lease = None
    if holds_lease:
        lease = Lease.acquire(ledger.engine, RULES.lease_seconds, lambda: clockwork.now().timestamp())
    return TradingDesk(
        account=ACCOUNT,
        session=SESSION,
        journal=Journal(ledger, lease),
        broker=broker,
        kill_switch=KillSwitch(ledger_file.with_name("STOP"), {}),
        limits=LIMITS,
        rules=RULES,
        calendar=exchange_calendar(),
        deal_price="open",
        now=clockwork.now,
        sleep=clockwork.sleep,
    )


def live_through_the_day(
    desk: TradingDesk, close: Callable[[], None], meanwhile: Callable[[], bool] = lambda: False
) -> None:
    """Do everything that a day asks for; what has been done before is not done again.

    Parameters
    ----------
    desk
        The desk of this process.
    close
        Lets the exchange close, when the orders have been followed to their end.
    meanwhile
        What happens elsewhere between the verdicts and the first order; whether the session was planned again.
    """
    recover(desk)
    desk.journal.append([arming_event(SESSION, ACCOUNT_NUMBER)])
    if not _is_planned_again(desk):
        desk.journal.append(plan_events(desk.journal.ledger.events()))
    market = market_views()
    _record_verdicts(desk, market)
    if meanwhile():
        execute(desk, market, 0)
        _record_verdicts(desk, market)
    execute(desk, market, 0)
    close()
    close_books(desk)
    if desk.journal.lease is not None:
        desk.journal.lease.release()


def _is_planned_again(desk: TradingDesk) -> bool:
    plan = desk.journal.account.plans.get(SESSION)
    return plan is not None and plan.revision > 0


def _record_verdicts(desk: TradingDesk, market: dict[str, InstrumentView]) -> None:
    verdicts = judge(desk, market, 0)
    desk.journal.append(verdict_events(verdicts, f"{SESSION:%Y-%m-%d}", {"scores": "rehearsal", "data": "2025-01-02"}))


def plan_again(ledger_file: Path) -> bool:
    """Record the later plan, as another command does, and say so; nothing once an order of the session has left."""
    ledger = Ledger.at(ledger_file)
    try:
        return bool(ledger.append(plan_events(ledger.events(), LATER_ORDERS)))
    except AccountError:
        return False


def plan_events(
    events: tuple[Event, ...], orders_of_the_day: Sequence[tuple[str, str, int]] = ORDERS
) -> tuple[Event, ...]:
    """Record the plan of the day."""
    orders = pd.DataFrame(
        [(name, side, quantity, float(PRICES[name]), "rehearsal") for name, side, quantity in orders_of_the_day],
        columns=["instrument", "side", "quantity", "reference_price", "reason"],
    )
    return record_plan(events, orders, DECIDED, SESSION)


def market_views() -> dict[str, InstrumentView]:
    """Return what is known of the instruments at the decision."""
    return {name: InstrumentView(price, 0, Decimal(1_000_000), name, True, True) for name, price in PRICES.items()}
