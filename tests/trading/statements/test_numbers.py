"""Numbers as brokers write them; what could be two numbers is refused."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant_pipeline.trading.statements.numbers import decimal_mark, read_number


@pytest.mark.parametrize(
    ("text", "mark", "value"),
    [
        ("1,234.50", ".", "1234.50"),
        ("1.234,50", ",", "1234.50"),
        ("1'234.50", ".", "1234.50"),
        ("1’234.50", ".", "1234.50"),
        ("1 234,50", ",", "1234.50"),
        ("1\u00a0234.50", ".", "1234.50"),
        ("1\u202f234,50", ",", "1234.50"),
        ("1,23,456.78", ".", "123456.78"),
        ("12.34-", ".", "-12.34"),
        ("−5", ".", "-5"),
        ("(3,100.00)", ".", "-3100.00"),
        ("($3,100.00)", ".", "-3100.00"),
        ("-$1,006.00", ".", "-1006.00"),
        ("$-0.88", ".", "-0.88"),
        ("US$5.00", ".", "5.00"),
        ("5.00 USD", ".", "5.00"),
        ("+5", ".", "5"),
        (".5", ".", "0.5"),
        ("５.００", ".", "5.00"),
        ("1E3", ".", "1000"),
    ],
)
def test_notations_are_read(text, mark, value):
    assert read_number(text, mark, "USD") == Decimal(value)


@pytest.mark.parametrize(
    ("text", "mark", "message"),
    [
        ("1,5", ".", "separates no thousands; if it is the decimal mark"),
        ("434,49", ".", "separates no thousands"),
        ("1234.50", ",", "separates no thousands"),
        ("12,345,67", ".", "separates no thousands"),
        ("1 23", ".", "is no number"),
        ("nan", ".", "is no number"),
        ("(-5)", ".", "is no number"),
        ("5-4", ".", "is no number"),
        ("€5.00", ".", "is an amount in EUR, the amounts of this file are in USD"),
        ("5.00 GBP", ".", "is an amount in GBP"),
    ],
)
def test_what_is_no_number_is_refused(text, mark, message):
    with pytest.raises(ValueError, match=message):
        read_number(text, mark, "USD")


@pytest.mark.parametrize(
    ("texts", "mark"),
    [
        (["10", "5"], "."),
        (["1,234", "62.50"], "."),
        (["0.125"], "."),
        (["1,234,567"], "."),
        (["1,234"], None),
        (["1.234"], None),
        (["1,5"], None),
        (["1.234,56", "7"], None),
        (["62.50", "1,5"], None),
    ],
)
def test_decimal_mark_is_known_only_when_no_number_can_be_another(texts, mark):
    assert decimal_mark(texts)[0] == mark


@given(st.decimals(min_value=-(10**9), max_value=10**9, places=2), st.sampled_from([".", ","]))
def test_a_number_with_thousands_is_read_as_it_was_written(value, mark):
    written = f"{value:,.2f}"
    if mark == ",":
        written = written.translate(str.maketrans(",.", ".,"))
    assert read_number(written, mark, "USD") == value
