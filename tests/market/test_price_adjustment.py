"""Adjustment for splits and dividends, by literal numbers, by law, and against a vendor."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_pipeline.common.exceptions import MarketDataError
from quant_pipeline.market.price_adjustment import (
    actions_per_bar,
    adjust_bars,
    adjusted_close_as_of,
    adjustment_factors,
)
from tests.helpers.few_bars import DAYS, actions, bars
from tests.helpers.properties import examples
from tests.helpers.random_market import random_market


def test_a_split_keeps_the_adjusted_price_and_grows_the_factor():
    table = bars([100.0, 25.5, 26.0])
    split = actions((DAYS[1], "AAA", "split", 4.0))
    assert adjustment_factors(table, split).tolist() == [1.0, 4.0, 4.0]
    adjusted = adjust_bars(table, split)
    assert adjusted["close"].tolist() == [100.0, 102.0, 104.0]
    assert adjusted["volume"].tolist() == [1000.0, 250.0, 250.0]


def test_a_dividend_is_reinvested_at_the_close_of_its_ex_date():
    table = bars([100.0, 98.0, 98.0])
    adjusted = adjust_bars(table, actions((DAYS[1], "AAA", "cash_dividend", 2.0)))
    assert adjusted["close"].tolist() == pytest.approx([100.0, 100.0, 100.0], abs=1e-12)


def test_a_split_and_a_dividend_on_one_day_pay_per_new_share():
    table = bars([100.0, 49.0])
    both = actions((DAYS[1], "AAA", "split", 2.0), (DAYS[1], "AAA", "cash_dividend", 1.0))
    assert adjust_bars(table, both)["close"].tolist() == pytest.approx([100.0, 100.0], abs=1e-12)


def test_an_action_during_a_halt_counts_on_the_next_bar():
    table = bars([100.0, 50.0]).assign(date=[DAYS[0], DAYS[3]])
    assert adjustment_factors(table, actions((DAYS[1], "AAA", "split", 2.0))).tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("first", "second", "close"),
    [
        # One old share of 100 pays 10, becomes two: 45 each. Two new shares pay 10 each: 40 each.
        (("cash_dividend", 10.0), ("split", 2.0), 45.0),
        (("split", 2.0), ("cash_dividend", 10.0), 40.0),
        (("cash_dividend", 10.0), ("cash_dividend", 20.0), 70.0),
    ],
)
def test_two_actions_during_a_halt_leave_the_wealth_of_a_holder_where_it_was(first, second, close):
    table = bars([100.0, close]).assign(date=[DAYS[0], DAYS[4]])
    happened = actions((DAYS[1], "AAA", *first), (DAYS[2], "AAA", *second))
    assert adjust_bars(table, happened)["close"].tolist() == pytest.approx([100.0, 100.0], abs=1e-12)


def test_an_action_before_the_first_bar_or_after_the_last_changes_nothing():
    table = bars([10.0, 11.0, 12.0]).assign(date=DAYS[1:4])
    outside = actions((DAYS[0] - pd.Timedelta(days=9), "AAA", "split", 2.0), (DAYS[4], "AAA", "split", 2.0))
    assert adjustment_factors(table, outside).tolist()[1:] == [1.0, 1.0]


def test_instruments_do_not_touch_each_other():
    table = pd.concat([bars([10.0, 5.0], "AAA"), bars([7.0, 7.0], "BBB")], ignore_index=True)
    assert adjustment_factors(table, actions((DAYS[1], "AAA", "split", 2.0))).tolist() == [1.0, 2.0, 1.0, 1.0]


def test_the_vendor_view_equals_the_traded_close_on_its_newest_day():
    table = bars([100.0, 25.0, 26.0, 27.0])
    split = actions((DAYS[1], "AAA", "split", 4.0), (DAYS[3], "AAA", "cash_dividend", 0.27))
    before = adjusted_close_as_of(table, split, DAYS[2])
    assert before["adjusted_close"].tolist() == [25.0, 25.0, 26.0]
    after = adjusted_close_as_of(table, split, DAYS[3])["adjusted_close"]
    assert after.tolist() == pytest.approx([25 / 1.01, 25 / 1.01, 26 / 1.01, 27.0])


@pytest.mark.parametrize("close", [20.0, 0.0, float("nan")])
def test_a_factor_is_the_product_of_every_bar_to_the_bit(close):
    table, acted = random_market(seed=5, n_sessions=90, n_instruments=9)[:2]
    table.loc[[70, 150], "close"] = close
    split, dividend = actions_per_bar(table, acted)
    assert ((split != 1) | (dividend > 0)).sum() > 5
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = pd.Series(split * (1 + dividend / table["close"].to_numpy()))
    ratio[~table["instrument"].duplicated()] = 1.0
    expected = ratio.groupby(table["instrument"]).transform(lambda own: np.cumprod(own.to_numpy()))
    np.testing.assert_array_equal(adjustment_factors(table, acted), expected)


def test_bars_in_another_order_have_the_same_actions():
    table, acted = random_market(seed=5, n_sessions=90, n_instruments=9)[:2]
    order = np.random.default_rng(1).permutation(len(table))
    shuffled = table.iloc[order].reset_index(drop=True)
    for found, expected in zip(actions_per_bar(shuffled, acted), actions_per_bar(table, acted), strict=True):
        np.testing.assert_array_equal(found, expected[order])


@pytest.mark.parametrize(
    ("kind", "value", "words"), [("split", 0.0, "split ratio"), ("cash_dividend", -1.0, "dividend")]
)
def test_an_impossible_action_names_instrument_and_date(kind, value, words):
    with pytest.raises(MarketDataError, match=rf"AAA on 2020-01-07.*{words}"):
        adjustment_factors(bars([10.0, 10.0]), actions((DAYS[1], "AAA", kind, value)))


@given(
    closes=st.lists(st.floats(1, 1000), min_size=5, max_size=5),
    splits=st.lists(st.sampled_from([1.0, 2.0, 0.1, 1.5]), min_size=5, max_size=5),
    dividends=st.lists(st.floats(0, 5), min_size=5, max_size=5),
)
@settings(max_examples=examples(60))
def test_adjusted_close_is_the_wealth_of_a_holder_who_reinvests(closes, splits, dividends):
    table = bars(closes)
    rows = [(DAYS[t], "AAA", "split", splits[t]) for t in range(1, 5)]
    rows += [(DAYS[t], "AAA", "cash_dividend", dividends[t]) for t in range(1, 5)]
    shares = 1.0
    wealth = [closes[0]]
    for t in range(1, 5):
        shares *= splits[t]
        shares += shares * dividends[t] / closes[t]
        wealth.append(shares * closes[t])
    assert adjust_bars(table, actions(*rows))["close"].tolist() == pytest.approx(wealth, rel=1e-12)


@given(closes=st.lists(st.floats(1, 1000), min_size=3, max_size=5), noise=st.floats(1, 1000), ratio=st.floats(0.1, 10))
@settings(max_examples=examples(60))
def test_later_rows_never_change_earlier_factors_by_a_bit(closes, noise, ratio):
    known = actions((DAYS[1], "AAA", "cash_dividend", 0.3))
    before = adjust_bars(bars(closes[:2]), known)
    poisoned = bars([*closes[:2], noise])
    after = adjust_bars(poisoned, pd.concat([known, actions((DAYS[2], "AAA", "split", ratio))], ignore_index=True))
    pd.testing.assert_frame_equal(after.head(2), before, check_exact=True)
