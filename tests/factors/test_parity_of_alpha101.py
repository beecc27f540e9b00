"""Alpha101 against Qlib's operators, with the cross-sections of pandas, on real bars with holes."""

import re

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.factors import alpha101
from quant_pipeline.factors.engine import compute_factors
from quant_pipeline.factors.expression import operators
from quant_pipeline.factors.qlib_operators import register_qlib_operator
from quant_pipeline.market import qlib_provider
from tests.helpers.qlib_factors import ACROSS, SIX, ULP, QlibOracle, assert_equal, both, read_real_bars, with_holes

ORDERED_BY_THE_LAST_BIT = {
    13,
    15,
    16,
    27,
    31,
    44,
    50,
    68,
    69,
    71,
    72,
    74,
    75,
    76,
    78,
    79,
    81,
    85,
    88,
    92,
    94,
    96,
    97,
    98,
}
"""These rank or compare correlations and covariances: equal on paper, ordered by the last bit of float64.

98 has the most such cells: it looks for the lowest of eight correlations of few ranks, many of which are equal on
paper. A test below rounds the last bits away on both sides; then all of them agree but for a few cells in a thousand.
"""


TRADED = ["open", "high", "low", "close", "vwap", "volume"]


@pytest.fixture(scope="module")
def bars(real_market):
    return with_holes(read_real_bars(real_market, SIX), share=0.005, seed=1)


@pytest.fixture(scope="module")
def sessions(bars):
    return pd.DatetimeIndex(sorted(bars["date"].unique()))


@pytest.fixture(scope="module")
def recent(bars, sessions):
    """Bars of 700 sessions, with a sector, and with prices and volume as traded, rounded once, for Qlib to read."""
    table = bars[bars["date"] >= sessions[-700]].reset_index(drop=True)
    traded = {f"traded_{name}": table[name] / table["factor"] for name in TRADED[:-1]}
    traded["traded_volume"] = table["volume"] * table["factor"]
    return table.assign(sector=pd.factorize(table["instrument"])[0] % 2 + 0.0, **traded)


@pytest.fixture
def alpha101_oracle(recent, sessions, tmp_path, monkeypatch):
    more = ("sector", *(f"traded_{name}" for name in TRADED))
    monkeypatch.setattr(qlib_provider, "FIELDS", (*qlib_provider.FIELDS, *more))
    return lambda *custom: QlibOracle(recent, sessions[-700:], tmp_path / "provider", custom)


def with_traded_fields(expression):
    """Name the traded fields that the engine takes for a price over the factor and a volume times it."""
    expression = re.sub(r"(?<![*/])\$(open|high|low|close|vwap)/\$factor", r"$traded_\1", expression)
    return re.sub(r"(?<![*/])\$volume\*\$factor", "$traded_volume", expression)


def test_alpha101_equals_qlib_with_the_cross_section_of_pandas(recent, sessions, alpha101_oracle):
    oracle = alpha101_oracle()
    ours = compute_factors(recent, alpha101.EXPRESSIONS, sessions[-700:])
    for number, (name, expression) in enumerate(alpha101.EXPRESSIONS.items(), start=1):
        mine, theirs = both(ours, oracle, name, with_traded_fields(expression))
        if number in ORDERED_BY_THE_LAST_BIT:
            assert np.array_equal(np.isnan(mine), np.isnan(theirs)), name
            assert np.mean((mine != theirs) & ~np.isnan(mine)) < (0.2 if number == 98 else 0.05), name
        else:
            assert_equal(mine, theirs, 4 * ULP, 1e-7, name)
    assert sum(ACROSS.search(text) is not None for text in alpha101.EXPRESSIONS.values()) > 60


def correlations_in(expression):
    """Innermost correlations and covariances of a formula, as written."""
    found = []
    for match in re.finditer(r"\b(Corr|Cov)\(", expression):
        depth = 0
        for index in range(match.end() - 1, len(expression)):
            depth += (expression[index] == "(") - (expression[index] == ")")
            if depth == 0:
                found.append(expression[match.start() : index + 1])
                break
    return [text for text in found if text.count("Corr(") + text.count("Cov(") == 1]


def test_what_those_formulas_order_differs_by_no_more_than_rounding(recent, sessions, alpha101_oracle):
    days = sessions[-700:]
    formulas = [alpha101.EXPRESSIONS[f"ALPHA{number:03d}"] for number in ORDERED_BY_THE_LAST_BIT]
    texts = {text: text for formula in formulas for text in correlations_in(formula)}
    # Ranks of means are ordered by the last bit themselves.
    texts = {text: text for text in texts if "Rank(Mean" not in text and "Neutralize" not in text}
    assert len(texts) >= 12
    ours = compute_factors(recent, texts, days)
    oracle = alpha101_oracle()
    for text in texts:
        assert_equal(*both(ours, oracle, text, with_traded_fields(text)), 2 * ULP, 1e-9, text)


def with_rounded_correlations(expression):
    """Put every correlation and covariance of a formula into `Rounded`."""
    out, place = "", 0
    for match in re.finditer(r"\b(Corr|Cov)\(", expression):
        if match.start() < place:
            continue
        depth = 0
        for stop in range(match.end() - 1, len(expression)):
            depth += (expression[stop] == "(") - (expression[stop] == ")")
            if depth == 0:
                break
        inner = with_rounded_correlations(expression[match.end() : stop])
        out += f"{expression[place : match.start()]}Rounded({match.group()}{inner}))"
        place = stop + 1
    return out + expression[place:]


def test_those_formulas_agree_once_the_last_bits_of_what_they_order_are_rounded_away(recent, sessions, alpha101_oracle):
    from qlib.data.base import ExpressionOps

    class Rounded(ExpressionOps):
        """A value to nine decimals: what is equal on paper is equal."""

        def __init__(self, feature):
            self.feature = feature

        def __str__(self):
            return f"Rounded({self.feature})"

        def _load_internal(self, instrument, start_index, end_index, *args):
            return self.feature.load(instrument, start_index, end_index, *args).astype("float64").round(9)

        def get_longest_back_rolling(self):
            return self.feature.get_longest_back_rolling()

        def get_extended_window_size(self):
            return self.feature.get_extended_window_size()

    days = sessions[-700:]
    names = {number: f"ALPHA{number:03d}" for number in sorted(ORDERED_BY_THE_LAST_BIT)}
    texts = {name: with_rounded_correlations(alpha101.EXPRESSIONS[name]) for name in names.values()}
    assert all("Rounded(Co" in text for text in texts.values())
    oracle = alpha101_oracle(Rounded)
    register_qlib_operator(Rounded)
    try:
        ours = compute_factors(recent, texts, days)
    finally:
        operators.CUSTOM_OPERATORS.pop("Rounded")
    for name, text in texts.items():
        mine, theirs = both(ours, oracle, name, with_traded_fields(text))
        assert np.mean(~np.isclose(mine, theirs, rtol=1e-5, atol=1e-7, equal_nan=True)) < 0.005, name
