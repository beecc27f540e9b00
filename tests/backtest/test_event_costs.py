"""What an order of the event engine costs does not depend on the number of pieces that it is executed in."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_pipeline.backtest.event_engine.engine import run_events
from quant_pipeline.backtest.event_engine.events import EventParameters, SessionPhase
from quant_pipeline.backtest.event_engine.orders import EventOrder, OrderKind
from quant_pipeline.backtest.event_engine.protective_rules import ProtectiveRules
from quant_pipeline.exchange.market import TradingMarket
from quant_pipeline.exchange.rules import CostRules, MarketRules
from tests.helpers.properties import examples

SESSIONS = pd.bdate_range("2024-01-02", periods=4)
COSTS = CostRules(half_spread=0.001, root_impact=0.05, volume_impact=0.3)
MINIMUM = CostRules(buy_rate=0.00025, sell_rate=0.00025, min_commission=5.0)
CAPPED = MarketRules(max_participation=0.1)


class Sends:
    """Sends the orders written down for a session and a kind of event."""

    def __init__(self, orders):
        self.orders = orders

    def react(self, view):
        return self.orders.get((SESSIONS.get_loc(view.session), view.kind), [])


def run(orders, costs, rules=None, volume=10_000.0, minutes=0):
    """Trade A at 100; the minutes share the volume of the second session."""
    bars = pd.DataFrame(
        [(day, "A", 100.0, 100.0, 100.0, 100.0, volume) for day in SESSIONS],
        columns=["date", "instrument", "open", "high", "low", "close", "volume"],
    )
    empty = pd.DataFrame(columns=["date", "instrument", "kind", "value"])
    market = TradingMarket.from_bars(bars, empty, SESSIONS, rules or MarketRules())
    ends = [SESSIONS[1] + pd.Timedelta(hours=9, minutes=31 + number) for number in range(minutes)]
    prices = dict.fromkeys(("open", "high", "low", "close"), 100.0)
    table = pd.DataFrame({"time": ends, "instrument": "A", **prices, "volume": volume / max(minutes, 1)})
    return run_events(Sends(orders), market, bars, costs, 10_000_000, minutes=table if minutes else None)


def buys(*shares, kind=SessionPhase.CLOSE, session=0):
    return {(session, kind): [EventOrder("A", number) for number in shares]}


def paid_for_impact(result):
    return float(((result.trades["price"] - 100).abs() * result.trades["quantity"]).sum())


def test_ten_pieces_pay_the_impact_of_one_order():
    """1,000 of 10,000 shares: 0.1 % + 0.3 % + 1.5811 % of 100,000."""
    whole = run(buys(1000), COSTS)
    assert paid_for_impact(whole) == pytest.approx(1981.1)
    pieces = run(buys(*[100] * 10), COSTS)
    # 0.503 % of the first hundredth; the second pays twice 0.719107 % of both less that.
    assert pieces.trades["price"].tolist()[:2] == [100.603, 101.0352]
    assert paid_for_impact(pieces) == pytest.approx(1981.1, abs=0.1)


@given(st.lists(st.integers(1, 4_000), min_size=1, max_size=12), st.booleans())
@settings(deadline=None, max_examples=examples(40))
def test_however_an_order_is_cut_its_impact_is_that_of_the_whole(pieces, is_sale):
    signed = [-shares if is_sale else shares for shares in pieces]
    held = buys(sum(pieces)) if is_sale else {}
    cut = run({**held, **buys(*signed, session=1)}, COSTS)
    whole = run({**held, **buys(sum(signed), session=1)}, COSTS)
    # Prices are whole ticks of a hundredth of a cent per share.
    assert paid_for_impact(cut) == pytest.approx(paid_for_impact(whole), abs=0.0001 * sum(pieces))


def test_a_purchase_does_not_make_a_sale_of_the_same_session_dearer():
    both = run({**buys(500), (1, SessionPhase.CLOSE): [EventOrder("A", -500), EventOrder("A", 500)]}, COSTS)
    one, sale, again = both.trades["price"]
    assert one == again == 101.293
    assert 100 - sale == pytest.approx(1.293)


def test_a_minute_of_its_own_volume_costs_what_it_would_alone():
    orders = buys(500, kind=SessionPhase.OPEN, session=1)
    result = run(orders, COSTS, CAPPED, minutes=10)
    assert result.trades["quantity"].tolist() == [100] * 5
    assert result.trades["price"].tolist() == [101.9811] * 5


def test_an_order_in_pieces_pays_the_least_commission_once():
    """A rate of 0.025 % of 10,000 is 2.50, of 50,000 12.50; at least 5.00 for an order."""
    result = run(buys(500, kind=SessionPhase.OPEN, session=1), MINIMUM, CAPPED, minutes=10)
    assert result.trades["quantity"].tolist() == [100] * 5
    assert result.trades["fee"].tolist() == [5.0, 0.0, 2.5, 2.5, 2.5]
    assert run(buys(500), MINIMUM).trades["fee"].tolist() == [12.5]
    assert run(buys(100, 100), MINIMUM).trades["fee"].tolist() == [5.0, 5.0]


def test_every_session_of_an_order_until_cancelled_pays_the_least_commission():
    order = EventOrder("A", 2_000, OrderKind.LIMIT, 100.0, until_cancelled=True)
    result = run({(0, SessionPhase.CLOSE): [order]}, MINIMUM, CAPPED, volume=1_000.0)
    assert result.trades["quantity"].tolist() == [100, 100, 100]
    assert result.trades["fee"].tolist() == [5.0, 5.0, 5.0]


def test_a_protective_sale_that_meets_no_volume_all_day_is_logged_once_and_sells_in_the_next_session():
    """The purchase used up the tenth of 1,000 shares; the stop at 95 meets 90 in each of 60 minutes."""
    closes, rows = (100, 100, 90, 90), []
    bars = pd.DataFrame(
        [(day, "A", close, close, close, close, 1_000.0) for day, close in zip(SESSIONS, closes, strict=True)],
        columns=["date", "instrument", "open", "high", "low", "close", "volume"],
    )
    bars.loc[1, "low"] = bars.loc[1, "close"] = 90.0
    empty = pd.DataFrame(columns=["date", "instrument", "kind", "value"])
    market = TradingMarket.from_bars(bars, empty, SESSIONS, CAPPED)
    for number in range(60):
        end = SESSIONS[1] + pd.Timedelta(hours=9, minutes=31 + number)
        rows.append((end, "A", 90.0, 90.0, 90.0, 90.0, 1_000.0))
    minutes = pd.DataFrame(rows, columns=["time", "instrument", "open", "high", "low", "close", "volume"])
    parameters = EventParameters(protective=ProtectiveRules(stop_loss=0.05))
    result = run_events(Sends(buys(100)), market, bars, CostRules(), 100_000, parameters, minutes=minutes)
    trades = result.trades[["quantity", "status"]].to_numpy().tolist()
    assert trades == [[100, "filled"], [0, "expired"], [100, "filled"]]
