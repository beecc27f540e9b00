"""Prices and halts of the stream at the final check: no question for each order, and none that is trusted too long."""

from decimal import Decimal

import pandas as pd
import pytest

from quant_pipeline.testing.chaos import rehearsal
from quant_pipeline.testing.fake_alpaca import Request
from quant_pipeline.trading.broker_records import LastTrade
from quant_pipeline.trading.market_snapshot import MARKET_FILE, MarketSnapshot
from quant_pipeline.trading.orders.last_trades import at_last_trades, check_last_trade
from quant_pipeline.trading.orders.risk_view import DenialCode
from tests.helpers.trading_day_at_alpaca import DayAtAlpaca


@pytest.fixture
def day(tmp_path):
    return DayAtAlpaca(tmp_path, 0.01)


def asked(day):
    return day.server.requests[Request.LAST_TRADES]


def write(tmp_path, desk, seconds=0.0, price="51", halted=None):
    market = rehearsal.market_views()
    trade = LastTrade(Decimal(price), desk.now() - pd.Timedelta(seconds=seconds))
    (tmp_path / "live").mkdir(exist_ok=True)
    MarketSnapshot(dict.fromkeys(market, trade), halted or {}).write(tmp_path / "live" / MARKET_FILE)
    return market


def test_fresh_trades_of_the_stream_are_not_asked_for(day, tmp_path):
    with day.desk() as desk:
        market = write(tmp_path, desk)
        found = at_last_trades(desk, market, market)
        assert {view.price for view in found.values()} == {Decimal(51)}
        assert asked(day) == 0


@pytest.mark.parametrize("seconds", [11.0, 86_400.0, -5.0])
def test_trades_that_are_old_of_another_session_or_of_the_future_are_asked_for(day, tmp_path, seconds):
    with day.desk() as desk:
        market = write(tmp_path, desk, seconds)
        found = at_last_trades(desk, market, market)
        assert asked(day) == 1
        assert Decimal(51) not in {view.price for view in found.values()}


def test_only_what_the_stream_does_not_know_is_asked_for(day, tmp_path):
    with day.desk() as desk:
        market = write(tmp_path, desk)
        one = sorted(market)[0]
        known = desk.streamed().trades
        desk.streamed = lambda: MarketSnapshot({one: known[one]})
        found = at_last_trades(desk, market, market)
        assert asked(day) == 1
        assert found[one].price == Decimal(51)


def test_an_order_in_a_halted_instrument_stays_here_until_it_trades_again(day, tmp_path):
    with day.desk() as desk:
        day.plan(desk)
        order = desk.journal.account.plans[desk.session].orders[0]
        write(tmp_path, desk, price=order.reference_price, halted={order.instrument: "news pending"})
        verdict = check_last_trade(desk, order)
        assert (verdict.code, verdict.value) == (DenialCode.STALE_DATA, "halted: news pending")
        write(tmp_path, desk, price=order.reference_price)
        assert check_last_trade(desk, order).approved
