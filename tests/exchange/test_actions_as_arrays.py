"""Terms of many corporate actions at once, against those of each by itself."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_pipeline.common.exceptions import MarketDataError
from quant_pipeline.exchange.costs import payment_after_tax
from quant_pipeline.exchange.quotes import ACTION_KINDS, action_terms, terms_of_actions
from tests.helpers.properties import examples

EIGHT_DECIMALS = Decimal("1e-8")
payments = st.one_of(
    st.floats(0, 100_000, allow_subnormal=True),
    st.decimals(0, 1_000, places=4).map(float),
    # Halves of the last decimal, whose rounding the shortest decimal form decides.
    st.integers(0, 10**13).map(lambda n: float((n + Decimal("0.5")) * EIGHT_DECIMALS)),
)
ratios = st.one_of(st.sampled_from([2.0, 1.5, 0.1, 0.333333, 1.05]), st.floats(1e-3, 1e3))
rows = st.one_of(
    st.tuples(st.just("split"), ratios),
    st.tuples(st.just("cash_dividend"), payments),
    st.tuples(st.just("delisting"), payments),
)


def table(actions):
    return pd.DataFrame(actions, columns=["kind", "value"]).astype({"value": "float64"}).assign(instrument="ABC")


@settings(max_examples=examples(300), deadline=None)
@given(st.lists(rows, max_size=20))
def test_many_actions_have_the_terms_of_each(actions):
    kinds, terms = terms_of_actions(table(actions))
    assert kinds.tolist() == [ACTION_KINDS[kind] for kind, _ in actions]
    assert [tuple(each) for each in terms.tolist()] == [action_terms("ABC", *each) for each in actions]


@pytest.mark.parametrize("value", [0.000000005, 0.123456785, 1.000000015, 2_000.000000035, 10_995.2, 1e7, 0.0])
def test_a_payment_on_a_half_or_beyond_what_a_product_decides_is_read_as_one_by_itself(value):
    _, terms = terms_of_actions(table([("cash_dividend", value), ("delisting", value)]))
    assert terms[:, 0].tolist() == [action_terms("ABC", "cash_dividend", value)[0]] * 2


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        ([("cash_dividend", 1.0), ("cash_dividend", -0.1), ("split", 0.0)], r"-0\.1 is negative or missing"),
        ([("split", 2.0), ("split", float("nan"))], "nan is not positive"),
        ([("cash_dividend", 1.0), ("cash_dividend", float("nan"))], "nan is negative or missing"),
        ([("cash_dividend", float("inf"))], "inf is negative or missing"),
        ([("split", 2.0), ("split", 0.0), ("merger", 1.0)], r"0\.0 is not positive"),
        ([("split", 2.0), ("merger", 1.0), ("split", 0.0)], "Unknown corporate action 'merger' of ABC"),
        ([("split", 1e-9)], "too small"),
    ],
)
def test_the_first_malformed_action_is_named(actions, message):
    with pytest.raises(MarketDataError, match=message):
        terms_of_actions(table(actions))


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(st.integers(0, 2**62), min_size=1, max_size=10), st.sampled_from([0.0, 0.1, 0.15, 0.3333333, 1.0]))
def test_tax_on_many_payments_is_that_on_each_and_exact(units, rate):
    each = [payment_after_tax(payment, rate) for payment in units]
    assert payment_after_tax(np.array(units, dtype=np.int64), rate).tolist() == each
    taxes = [(Decimal(payment) * Decimal(str(rate))) for payment in units]
    assert all(
        abs(payment - tax - left) <= Decimal("0.5") for payment, tax, left in zip(units, taxes, each, strict=True)
    )
