"""Orders per second through risk and log, and how fast a long ledger is written, verified and replayed.

Run ``python benchmarks/ledger.py --help``. The ledger lies on the disk of the temporary folder, fully synchronised.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from decimal import Decimal
from pathlib import Path

import pandas as pd

from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.testing.chaos.broker import FaultyBroker
from quant_pipeline.trading.ledger.account import AccountState
from quant_pipeline.trading.ledger.events import Event, EventKind, Order, client_order_id
from quant_pipeline.trading.ledger.store import Ledger
from quant_pipeline.trading.orders.account_orders import AccountOrders
from quant_pipeline.trading.orders.desk import TradingDesk
from quant_pipeline.trading.orders.execution import judge, verdict_events
from quant_pipeline.trading.orders.execution_parameters import ExecutionRules
from quant_pipeline.trading.orders.journal import Journal
from quant_pipeline.trading.orders.kill_switch import KillSwitch
from quant_pipeline.trading.orders.lease import Lease
from quant_pipeline.trading.orders.risk_limits import RiskLimits
from quant_pipeline.trading.orders.risk_view import InstrumentView
from quant_pipeline.trading.orders.sending import send_side

SESSION = pd.Timestamp("2025-01-03")
NOON = pd.Timestamp("2025-01-03 17:00", tz="UTC")
EVENTS_A_BATCH = 20_000
EVENTS_AN_ORDER = 4
INSTRUMENTS = 500


def open_desk(folder: Path, orders: int) -> TradingDesk:
    """Open a desk at a broker that answers at once, with limits wide enough for all orders."""
    names = [f"N{number:05d}" for number in range(orders)]
    broker = FaultyBroker(Decimal(10**9), {}, dict.fromkeys(names, Decimal(50)), NOON)
    ledger = Ledger.at(folder / "ledger.sqlite")
    limits = RiskLimits(max_orders_per_session=10**6, max_orders_per_minute=10**6, max_sector_weight=1.0)
    return TradingDesk(
        account="bench",
        session=SESSION,
        journal=Journal(ledger, Lease.acquire(ledger.engine, 600, time.time)),
        broker=broker,
        kill_switch=KillSwitch(folder / "STOP", {}),
        limits=limits,
        rules=ExecutionRules(),
        calendar=TradingCalendar.of("XNYS", "2024-12-01", "2025-02-01"),
        deal_price="open",
        now=lambda: NOON,
        sleep=lambda seconds: None,
    )


def measure_orders(folder: Path, orders: int) -> tuple[float, float]:
    """Return orders per second through the risk check alone, and through check, record, kill switch, send and log."""
    desk = open_desk(folder, orders)
    market = {
        name: InstrumentView(price, 0, Decimal(10**7), f"S{index % 11}", True, True)
        for index, (name, price) in enumerate(desk.broker.prices.items())
    }
    plan = [
        Order(client_order_id("bench", SESSION, name, "buy", 0), name, "buy", 10, "50.0000", "benchmark")
        for name in market
    ]
    facts = {"deal_session": "2025-01-03", "revision": 0, "orders": [asdict(order) for order in plan]}
    opened = {"account": "bench", "cash": "1000000000"}
    desk.journal.append(
        [
            Event(SESSION, EventKind.ACCOUNT_OPENED, "open:bench", opened),
            Event(SESSION, EventKind.PLAN_RECORDED, "plan:0", facts),
        ]
    )
    start = time.perf_counter()
    verdicts = judge(desk, market, 0)
    judged = time.perf_counter()
    assert all(verdict.approved for verdict in verdicts), "the benchmark's orders must pass"
    desk.journal.append(verdict_events(verdicts, "2025-01-03", {"scores": "benchmark", "data": "2025-01-02"}))
    send_side(desk, "buy")
    end = time.perf_counter()
    assert len(desk.broker.received) == orders, "every order must have been sent"
    return orders / (judged - start), orders / (end - start)


def long_history(events: int) -> Iterator[Event]:
    """Make the events of an account that has ordered for years: recorded, submitted, accepted, executed."""
    sessions = TradingCalendar.of("XNYS", "2006-01-03", "2025-12-31").sessions
    yield Event(sessions[0], EventKind.ACCOUNT_OPENED, "open:bench", {"account": "bench", "cash": "1000000000"})
    orders = events // EVENTS_AN_ORDER
    per_session = -(-orders // len(sessions))
    for number in range(orders):
        session = sessions[number // per_session]
        # Every name is bought and sold in turn, so that lots open and close.
        side = "buy" if (number // INSTRUMENTS) % 2 == 0 else "sell"
        name = f"N{number % INSTRUMENTS:03d}"
        order_id = f"bench-{session:%Y%m%d}-{name}-{side}-{number}"
        order = asdict(Order(order_id, name, side, 10, "50.0000", "benchmark"))
        recorded = {"order": order, "deal_session": f"{session:%Y-%m-%d}", "provenance": {}}
        yield Event(session, EventKind.ORDER_RECORDED, f"order:{order_id}", recorded)
        sent = {"client_order_id": order_id, "at": "2025-01-03T15:00:00+00:00"}
        yield Event(session, EventKind.ORDER_SUBMITTING, f"submitting:{order_id}", sent)
        accepted = {"client_order_id": order_id, "broker_order_id": f"B{number}"}
        yield Event(session, EventKind.ORDER_ACCEPTED, f"accepted:{order_id}", accepted)
        dealt = {"client_order_id": order_id, "instrument": name, "side": side, "requested": "10", "quantity": "10"}
        dealt |= {"price": f"{50 + number % 7}.25", "fee": "0", "status": "filled", "message": ""}
        yield Event(session, EventKind.FILL, f"fill:{number}", dealt)


def measure_history(folder: Path, events: int) -> dict[str, float]:
    """Write, verify and replay a long ledger; return events per second."""
    ledger = Ledger.at(folder / "history.sqlite")
    batch, writing, written = [], 0.0, 0
    for event in long_history(events):
        batch.append(event)
        if len(batch) == EVENTS_A_BATCH:
            start = time.perf_counter()
            written += ledger.append(batch)
            writing += time.perf_counter() - start
            batch = []
    start = time.perf_counter()
    written += ledger.append(batch)
    writing += time.perf_counter() - start
    start = time.perf_counter()
    known = ledger.events()
    collecting = time.perf_counter() - start
    start = time.perf_counter()
    book, account = AccountOrders.of(known), AccountState()
    for event in known:
        account.apply(event)
    folding = time.perf_counter() - start
    assert not book.live, "every order of the history has been filled"
    assert account.discrepancy == 0, "nothing may appear from nowhere"
    start = time.perf_counter()
    assert ledger.verify() == written, "the chain must hold"
    verifying = time.perf_counter() - start
    return {
        "append": written / writing,
        "collect": written / collecting,
        "fold": written / folding,
        "replay": written / (collecting + folding),
        "verify": written / verifying,
    }


def main() -> None:
    """Print one table, and one JSON object as the last line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=2_000, help="orders of one session")
    parser.add_argument("--events", type=int, default=1_000_000, help="length of the ledger to replay")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        judged, sent = measure_orders(Path(folder), arguments.orders)
        rates = measure_history(Path(folder), arguments.events)
    print(f"{'step':<58} {'per second':>12}")
    print(f"{'orders through the risk check':<58} {judged:>12,.0f}")
    print(f"{'orders through check, record, kill switch, send, log':<58} {sent:>12,.0f}")
    for step, rate in rates.items():
        print(f"{f'events: {step} of a ledger of {arguments.events:,}':<58} {rate:>12,.0f}")
    figures = {"orders_per_second": round(sent, 1), "replay_events_per_second": round(rates["replay"])}
    figures |= {f"{step}_events_per_second": round(rate) for step, rate in rates.items() if step != "replay"}
    print(json.dumps({**figures, "risk_checks_per_second": round(judged), "events": arguments.events}))


if __name__ == "__main__":
    main()
