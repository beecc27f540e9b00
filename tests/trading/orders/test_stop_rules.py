"""Stops at the close, on three holdings worked out by hand."""

from decimal import Decimal

import pandas as pd
import pytest

from quant_pipeline.trading.ledger.events import Event, EventKind
from quant_pipeline.trading.ledger.lots import Lot, Position
from quant_pipeline.trading.orders.stop_rules import StopRules, apply_stops, cooling_down, find_stops

DAYS = pd.DatetimeIndex(["2025-01-02", "2025-01-03", "2025-01-06", "2025-01-07"])
CLOSES = {"UP": [100.0, 110.0, 120.0, 130.0], "DOWN": [100.0, 98.0, 95.0, 90.0], "PEAK": [100.0, 150.0, 140.0, 60.0]}
BARS = pd.DataFrame(
    [(day, name, close) for name, closes in CLOSES.items() for day, close in zip(DAYS, closes, strict=True)],
    columns=["date", "instrument", "close"],
)
# PEAK splits two for one on the last day: its 60 are 120 of the shares before.
ACTIONS = pd.DataFrame({"date": [DAYS[3]], "instrument": ["PEAK"], "kind": ["split"], "value": [2.0]})
PRICES = pd.Series({name: closes[-1] for name, closes in CLOSES.items()})
POSITIONS = {
    "UP": Position([Lot(DAYS[0], Decimal(10), Decimal(1000))], 4),
    "DOWN": Position([Lot(DAYS[0], Decimal(10), Decimal(1000))], 4),
    "PEAK": Position([Lot(DAYS[0], Decimal(20), Decimal(1000))], 4),
}


def stopped(**rules):
    return find_stops(StopRules(**rules), POSITIONS, PRICES, BARS, ACTIONS)


@pytest.mark.parametrize(
    ("rules", "found"),
    [
        ({}, {}),
        ({"stop_loss": 0.1}, {"DOWN": "stopped: close 90.00 is 10.0% below its cost 100.00"}),
        ({"stop_loss": 0.11}, {}),
        ({"trailing_stop": 0.15}, {"PEAK": "stopped: close 60.00 is 20.0% below its high 75.00"}),
        ({"trailing_stop": 0.21}, {}),
        ({"take_profit": 0.3}, {"UP": "stopped: close 130.00 is 30.0% above its cost 100.00"}),
        ({"time_stop": 4}, dict.fromkeys(POSITIONS, "stopped: held for 4 closes")),
        ({"time_stop": 5}, {}),
    ],
)
def test_a_holding_is_sold_when_its_close_reaches_the_level(rules, found):
    assert stopped(**rules) == found


def test_a_high_before_the_purchase_does_not_count():
    late = {"PEAK": Position([Lot(DAYS[2], Decimal(20), Decimal(1000))], 2)}
    assert find_stops(StopRules(trailing_stop=0.15), late, PRICES, BARS, ACTIONS) == {}
    assert find_stops(StopRules(trailing_stop=0.14), late, PRICES, BARS, ACTIONS) != {}


def test_a_stop_sells_everything_before_anything_else_trades():
    rows = [("NEW", "buy", 5, "ranked"), ("DOWN", "hold", 10, "kept"), ("UP", "sell", 3, "above target")]
    orders = pd.DataFrame(rows, columns=["instrument", "side", "quantity", "reason"])
    held = pd.DataFrame({"quantity": [10, 10]}, index=["DOWN", "UP"])
    made = apply_stops(orders, {"DOWN": "stopped: a", "UP": "stopped: b"}, held)
    assert made.to_numpy().tolist() == [
        ["DOWN", "sell", 10, "stopped: a"],
        ["UP", "sell", 10, "stopped: b"],
        ["NEW", "buy", 5, "ranked"],
    ]
    assert apply_stops(orders, {}, held) is orders


@pytest.mark.parametrize(("cooldown", "banned"), [(0, set()), (2, {"LATE"}), (4, {"LATE", "EARLY"})])
def test_a_stopped_instrument_is_not_bought_again_at_once(cooldown, banned):
    plans = [(DAYS[0], "EARLY", "stopped: x"), (DAYS[2], "LATE", "stopped: y"), (DAYS[2], "SOLD", "dropped"),
             (DAYS[3], "TODAY", "stopped: z")]  # fmt: skip
    events = [
        Event(day, EventKind.PLAN_RECORDED, f"plan:{name}", {"orders": [{"instrument": name, "reason": reason}]})
        for day, name, reason in plans
    ]
    assert cooling_down(StopRules(cooldown=cooldown), events, DAYS) == banned
