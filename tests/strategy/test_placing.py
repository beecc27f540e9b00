from hypothesis import example, given
from hypothesis import strategies as st

from quant_pipeline.exchange.costs import cost_terms
from quant_pipeline.exchange.purchases import affordable_shares
from quant_pipeline.exchange.rules import CostRules
from quant_pipeline.strategy.placing import budget_per_buy

FREE = cost_terms(CostRules())


def test_budget_is_an_equal_share_of_the_cash_when_the_account_is_full():
    assert budget_per_buy(100_000, 1_000_000, 9_500, 2, 10) == 47_500


def test_budget_never_exceeds_an_equal_share_of_the_account():
    assert budget_per_buy(1_000_000, 1_000_000, 9_500, 1, 10) == 95_000


def test_no_cash_no_budget():
    assert budget_per_buy(-5, 1_000_000, 9_500, 1, 10) == 0


def test_shares_are_floored_to_the_lot():
    assert affordable_shares(29_990_000, 100_000, 100, FREE) == 200


def test_fee_is_reserved():
    # 1,000.00 at 10.00 with 1 %: 99 shares cost 990 + 9.90; 100 would cost 1,010.
    assert affordable_shares(10_000_000, 100_000, 1, cost_terms(CostRules(buy_rate=0.01))) == 99


def test_minimum_fee_can_make_a_buy_impossible():
    assert affordable_shares(100_000, 20_000, 1, cost_terms(CostRules(min_commission=9.0))) == 0


def test_a_purchase_ends_where_its_fee_can_no_longer_be_counted():
    # A hundred million at 0.0001 a share and 0.005 per share: 19.6 billion shares would pay a fee beyond 64 bits.
    assert affordable_shares(10**12, 1, 1, cost_terms(CostRules(per_share=0.005))) == 18_000_000_000


@given(
    budget=st.integers(0, 10**12),
    price=st.integers(1, 100) | st.integers(1, 10**8),
    lot=st.sampled_from([1, 100]),
    rate=st.integers(0, 200_000),
    per_share=st.sampled_from([0, 1, 50_000, 10_000_000]),
    min_commission=st.sampled_from([0.0, 1.0, 5.0]),
)
@example(budget=10**12, price=1, lot=1, rate=0, per_share=50_000, min_commission=0.0)
@example(budget=10**12, price=9, lot=100, rate=200_000, per_share=10_000_000, min_commission=5.0)
def test_affordable_is_the_largest_quantity_that_fits(budget, price, lot, rate, per_share, min_commission):
    terms = cost_terms(CostRules(buy_rate=rate / 1e7, per_share=per_share / 1e7, min_commission=min_commission))

    def charged(shares):
        """Commission in units of 10^-11 of the currency, as an integer without bounds."""
        return shares * (price * rate + per_share * 10_000)

    def spent(shares):
        commission = max(charged(shares), round(min_commission) * 10**11)
        return (shares * price + 50) // 100 * 100 + (commission + 5 * 10**8) // 10**9 * 100

    shares = affordable_shares(budget, price, lot, terms)
    assert shares % lot == 0
    assert shares == 0 or spent(shares) <= budget
    # Without money nothing is bought, also where a share costs less than half a cent.
    assert budget == 0 or spent(shares + lot) > budget or charged(shares + lot) > 9 * 10**18
