"""The memory of a session: the newest trade counts, a corrected minute replaces the first one, and nothing grows."""

from decimal import Decimal

import pandas as pd

from quant_pipeline.live.market_data.ring import KEPT_MINUTES, MarketRing
from quant_pipeline.trading.broker_records import LastTrade
from quant_pipeline.trading.market_listener import MinuteBar, TradingStatus
from quant_pipeline.trading.market_snapshot import MarketSnapshot

OPENS, CLOSES = pd.Timestamp("2025-03-03 14:30", tz="UTC"), pd.Timestamp("2025-03-03 21:00", tz="UTC")


def at(minutes):
    return OPENS + pd.Timedelta(minutes=minutes)


def bar(minutes, close=10.0, volume=100.0, name="A"):
    return MinuteBar(name, at(minutes), 10.0, max(10.0, close), min(10.0, close), close, volume)


def ring():
    return MarketRing(["A", "B"], OPENS, CLOSES)


def test_trades_in_disorder_leave_the_newest_one():
    known = ring()
    for minutes, price in ((2, "11"), (1, "9"), (3, "12"), (3, "12.5")):
        known.on_trade("A", Decimal(price), at(minutes))
    assert known.snapshot().trades == {"A": LastTrade(Decimal("12.5"), at(3))}


def test_before_the_open_after_the_close_and_of_strangers_nothing_is_remembered():
    known = ring()
    known.on_trade("A", Decimal(9), at(-1))
    known.on_trade("C", Decimal(9), at(1))
    known.on_bar(bar(-5))
    known.on_bar(bar(390))
    known.on_status(TradingStatus("C", at(1), True, "halt"))
    assert known.snapshot() == MarketSnapshot()
    assert known.session_bars().empty


def test_an_older_status_does_not_take_back_a_halt():
    known = ring()
    known.on_status(TradingStatus("A", at(5), True, "news"))
    known.on_status(TradingStatus("A", at(4), False, "resumed"))
    assert known.snapshot().halted == {"A": "news"}


def test_a_gap_begins_at_the_minute_that_may_be_cut_off_and_a_failed_question_leaves_it_open():
    known = ring()
    assert known.gap() is None
    known.on_connected()
    assert known.gap() == OPENS
    assert known.gap() is None
    for name in "AB":
        known.on_bar(bar(0, name=name))
    known.on_bar(bar(1))
    known.on_connected()
    assert known.gap() == at(0), "B is known up to its first minute only"
    known.ask_again()
    assert known.gap() == at(0)


def test_bars_that_were_asked_for_do_not_replace_what_has_more_trades():
    known = ring()
    known.on_bar(bar(0, close=11.0, volume=200.0))
    known.fill([bar(0, close=10.5, volume=150.0), bar(1, close=12.0)])
    (row,) = known.session_bars().itertuples(index=False)
    assert tuple(row) == ("A", 10.0, 12.0, 10.0, 12.0, 300.0)


def test_a_day_without_end_keeps_its_newest_minutes():
    known = MarketRing(["A"], OPENS, OPENS + pd.Timedelta(days=3))
    for minutes in range(KEPT_MINUTES + 50):
        known.on_bar(bar(minutes))
    assert known.session_bars()["volume"].tolist() == [KEPT_MINUTES * 100.0]
