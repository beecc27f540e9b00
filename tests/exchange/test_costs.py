from decimal import ROUND_HALF_UP, Decimal

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant_pipeline.common.exceptions import MarketDataError
from quant_pipeline.exchange.costs import buy_fee, cost_schedule, cost_terms, filled_price, sell_fee
from quant_pipeline.exchange.rules import CostRules

CN = cost_terms(CostRules(buy_rate=0.0015, sell_rate=0.0025, min_commission=5.0))
US = cost_terms(CostRules.preset("US"))


def test_rate_fee_of_a_hundred_thousand_is_a_hundred_and_fifty():
    assert buy_fee(1_000, 1_000_000, CN) == 1_500_000


def test_minimum_applies_per_order():
    assert buy_fee(100, 100_000, CN) == 50_000
    assert sell_fee(100, 100_000, CN) == 50_000


def test_nothing_executed_costs_nothing():
    assert buy_fee(0, 100_000, CN) == 0
    assert sell_fee(0, 100_000, CN) == 0


def test_half_a_cent_rounds_up():
    # 0.15 % of 3.33333 would be below; 0.15 % of 10.00 is 1.5 cents.
    terms = cost_terms(CostRules(buy_rate=0.0015))
    assert buy_fee(1, 100_000, terms) == 200


def test_us_sale_pays_sec_and_finra_fees():
    # 1,000 shares at 50 USD: 50,000 × 0.0000278 = 1.39 and 1,000 × 0.000166 = 0.166, together 1.556.
    assert sell_fee(1_000, 500_000, US) == 15_600
    assert buy_fee(1_000, 500_000, US) == 0


def test_stamp_duty_is_paid_on_top_of_the_minimum_commission():
    # 1,000 CNY: commission 5.00 minimum, stamp duty 0.50, transfer fee 0.01.
    today = CostRules.preset("CN").at(pd.Timestamp("2024-06-03"))
    assert sell_fee(100, 100_000, cost_terms(today)) == 55_100


@given(
    shares=st.integers(1, 10_000_000),
    price=st.integers(1, 50_000_000),
    rate=st.integers(0, 100_000),
    per_share=st.integers(0, 1_000_000),
    cents=st.integers(0, 2_000),
)
def test_fee_equals_the_decimal_formula(shares, price, rate, per_share, cents):
    if shares * price > 10**13:
        shares = max(10**13 // price, 1)
    rules = CostRules(buy_rate=rate / 1e7, per_share=per_share / 1e7, min_commission=cents / 100)
    value = Decimal(shares) * Decimal(price) / 10_000
    exact = max(value * rate / 10**7 + Decimal(shares) * per_share / 10**7, Decimal(cents) / 100)
    expected = int(exact.quantize(Decimal("0.01"), rounding=ROUND_HALF_UP) * 10_000)
    assert buy_fee(shares, price, cost_terms(rules)) == expected


def test_half_spread_moves_the_price_against_the_trader():
    terms = cost_terms(CostRules(half_spread=0.001))
    assert filled_price(1_000_000, 10, 0, True, terms) == 1_001_000
    assert filled_price(1_000_000, 10, 0, False, terms) == 999_000


def test_root_impact_of_a_quarter_of_the_volume_is_half_the_coefficient():
    terms = cost_terms(CostRules(root_impact=0.02))
    assert filled_price(1_000_000, 250, 1_000, True, terms) == 1_010_000


def test_volume_impact_is_quadratic():
    terms = cost_terms(CostRules(volume_impact=0.1))
    assert filled_price(1_000_000, 100, 1_000, False, terms) == 999_000


def test_impact_without_volume_counts_as_the_whole_session():
    assert filled_price(1_000_000, 1, 0, True, cost_terms(CostRules(root_impact=0.02))) == 1_020_000


def test_sale_never_executes_below_one_tick():
    assert filled_price(1, 1, 1, False, cost_terms(CostRules(volume_impact=5.0))) == 1


@pytest.mark.parametrize("rate", [0.00000005, 1.0, -0.1])
def test_rate_that_cannot_be_exact_is_refused(rate):
    with pytest.raises(ValueError, match="buy_rate"):
        CostRules(buy_rate=rate)


def test_a_schedule_has_the_taxes_of_each_session():
    rules = CostRules.preset("CN")
    rules = rules.model_copy(update={"tax_changes": rules.tax_changes[::-1]})
    changed = [pd.Timestamp(change.since) for change in rules.tax_changes]
    around = pd.DatetimeIndex(sorted({day + pd.Timedelta(days=by) for day in changed for by in (0, 1, 400)}))
    schedule, expected = cost_schedule(rules, around), [cost_terms(rules.at(session)) for session in around]
    assert schedule.buy_tax_rate.tolist() == [terms.buy_tax_rate for terms in expected]
    assert schedule.sell_tax_rate.tolist() == [terms.sell_tax_rate for terms in expected]
    assert len(set(schedule.sell_tax_rate.tolist())) > 3
    with pytest.raises(MarketDataError, match="begins on 1997-05-12"):
        cost_schedule(rules, around.insert(0, pd.Timestamp("1997-05-09")))


def test_a_schedule_of_unchanged_taxes_repeats_them():
    schedule = cost_schedule(CostRules.preset("US"), pd.bdate_range("2024-01-01", periods=3))
    assert schedule.sell_tax_rate.tolist() == [US.sell_tax_rate] * 3
    assert schedule.buy_tax_rate.tolist() == [0] * 3
