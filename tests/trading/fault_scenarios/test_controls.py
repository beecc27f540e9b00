"""What is asked just before each order is sent, what is cancelled when a day goes wrong, and what is never spent."""

from dataclasses import replace
from decimal import Decimal

import pandas as pd
import pytest

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.testing.chaos import rehearsal
from quant_pipeline.testing.chaos.broker import FaultyBroker
from quant_pipeline.trading.broker_records import BrokerPosition, OrderRequest, OrderStatus
from quant_pipeline.trading.brokers.final_check import GatedBroker
from quant_pipeline.trading.ledger.events import client_order_id
from quant_pipeline.trading.ledger.store import Ledger
from quant_pipeline.trading.orders.closing import close_books
from quant_pipeline.trading.orders.desk import arming_event, disarming_event, trading_state_event
from quant_pipeline.trading.orders.emergency import sell_everything
from quant_pipeline.trading.orders.execution import cancel_what_is_left, judge, recover
from quant_pipeline.trading.orders.halt_checks import standing_of, watch
from quant_pipeline.trading.orders.kill_switch import KillSwitch
from quant_pipeline.trading.orders.outcome import outcome_of
from quant_pipeline.trading.orders.reconciliation import find_breaks
from quant_pipeline.trading.orders.risk import check_orders
from quant_pipeline.trading.orders.risk_inputs import view_of_account
from quant_pipeline.trading.orders.risk_view import FLATTEN, TradingState
from quant_pipeline.trading.orders.sending import send_side
from quant_pipeline.trading.ports import BrokerUnavailableError, OrderRejectedError
from tests.helpers.faulty_days import Still, broker_of, plan_of


class Stating(FaultyBroker):
    """States of its account what a test says."""

    stated: dict = {}  # noqa: RUF012

    def account(self):
        return replace(super().account(), **self.stated)


def test_a_plan_that_is_replaced_while_it_is_sent_is_not_sent_on(day):
    class Watched(FaultyBroker):
        def submit(self, order):
            if order.instrument == "AAA":
                events = Ledger.at(lived.file).events()
                newer = plan_of(("KEEP", "sell", 10, 50.0, "newer"), replaces_sent=True)(events)
                Ledger.at(lived.file).append(newer)
            return super().submit(order)

    lived = day(broker=broker_of(Watched))
    lived.plan()
    send_side(lived.desk, "buy")
    assert [request.instrument for request in lived.broker.received] == ["AAA"]
    assert (lived.states()["BBB"], lived.order("BBB").message) == ("expired", "a later plan has taken its place")
    assert (lived.states()["BAD"], lived.order("BAD").message) == ("expired", "a later plan has taken its place")


@pytest.mark.parametrize("equity", ["0", "-5"])
def test_an_account_that_states_no_equity_of_the_close_before_sends_nothing_and_is_not_halted(day, equity):
    lived = day(broker=broker_of(Stating))
    lived.plan()
    lived.broker.stated = {"last_equity": Decimal(equity)}
    with pytest.raises(BrokerUnavailableError, match=f"states an equity of {equity} at the previous close"):
        send_side(lived.desk, "sell")
    assert lived.broker.received == []
    assert lived.desk.journal.book.trading_state is TradingState.ACTIVE


@pytest.mark.parametrize("ratio", [5, "0.2"])
def test_a_split_between_decision_and_open_withholds_its_orders_whatever_the_limits_demand(day, ratio):
    lived = day()
    lived.plan()
    lived.open(limits=rehearsal.LIMITS.model_copy(update={"max_trade_age_seconds": None}))
    lived.broker.prices["AAA"] *= Decimal(ratio)
    send_side(lived.desk, "buy")
    assert [request.instrument for request in lived.broker.received] == ["BBB", "BAD"]
    assert lived.order("AAA").message.startswith("PRICE_COLLAR")


def test_a_trade_before_the_open_is_no_price_of_the_session(day):
    lived = day()
    lived.plan()
    lived.open(limits=rehearsal.LIMITS.model_copy(update={"max_trade_age_seconds": None}))
    lived.broker.prices["AAA"] *= 5
    lived.broker.since_trade = pd.Timedelta(days=1)
    send_side(lived.desk, "buy")
    assert [request.instrument for request in lived.broker.received] == ["AAA", "BBB", "BAD"]


def test_orders_leave_at_closes_where_no_trade_is_demanded_and_none_can_be_asked_for(day):
    class Mute(FaultyBroker):
        def last_trades(self, instruments):
            raise BrokerUnavailableError("no data")

    lived = day(broker=broker_of(Mute))
    lived.plan()
    lived.open(limits=rehearsal.LIMITS.model_copy(update={"max_trade_age_seconds": None}))
    send_side(lived.desk, "sell")
    assert [request.instrument for request in lived.broker.received] == ["SELL"]


def test_orders_that_outlive_their_session_are_cancelled(day):
    lived = day(broker=broker_of(Still))
    lived.plan()
    send_side(lived.desk, "sell")
    lived.broker.now = pd.Timestamp("2025-01-03 21:00:01", tz="UTC")
    cancel_what_is_left(lived.desk)
    assert [order.status for order in lived.broker.all_orders()] == [OrderStatus.CANCELED]
    assert lived.states()["SELL"] == "canceled"


def test_the_close_cancels_what_still_works_before_it_is_booked(day):
    lived = day(broker=broker_of(Still))
    lived.plan()
    send_side(lived.desk, "sell")
    lived.broker.now = pd.Timestamp("2025-01-03 21:05", tz="UTC")
    assert close_books(lived.desk) == ()
    assert lived.states()["SELL"] == "canceled"


def test_rejects_in_a_row_do_not_stop_the_sale_of_everything(day):
    class Refusing(FaultyBroker):
        def submit(self, order):
            self.received.append(order)
            raise OrderRejectedError("trade denied due to pattern day trading protection", "40310100")

    lived = day(broker=broker_of(Refusing))
    lived.plan()
    lived.desk.journal.append(
        [trading_state_event(rehearsal.SESSION, 0, TradingState.REDUCING, FLATTEN, "sell everything")]
    )
    lived.open(limits=rehearsal.LIMITS.model_copy(update={"max_consecutive_rejects": 1}))
    send_side(lived.desk, "sell")
    assert lived.states()["SELL"] == "rejected"
    assert lived.desk.journal.book.trading_state is TradingState.REDUCING


def test_the_hard_loss_cancels_what_has_replaced_an_order_of_ours(day):
    lived = day(broker=broker_of(Still))
    lived.plan()
    send_side(lived.desk, "buy")
    broker, ours = lived.broker, lived.order("AAA")
    broker._end(ours.order.client_order_id, OrderStatus.CANCELED)
    for name, replaces in (("hand-1", ours.broker_order_id), ("hand-2", "of a stranger")):
        broker.submit(OrderRequest(name, "AAA", "buy", Decimal(4)))
        broker._orders[name] = replace(broker._orders[name], replaces=replaces)
    broker.prices |= {"KEEP": Decimal(1), "SELL": Decimal(1)}
    assert watch(lived.desk) is TradingState.HALTED
    states = {order.client_order_id: order.status for order in broker.all_orders()}
    assert states["hand-1"] is OrderStatus.CANCELED
    assert states["hand-2"] is OrderStatus.ACCEPTED
    assert {status for name, status in states.items() if name.startswith("chaos-")} == {OrderStatus.CANCELED}


@pytest.mark.parametrize(
    ("stated", "spend_unsettled", "cash"),
    [
        ({}, None, 4000),
        ({"buying_power": Decimal(300)}, None, 300),
        ({"settled_cash": Decimal(500)}, None, 500),
        ({"settled_cash": Decimal(500), "multiplier": Decimal(2)}, None, 4000),
        ({"settled_cash": Decimal(500), "multiplier": Decimal(2)}, False, 500),
        ({"settled_cash": Decimal(500)}, True, 4000),
    ],
)
def test_buys_spend_no_more_than_the_broker_lets_and_nothing_unsettled_from_a_cash_account(
    day, stated, spend_unsettled, cash
):
    lived = day(broker=broker_of(Stating))
    recover(lived.desk)
    lived.broker.stated = stated
    desk = lived.open(limits=rehearsal.LIMITS.model_copy(update={"spend_unsettled": spend_unsettled}))
    assert view_of_account(desk, rehearsal.market_views(), 0).cash == cash


@pytest.mark.parametrize(
    ("stated", "bound"),
    [
        ({"multiplier": Decimal(2), "day_trades": 3}, 3),
        ({"multiplier": Decimal(1), "day_trades": 3}, None),
        ({"multiplier": Decimal(2), "day_trades": 3, "equity": Decimal(25_000)}, None),
        ({"multiplier": Decimal(2)}, None),
    ],
)
def test_the_day_trading_rule_binds_small_accounts_on_margin(day, stated, bound):
    lived = day(broker=broker_of(Stating))
    recover(lived.desk)
    lived.broker.stated = stated
    assert view_of_account(lived.desk, rehearsal.market_views(), 0).day_trades == bound


def test_cash_of_open_buys_is_not_spent_twice(day):
    lived = day(broker=broker_of(Still))
    lived.plan()
    send_side(lived.desk, "buy")
    # 30 AAA at 50, 90 BBB at 20 and 20 BAD at 10 are open.
    assert view_of_account(lived.desk, rehearsal.market_views(), 0).cash == 4000 - 1500 - 1800 - 200


@pytest.mark.parametrize("missing", ["0.01", "-0.01"])
def test_a_difference_of_one_cent_is_a_break(day, missing):
    lived = day()
    recover(lived.desk)
    lived.broker.cash += Decimal(missing)
    assert [found.what for found in find_breaks(lived.desk)] == ["cash"]


def test_a_broker_that_blocks_trading_halts_the_account(day, tmp_path):
    lived = day(broker=broker_of(Stating))
    lived.plan()
    lived.broker.stated = {"trading_blocked": True}
    lived.open(kill_switch=KillSwitch(tmp_path / "STOP", {}))
    assert watch(lived.desk) is TradingState.HALTED
    assert lived.desk.journal.book.state_code == "KILL_SWITCH"


def test_the_drawdown_is_measured_from_the_close_before_when_that_was_the_highest(day):
    lived = day(broker=broker_of(Stating))
    lived.plan()
    lived.broker.stated = {"last_equity": Decimal(20_000), "equity": Decimal(11_000)}
    standing = standing_of(lived.desk, lived.broker.account())
    assert (standing.highest_equity, standing.drawdown) == (20_000, Decimal("0.45"))


def test_the_part_that_stays_in_cash_is_kept_when_buys_are_fitted(day):
    lived = day()
    lived.plan()
    lived.open(limits=rehearsal.LIMITS.model_copy(update={"min_cash": 0.55}))
    lived.execute()
    # 4,000 and 5,000 of the sale, less 6,600 that stay: 30 AAA at 50, then 44 BBB at 20 and one BAD at 10, 2 % dearer.
    sent = {request.instrument: request.quantity for request in lived.broker.received}
    assert sent == {"SELL": 50, "AAA": 30, "BBB": 44, "BAD": 1}


def test_foreign_positions_count_in_exposure_and_are_never_traded(day):
    option = "AAA250117C00050000"

    class Foreign(FaultyBroker):
        def positions(self):
            held = (
                BrokerPosition("SHORTED", Decimal(-10), Decimal(-10), Decimal(5), Decimal(-50), is_foreign=True),
                BrokerPosition(option, Decimal(2), Decimal(2), Decimal(3), Decimal(600), is_foreign=True),
            )
            return (*super().positions(), *held)

    lived = day(broker=broker_of(Foreign))
    recover(lived.desk)
    assert (lived.desk.journal.account.foreign, lived.alerts()) == ({"SHORTED": -10, option: 2}, {"FOREIGN_POSITION"})
    assert (find_breaks(lived.desk), lived.desk.journal.book.trading_state) == ((), TradingState.ACTIVE)
    lived.desk.journal.append(plan_of(("SHORTED", "buy", 10, 5.0, "cover"))(lived.desk.journal.ledger.events()))
    market = {**rehearsal.market_views(), "SHORTED": rehearsal.market_views()["OUT"]}
    view = view_of_account(lived.desk, market, 0)
    assert (view.market_values[option], view.foreign) == (600, {"SHORTED", option})
    assert [str(verdict.code) for verdict in judge(lived.desk, market, 0)] == ["NOT_ARMED"]
    armed = replace(view, armed=True)
    orders = lived.desk.journal.account.plans[rehearsal.SESSION].orders
    assert [str(verdict.code) for verdict in check_orders(orders, armed, rehearsal.LIMITS)] == ["FOREIGN_POSITION"]


@pytest.mark.parametrize("account", ["chaos-eu", "chaos-20250103", "chaos_"])
def test_orders_of_an_account_whose_name_begins_alike_are_strangers(day, account):
    lived = day()
    recover(lived.desk)
    name = client_order_id(account, rehearsal.SESSION, "OUT", "buy", 0)
    lived.broker.submit(OrderRequest(name, "OUT", "buy", Decimal(4)))
    recover(lived.desk)
    assert name not in lived.desk.journal.book.orders
    assert "ORDER_NOT_PLANNED" not in lived.alerts()


class Traced(FaultyBroker):
    """Writes down what it is asked, in order."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.trace = []

    def account(self):
        self.trace.append("account")
        return super().account()

    def last_trades(self, instruments):
        self.trace.append("price")
        return super().last_trades(instruments)

    def clock(self):
        self.trace.append("clock")
        return super().clock()

    def submit(self, order):
        self.trace.append("submit")
        return super().submit(order)


def test_an_order_waits_for_its_turn_first_and_for_nothing_between_its_checks_and_its_request(day):
    broker = broker_of(Traced)
    lived = day(broker=broker)
    lived.plan()
    limits = rehearsal.LIMITS.model_copy(update={"max_orders_per_minute": 1, "max_trade_age_seconds": 60})

    def sleep(seconds):
        broker.trace.append("pause")
        lived.clock.sleep(seconds)

    lived.open(sleep=sleep, limits=limits)
    broker.trace.clear()
    send_side(lived.desk, "buy")
    # The desk asks its own time, which is the broker's, many times; only the answer about the hours is a check.
    orders = " ".join(broker.trace).split("submit")
    asked = [list(dict.fromkeys(order.split())) for order in orders if order.strip()]
    assert len(asked) == 3
    for checks in asked:
        without_time = [check for check in checks if check != "clock"]
        assert without_time == (["pause"] if checks is not asked[0] else []) + ["price", "account"]
        assert broker.trace[broker.trace.index("submit") - 1] == "clock"


@pytest.mark.parametrize("layer", ["file", "ledger", "disarm", "plan"])
def test_a_halt_that_comes_while_the_broker_is_slow_to_tell_its_hours_holds_the_order(day, tmp_path, layer):
    class Slow(FaultyBroker):
        failures = 1

        def clock(self):
            if self.failures:
                self.failures -= 1
                raise BrokerUnavailableError("no answer")
            return super().clock()

    broker = broker_of(Slow)
    lived = day(broker=broker)
    lived.plan()
    halted = trading_state_event(rehearsal.SESSION, 9, TradingState.HALTED, "PERSON", "stop")
    disarmed = disarming_event(rehearsal.SESSION, 1)

    def pull(_):
        if layer == "file":
            (tmp_path / "STOP").touch()
        elif layer == "plan":
            ledger = Ledger.at(lived.file)
            ledger.append(plan_of(("KEEP", "sell", 10, 50.0, "newer"), replaces_sent=True)(ledger.events()))
        else:
            Ledger.at(lived.file).append([halted if layer == "ledger" else disarmed])

    desk = rehearsal.open_desk(lived.file, broker, lived.clock)
    switch = KillSwitch(tmp_path / "STOP", {})
    gated = GatedBroker(broker, desk.journal, switch, desk.rules, rehearsal.SESSION)
    broker.failures = 1
    send_side(replace(desk, sleep=pull, kill_switch=switch, broker=gated), "sell")
    assert broker.received == []
    assert broker.failures == 0


def test_a_close_keeps_what_the_broker_says_of_foreign_positions(day):
    class Foreign(FaultyBroker):
        def positions(self):
            shorted = BrokerPosition("SHORTED", Decimal(-10), Decimal(-10), Decimal(5), Decimal(-50), is_foreign=True)
            return (*super().positions(), shorted, replace(shorted, instrument="COIN", market_value=None))

    lived = day(broker=broker_of(Foreign))
    recover(lived.desk)
    lived.broker.close_session()
    lived.broker.now = pd.Timestamp("2025-01-03 21:05", tz="UTC")
    assert close_books(lived.desk) == ()
    account = lived.desk.journal.account
    assert account.foreign_values == {"SHORTED": Decimal(-50), "COIN": None}


def test_an_account_that_is_disarmed_while_it_sends_follows_what_left_and_goes_on_when_it_is_armed_again(day):
    class Disarmed(FaultyBroker):
        def submit(self, order):
            if len(self.received) == 0:
                Ledger.at(lived.file).append([disarming_event(rehearsal.SESSION, 1)])
            return super().submit(order)

    lived = day(broker=broker_of(Disarmed))
    lived.plan()
    lived.open(rules=rehearsal.RULES.model_copy(update={"waves": "together"}))
    lived.execute()
    assert [request.instrument for request in lived.broker.received] == ["SELL"]
    assert lived.states() == dict.fromkeys(("AAA", "BBB", "BAD"), "intended") | {"SELL": "filled", "BIG": "denied"}
    reasons = {o.tracked.order.instrument: o.reason for o in outcome_of(lived.desk).orders}
    assert reasons["AAA"] == "the account is not armed for 2025-01-03"
    number = lived.broker.account().account_number
    lived.desk.journal.append([arming_event(rehearsal.SESSION, number, lived.desk.journal.book.arm_changes)])
    lived.execute()
    assert lived.states()["AAA"] == "filled"


def test_an_account_in_another_currency_than_the_market_gets_no_order(day):
    lived = day(broker=broker_of(Stating))
    lived.plan()
    lived.broker.stated = {"currency": "EUR"}
    with pytest.raises(ConfigurationError, match="the account of 'chaos' in EUR, but the market XNYS is in USD"):
        lived.execute()
    assert lived.broker.received == []
    sell_everything(lived.desk)
    assert {order.side for order in lived.broker.received} == {"sell"}
