"""The whole day of the rehearsal through the adapter of Alpaca, before a fake Alpaca that fails as the script says."""

import time
from dataclasses import replace

import pytest

from quant_pipeline.testing.chaos import rehearsal
from quant_pipeline.testing.fake_alpaca import (
    API_KEY,
    SECRET_KEY,
    Director,
    ExchangeHours,
    FakeAlpaca,
    FakeExchange,
    FaultKind,
    FeedScript,
    OrderScript,
    Refusal,
    Request,
    Script,
    ScriptedFault,
)
from quant_pipeline.trading.brokers.alpaca.adapter import AlpacaAdapter
from quant_pipeline.trading.brokers.alpaca.broker import AlpacaBroker
from quant_pipeline.trading.orders.closing import close_books
from quant_pipeline.trading.orders.desk import arming_event
from quant_pipeline.trading.orders.execution import execute, judge, recover, verdict_events
from quant_pipeline.trading.orders.reconciliation import find_breaks
from quant_pipeline.trading.orders.risk_view import TradingState

OPEN, CLOSED = "2025-01-03 14:35", "2025-01-03 21:05"
PLAIN = {"SELL": "filled", "AAA": "filled", "BBB": "filled", "BAD": "filled", "BIG": "denied"}

SCRIPTS = {
    "nothing": (Script(), PLAIN),
    "answers lost after the order was taken": (
        Script(faults=(ScriptedFault(request=Request.SUBMIT, kind=FaultKind.STATUS_AFTER, status=504, times=3),)),
        PLAIN,
    ),
    "connections reset before the order was seen": (
        Script(faults=(ScriptedFault(request=Request.SUBMIT, kind=FaultKind.RESET_BEFORE, times=2),)),
        PLAIN,
    ),
    "too many requests": (
        Script(faults=(ScriptedFault(request=Request.SUBMIT, kind=FaultKind.STATUS_BEFORE, status=429, times=2),)),
        PLAIN,
    ),
    "fills in parts, told twice and in disorder": (
        Script(
            orders=(OrderScript(times=4, parts=("0.3", "0.4")),),
            feed=FeedScript(duplicate=True, reorder=True, hidden_reads=1),
        ),
        PLAIN,
    ),
    "one order refused": (
        Script(orders=(OrderScript(instrument="BAD", refuse=Refusal.NOT_TRADABLE),)),
        {**PLAIN, "BAD": "rejected"},
    ),
    "rest of an order cancelled": (
        Script(orders=(OrderScript(instrument="AAA", parts=("0.5",), ending="canceled"),)),
        {**PLAIN, "AAA": "canceled"},
    ),
}


@pytest.mark.parametrize(("script", "states"), SCRIPTS.values(), ids=SCRIPTS.keys())
def test_a_day_at_alpaca_ends_with_equal_books(tmp_path, script, states):
    hours = ExchangeHours(OPEN)
    exchange = FakeExchange(rehearsal.CASH, rehearsal.PRICES, Director(script), hours=hours)
    for name, quantity in rehearsal.HOLDINGS.items():
        exchange.move(name, quantity, rehearsal.PRICES[name])
    exchange.last_equity = exchange.equity()
    with FakeAlpaca(exchange) as server:
        parameters = AlpacaAdapter(url=server.url, read_pause_seconds=0.01, requests_a_minute=100_000)
        broker = AlpacaBroker(parameters, API_KEY, SECRET_KEY)
        clockwork = rehearsal.Clockwork(hours.now, lambda seconds: time.sleep(0.01))
        desk = rehearsal.open_desk(tmp_path / "ledger.sqlite", broker, clockwork)
        rules = rehearsal.RULES.model_copy(update={"account_number": exchange.account_number})
        desk = replace(desk, rules=rules)
        for _ in range(2):
            live_until_the_close(desk, exchange)
        hours.set(CLOSED)
        assert close_books(desk) == ()
        assert find_breaks(desk) == ()
    assert {o.order.instrument: str(o.state) for o in desk.journal.book.orders.values()} == states
    assert desk.journal.account.cash == exchange.cash
    assert desk.journal.book.trading_state is TradingState.ACTIVE
    sent = [order.client_order_id for order in exchange.orders.values()]
    assert len(sent) == len(set(sent))


def live_until_the_close(desk, exchange):
    recover(desk)
    desk.journal.append([arming_event(rehearsal.SESSION, exchange.account_number)])
    desk.journal.append(rehearsal.plan_events(desk.journal.ledger.events()))
    market = rehearsal.market_views()
    verdicts = judge(desk, market, 0)
    desk.journal.append(verdict_events(verdicts, "2025-01-03", {"scores": "test", "data": "2025-01-02"}))
    execute(desk, market, 0)
