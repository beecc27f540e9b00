"""What only the simulated broker promises: the rules of the backtest, and books that survive."""

from decimal import Decimal

import pytest

from quant_pipeline.common.exceptions import AccountError
from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.testing.contract_market import CASH, PRICES, SESSIONS, contract_actions, contract_bars
from quant_pipeline.trading.broker_records import CashActivity, CashKind, FillActivity, OrderRequest, OrderStatus
from quant_pipeline.trading.brokers.adapter import Exchange
from quant_pipeline.trading.brokers.simulated.bookkeeping import book_sessions
from quant_pipeline.trading.brokers.simulated.store import SimulatedStore
from quant_pipeline.trading.ledger.account import fold
from quant_pipeline.trading.orders.plans import record_plan
from tests.helpers.brokers import simulated
from tests.helpers.damaged_json import DAMAGED_JSON
from tests.helpers.four_days import orders_table

COSTS = CostRules(buy_rate=0.001, sell_rate=0.002, min_commission=1)
EXPENSIVE = CASH // 40 + 50


@pytest.fixture
def file(tmp_path):
    return tmp_path / "broker.db"


def send(broker, *rows):
    for index, (instrument, side, quantity) in enumerate(rows):
        name = f"{broker.session:%Y%m%d}-{index}"
        broker.submit(OrderRequest(name, instrument, side, Decimal(quantity)))


DAYS = [
    [("AAA", "buy", 100), ("BBB", "buy", 50)],
    [("AAA", "buy", 30), ("BBB", "sell", 20)],
    [("AAA", "sell", 40), ("BBB", "buy", EXPENSIVE)],
    [("AAA", "sell", 10)],
]


@pytest.mark.parametrize("rules", [MarketRules(), MarketRules(cash_interest_rate=0.1, dividend_tax_rate=0.15)])
def test_the_same_orders_give_the_books_of_the_replay_to_the_tick(file, rules):
    broker = simulated(file, COSTS, rules)
    events = ()
    for index, session in enumerate(SESSIONS):
        arguments = (contract_bars(), contract_actions(), SESSIONS[: index + 1], rules, COSTS)
        events += book_sessions(events, "test", CASH, Exchange(*arguments))
        state = fold(events)
        assert broker.session == session
        assert broker.account().cash == state.cash
        assert {held.instrument: held.quantity for held in broker.positions()} == {
            name: position.quantity for name, position in state.positions.items()
        }
        assert broker.account().equity == state.closes[-1][1]
        if index < len(DAYS):
            send(broker, *DAYS[index])
            rows = [(name, side, quantity, PRICES[name][index], "test") for name, side, quantity in DAYS[index]]
            events += record_plan(events, orders_table(*rows), session, SESSIONS[index + 1])
            broker.advance()
    moved = {kind: Decimal(0) for kind in CashKind}
    for activity in broker.activities():
        if isinstance(activity, CashActivity):
            moved[activity.kind] += activity.amount
    assert (moved[CashKind.INTEREST], moved[CashKind.TAX]) == (state.interest, -state.taxes)
    assert moved[CashKind.DIVIDEND] == state.dividends > 0
    assert state.taxes == round(state.dividends * Decimal(str(rules.dividend_tax_rate)), 2)
    assert (state.interest > 0) == (rules.cash_interest_rate > 0)


def test_a_purchase_is_cut_to_the_cash_and_its_rest_expires(file):
    broker = simulated(file, COSTS)
    send(broker, ("AAA", "buy", EXPENSIVE))
    broker.advance()
    order = broker.order_by_client_id("20250102-0")
    assert order.status is OrderStatus.EXPIRED
    assert 0 < order.filled_quantity < EXPENSIVE
    assert "cash" in order.message
    assert 0 <= broker.account().cash < 40 + 10


def test_a_fee_is_an_activity_of_its_own(file):
    broker = simulated(file, COSTS)
    send(broker, ("AAA", "buy", 100))
    broker.advance()
    fill, fee = broker.activities()
    assert isinstance(fill, FillActivity)
    assert isinstance(fee, CashActivity)
    assert (fee.kind.value, fee.amount) == ("fee", Decimal("-4.0000"))


def test_sales_pay_for_the_purchases_of_the_same_session(file):
    broker = simulated(file)
    send(broker, ("AAA", "buy", 250))
    broker.advance()
    assert broker.account().cash == 0
    send(broker, ("BBB", "buy", 400), ("AAA", "sell", 250))
    broker.advance()
    assert {held.instrument: held.quantity for held in broker.positions()} == {"BBB": 400}


def test_a_waiting_order_is_scaled_by_a_split(file):
    broker = simulated(file)
    for _ in range(2):
        broker.advance()
    send(broker, ("AAA", "buy", 10))
    broker.advance()
    order = broker.order_by_client_id("20250106-0")
    assert (order.quantity, order.filled_quantity, order.average_fill_price) == (40, 40, 10)


def test_the_market_has_an_end_and_an_account_is_opened_once(file):
    broker = simulated(file)
    for _ in range(4):
        broker.advance()
    with pytest.raises(AccountError, match="ends with session 2025-01-08"):
        broker.advance()
    assert simulated(file).session == SESSIONS[-1]


@pytest.mark.parametrize("text", [*DAMAGED_JSON.values(), b'{"session": "2024-01-02"}'])
def test_a_damaged_row_of_the_database_is_one_line_with_a_remedy(file, text):
    store = SimulatedStore(f"sqlite:///{file}")
    with store.transaction() as books:
        books._put_text("order", "a", text.decode("latin-1"))
        books._put_text("account", "books", text.decode("latin-1"))
        reads = [books.books]
        if b"session" not in text:
            reads += [lambda: books.document("order", "a"), lambda: books.documents("order")]
        for read in reads:
            with pytest.raises(
                AccountError, match=r"^row '(a|books)' \((order|account)\) of the database .*in its place$"
            ):
                read()
