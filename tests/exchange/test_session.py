from decimal import Decimal

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_pipeline.common.exceptions import MarketDataError, StrategyError
from quant_pipeline.exchange.dated_rules import PriceLimit
from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.exchange.session import apply_corporate_actions, apply_fills, execute_orders
from quant_pipeline.exchange.tables import positions_table
from tests.helpers.properties import examples

FREE = CostRules()
OPEN = MarketRules()


def holding(**quantities: int) -> pd.DataFrame:
    return positions_table(list(quantities), list(quantities.values()), [4] * len(quantities))


def action(instrument: str, kind: str, value: float) -> dict:
    return {"date": pd.Timestamp("2024-06-10"), "instrument": instrument, "kind": kind, "value": value}


def apply(positions, actions, cash=0, closes=None, orders=None, lot=1):
    table = pd.DataFrame(actions, columns=["date", "instrument", "kind", "value"])
    known, rules = pd.Series(closes or {}, dtype="float64"), MarketRules(lot=lot)
    return apply_corporate_actions(positions, cash, table, known, orders, rules)


def order(side: str, instrument: str, quantity: int) -> dict:
    return {"instrument": instrument, "side": side, "quantity": quantity}


def deal(orders, positions=None, cash=0, price=10.0, volume=1e6, market=OPEN, costs=FREE, **columns):
    names = ["A", "B", "C"]
    bars = pd.DataFrame({"open": price, "close": price, "volume": volume, **columns}, index=names)
    held = holding() if positions is None else positions
    return execute_orders(pd.DataFrame(orders), held, cash, bars, market, costs)


def test_four_for_one_split_quadruples_the_shares_and_pays_nothing():
    outcome = apply(holding(A=25), [action("A", "split", 4.0)], closes={"A": 400.0})
    assert outcome.positions["quantity"].to_dict() == {"A": 100}
    assert outcome.positions["sessions_held"].to_dict() == {"A": 4}
    assert outcome.cash == Decimal("0.0000")


def test_three_for_two_split_pays_the_half_share_at_the_previous_close():
    # 25 shares become 37.5; half a new share is worth 0.5 × 30 / 1.5 = 10.00.
    outcome = apply(holding(A=25), [action("A", "split", 1.5)], closes={"A": 30.0})
    assert outcome.positions["quantity"].to_dict() == {"A": 37}
    assert outcome.cash == Decimal("10.0000")
    assert outcome.events.to_dict("records") == [
        {"instrument": "A", "kind": "split", "quantity_before": 25, "quantity_after": 37, "amount": 10.0, "tax": 0.0}
    ]


def test_rounded_reverse_split_ratio_means_one_for_three():
    outcome = apply(holding(A=300), [action("A", "split", 0.333333)], closes={"A": 1.0})
    assert outcome.positions["quantity"].to_dict() == {"A": 100}
    assert outcome.cash == 0


def test_reverse_split_below_one_share_is_paid_out_and_the_position_ends():
    outcome = apply(holding(A=5), [action("A", "split", 0.1)], closes={"A": 2.0})
    assert outcome.positions.empty
    assert outcome.cash == Decimal("10.0000")


def test_dividend_is_rounded_half_up_to_cents():
    outcome = apply(holding(A=3), [action("A", "cash_dividend", 0.115)], cash=Decimal("1.50"))
    assert outcome.cash == Decimal("1.8500")


def test_dividend_on_the_split_day_counts_the_new_shares():
    actions = [action("A", "cash_dividend", 0.5), action("A", "split", 2.0)]
    outcome = apply(holding(A=10), actions, closes={"A": 100.0})
    assert outcome.cash == Decimal("10.0000")
    assert list(outcome.events["kind"]) == ["split", "cash_dividend"]


def test_delisting_turns_shares_into_cash():
    outcome = apply(holding(A=7, B=1), [action("A", "delisting", 12.345)])
    assert outcome.positions["quantity"].to_dict() == {"B": 1}
    assert outcome.cash == Decimal("86.4200")


def test_worthless_delisting_leaves_nothing():
    outcome = apply(holding(A=7), [action("A", "delisting", 0.0)], cash=5)
    assert outcome.positions.empty
    assert outcome.cash == 5


def test_split_scales_pending_orders_and_floors_buys_to_the_lot():
    orders = pd.DataFrame([order("sell", "A", 25), order("buy", "B", 300), order("buy", "C", 100)])
    actions = [action("A", "split", 1.5), action("B", "split", 1.5)]
    outcome = apply(holding(A=25), actions, closes={"A": 30.0}, orders=orders, lot=100)
    assert list(outcome.pending_orders["quantity"]) == [37, 400, 100]


def test_action_on_an_instrument_that_is_not_held_is_no_event():
    outcome = apply(holding(A=1), [action("B", "cash_dividend", 1.0)])
    assert outcome.events.empty
    assert outcome.cash == 0


def test_unknown_action_is_named():
    with pytest.raises(MarketDataError, match="'spin_off' of A"):
        apply(holding(A=1), [action("A", "spin_off", 1.0)])


def test_split_without_previous_close_is_named():
    with pytest.raises(MarketDataError, match="A splits but has no previous close"):
        apply(holding(A=1), [action("A", "split", 2.0)])


@pytest.mark.parametrize("kind", ["split", "cash_dividend"])
def test_malformed_value_is_refused(kind):
    with pytest.raises(MarketDataError):
        apply(holding(A=1), [action("A", kind, -1.0)], closes={"A": 1.0})


def test_sales_execute_before_buys_and_pay_for_them():
    fills = deal([order("buy", "B", 10), order("sell", "A", 10)], holding(A=10))
    assert list(fills["side"]) == ["sell", "buy"]
    assert list(fills["quantity"]) == [10, 10]


def test_buy_is_cut_to_the_cash_and_its_fee():
    fills = deal([order("buy", "A", 100)], cash=1_000, costs=CostRules(buy_rate=0.01))
    assert fills.loc[0, ["quantity", "requested", "fee", "status"]].tolist() == [99, 100, 9.9, "partially_filled"]


def test_buy_without_cash_is_rejected():
    fills = deal([order("buy", "A", 1)], cash=9.99)
    assert fills.loc[0, ["quantity", "fee", "status"]].tolist() == [0, 0.0, "rejected"]
    assert "cash" in fills.loc[0, "message"]


def test_order_of_a_halted_instrument_expires():
    fills = deal([order("buy", "Z", 1)], cash=100)
    assert fills.loc[0, "status"] == "expired"
    assert pd.isna(fills.loc[0, "price"])


def test_sale_is_cut_to_the_holding_and_rejected_without_one():
    fills = deal([order("sell", "A", 12), order("sell", "B", 1)], holding(A=10))
    assert list(fills["quantity"]) == [10, 0]
    assert list(fills["status"]) == ["partially_filled", "rejected"]


def test_max_participation_fills_a_part_in_whole_lots():
    market = MarketRules(max_participation=0.1, lot=100)
    fills = deal([order("buy", "A", 500)], cash=1e6, volume=2_590, market=market)
    assert fills.loc[0, ["quantity", "status"]].tolist() == [200, "partially_filled"]


def test_max_participation_below_one_lot_expires():
    fills = deal([order("buy", "A", 5)], cash=1e6, volume=9, market=MarketRules(max_participation=0.1))
    assert fills.loc[0, "status"] == "expired"


def test_limit_up_blocks_buys_and_limit_down_blocks_sales():
    market = MarketRules(price_limits=(PriceLimit(prefix="", limit=0.1),))
    up = deal(
        [order("buy", "A", 1), order("sell", "B", 1)], holding(B=1), 100, 11.0, market=market, previous_close=10.0
    )
    assert list(up["status"]) == ["filled", "rejected"]
    assert list(up["instrument"]) == ["B", "A"]
    down = deal(
        [order("buy", "A", 1), order("sell", "B", 1)], holding(B=1), 100, 9.0, market=market, previous_close=10.0
    )
    assert list(down["status"]) == ["rejected", "filled"]


def test_limit_price_is_rounded_to_the_price_step():
    # 10 % above 3.33 is 3.663, rounded to 3.66.
    market = MarketRules(price_limits=(PriceLimit(prefix="", limit=0.1),))
    at_limit = deal([order("buy", "A", 1)], cash=100, price=3.66, market=market, previous_close=3.33)
    below = deal([order("buy", "A", 1)], cash=100, price=3.65, market=market, previous_close=3.33)
    assert [at_limit.loc[0, "status"], below.loc[0, "status"]] == ["rejected", "filled"]


def test_slippage_is_paid_and_shown():
    fills = deal([order("buy", "A", 10)], cash=1_000, costs=CostRules(half_spread=0.001))
    assert fills.loc[0, ["price", "market_price"]].tolist() == [10.01, 10.0]


def test_vwap_without_a_column_is_the_mean_of_high_low_and_close():
    fills = deal([order("buy", "A", 1)], cash=100, market=MarketRules(deal_price="vwap"), high=12.0, low=8.3)
    assert fills.loc[0, "price"] == 10.1


def test_missing_column_is_named():
    bars = pd.DataFrame({"open": [1.0], "close": [1.0]}, index=["A"])
    with pytest.raises(MarketDataError, match="'volume'"):
        execute_orders(
            pd.DataFrame([order("buy", "A", 1)]), holding(), 10, bars, MarketRules(max_participation=0.1), FREE
        )


def test_negative_quantity_is_refused():
    with pytest.raises(StrategyError, match="negative quantity"):
        deal([order("buy", "A", -1)], cash=10)


def test_hold_rows_of_the_order_table_are_not_executed():
    assert deal([order("hold", "A", 5)], holding(A=5)).empty


def test_fills_change_positions_and_cash():
    fills = deal([order("buy", "B", 10), order("sell", "A", 4)], holding(A=4), 200, costs=CostRules(buy_rate=0.001))
    positions, cash = apply_fills(holding(A=4), 200, fills)
    assert positions["quantity"].to_dict() == {"B": 10}
    assert positions["sessions_held"].to_dict() == {"B": 0}
    assert cash == Decimal("139.9000")


@settings(max_examples=examples(60))
@given(
    quantities=st.lists(st.integers(1, 500), min_size=3, max_size=3),
    cash=st.integers(0, 5_000),
    price=st.integers(1, 9_999),
    rate=st.integers(0, 500),
    min_commission=st.sampled_from([0.0, 1.0, 5.0]),
)
def test_cash_is_never_overdrawn_and_no_money_appears(quantities, cash, price, rate, min_commission):
    costs = CostRules(buy_rate=rate / 1e4, sell_rate=rate / 1e4, min_commission=min_commission)
    orders = [order("sell", "C", quantities[2])] + [order("buy", "AB"[i], quantities[i]) for i in range(2)]
    before = holding(C=20)
    fills = deal(orders, before, cash, price / 100, costs=costs)
    after, left = apply_fills(before, cash, fills)
    assert left >= 0
    worth = Decimal(price) / 100
    fees = sum(Decimal(str(fee)) for fee in fills["fee"])
    assert left + worth * int(after["quantity"].sum()) == cash + worth * 20 - fees
