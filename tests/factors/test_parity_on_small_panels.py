"""One series at a time: where Qlib leaves a residue, operators of the user's own, random expressions."""

import warnings
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quant_pipeline.factors import alpha158
from quant_pipeline.factors.engine import compute_factors
from quant_pipeline.factors.expression import operators
from quant_pipeline.factors.qlib_operators import register_qlib_operator
from tests.helpers.properties import examples
from tests.helpers.qlib_factors import QlibOracle, assert_equal, one_series


def exactly(values):
    return [Fraction(float(value)) for value in np.float32(values)]


def exact_slope(values):
    ys, n = exactly(values), len(values)
    middle, mean = Fraction(n - 1, 2), sum(ys) / n
    top = sum((Fraction(i) - middle) * (y - mean) for i, y in enumerate(ys))
    return float(top / sum((Fraction(i) - middle) ** 2 for i in range(n)))


def test_flat_windows_after_a_turbulent_day_where_qlib_gives_residue(tmp_path):
    # Busy sessions, and then one price: the products of change and volume in the window are all zero.
    random = np.random.default_rng(3)
    close = 50 * np.exp(np.cumsum(random.normal(0, 0.03, 20)))
    volume = np.append(np.exp(random.normal(12, 3, 20)), np.full(15, 1e6))
    table, days = one_series(close=np.append(close, np.full(15, close[-1])), volume=volume)
    expression = alpha158.EXPRESSIONS["WVMA5"]
    ours = compute_factors(table, {"f": expression}, days)["f"].to_numpy()
    theirs = QlibOracle(table, days, tmp_path / "provider").evaluate(expression).to_numpy()
    flat = slice(24, None)
    # The exact value: a standard deviation of 0 over (0 + 1e-12).
    assert np.all(ours[flat] == 0.0)
    assert np.abs(theirs[flat]).max() > 1e3
    np.testing.assert_allclose(ours[:20], theirs[:20], rtol=1e-6)


def test_a_spike_leaves_no_residue_in_later_windows_where_qlib_keeps_one(tmp_path):
    values = np.float32([1, 2, 1.5, 1e12, 3, *np.linspace(1.0, 2.0, 25)])
    table, days = one_series(close=values)
    texts = {"Slope": "Slope($close, 5)", "Resi": "Resi($close, 5)", "Rsquare": "Rsquare($close, 5)"}
    ours = compute_factors(table, texts, days)
    oracle = QlibOracle(table, days, tmp_path / "provider")
    exact = np.array([exact_slope(values[i - 4 : i + 1]) for i in range(12, 30)])
    mine, theirs = ours["Slope"].to_numpy()[12:], oracle.evaluate(texts["Slope"]).to_numpy()[12:]
    np.testing.assert_allclose(mine, exact, rtol=2e-7)
    assert np.abs(theirs - exact).max() > 5e-6
    np.testing.assert_allclose(ours["Rsquare"].to_numpy()[12:], 1.0, rtol=1e-6)
    np.testing.assert_allclose(ours["Resi"].to_numpy()[12:], 0.0, atol=1e-7)


def test_an_infinite_value_is_left_out_of_trends_as_of_all_other_windows():
    table, days = one_series(close=[1.0, 2.0, 4.0, 8.0, 7.0, 5.0], open=[1.0, 1.0, 0.0, 1.0, 1.0, 1.0])
    given = compute_factors(table, {"slope": "Slope($close/$open, 3)", "mean": "Mean($close/$open, 3)"}, days)
    np.testing.assert_allclose(given["slope"], [np.nan, 1.0, 1.0, 3.0, -1.0, -1.5], rtol=1e-6)
    np.testing.assert_allclose(given["mean"], [1, 1.5, 1.5, 5, 7.5, 20 / 3], rtol=1e-6)


def test_an_operator_written_for_qlib_gives_what_qlib_gives(tmp_path):
    from qlib.data.base import ExpressionOps

    class Drawdown(ExpressionOps):
        """Share lost against the highest value of some bars."""

        def __init__(self, feature, bars):
            self.feature, self.bars = feature, bars

        def __str__(self):
            return f"Drawdown({self.feature},{self.bars})"

        def _load_internal(self, instrument, start_index, end_index, *args):
            series = self.feature.load(instrument, start_index, end_index, *args)
            return series / series.rolling(self.bars, min_periods=1).max() - 1

        def get_longest_back_rolling(self):
            return self.feature.get_longest_back_rolling() + self.bars - 1

        def get_extended_window_size(self):
            left, right = self.feature.get_extended_window_size()
            return left + self.bars - 1, right

    random = np.random.default_rng(4)
    close = 50 * np.exp(np.cumsum(random.normal(0, 0.02, 80)))
    table, days = one_series(close=close)
    expression = "Mean(Drawdown($close*2, 10), 5)-1"
    register_qlib_operator(Drawdown)
    try:
        ours = compute_factors(table, {"f": expression}, days)["f"].to_numpy()
    finally:
        operators.CUSTOM_OPERATORS.pop("Drawdown")
    theirs = QlibOracle(table, days, tmp_path / "provider", (Drawdown,)).evaluate(expression).to_numpy()
    np.testing.assert_allclose(ours, theirs, rtol=3e-7)
    assert theirs.min() < -1.02


FIELDS = ("open", "high", "low", "close", "vwap", "volume")
N_SESSIONS = 90
WINDOWS = st.integers(2, 12)
PLAIN = st.sampled_from([f"${name}" for name in FIELDS])


def of_exact(inner):
    """Expressions whose values have the same bits everywhere."""
    return st.one_of(
        st.builds("({}{}{})".format, inner, st.sampled_from("+-*"), inner),
        st.builds("({}/({}+1000))".format, inner, PLAIN),
        st.builds("{}({})".format, st.sampled_from(["Abs", "Sign"]), inner),
        st.builds("{}({},{})".format, st.sampled_from(["Greater", "Less"]), inner, inner),
        st.builds("If({}{}{},{},{})".format, inner, st.sampled_from([">", "<=", "!="]), inner, inner, inner),
        st.builds("{}({},{})".format, st.sampled_from(["Ref", "Delta", "Max", "Min"]), inner, WINDOWS),
    )


EXACT = st.recursive(PLAIN | st.builds("($close*{})".format, st.floats(0.5, 2).map(str)), of_exact, max_leaves=4)
ROLLING = ["Mean", "Sum", "Std", "Var", "IdxMax", "IdxMin", "Med", "Mad", "Rank", "Count", "EMA", "WMA"]
ROLLING += ["Slope", "Resi", "Skew", "Kurt"]
ROLLED = st.one_of(
    st.builds("{}({},{})".format, st.sampled_from(ROLLING), EXACT, st.integers(4, 12)),
    st.builds("{}({},{})".format, st.sampled_from(["Mean", "Std", "Max", "IdxMin", "Count"]), EXACT, st.just(0)),
    st.builds("Quantile({},{},{})".format, EXACT, WINDOWS, st.sampled_from(["0.2", "0.5", "0.8"])),
    st.builds("{}({},{},{})".format, st.sampled_from(["Corr", "Cov"]), EXACT, EXACT, st.integers(3, 12)),
    st.builds("{}({}>{},{})".format, st.sampled_from(["Mean", "Sum"]), EXACT, EXACT, WINDOWS),
)


def of_rolled(inner):
    return st.one_of(
        st.builds("({}{}{})".format, inner, st.sampled_from("+-*"), EXACT),
        st.builds("({}/({}+1000))".format, inner, PLAIN),
        st.builds("{}({},{})".format, st.sampled_from(["Mean", "Sum", "Max", "Ref"]), inner, WINDOWS),
        st.builds("If({}>{},{},{})".format, EXACT, EXACT, inner, inner),
    )


@pytest.fixture(scope="module")
def random_oracle(tmp_path_factory):
    table, days = one_series(close=np.ones(N_SESSIONS))
    return QlibOracle(table, days, tmp_path_factory.mktemp("random") / "provider")


def random_panel(seed):
    """Return prices, a volume and holes of one instrument."""
    random = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(random.normal(0, 0.02, N_SESSIONS)))
    fields = {name: np.float32(close * np.exp(random.normal(0, 0.01, N_SESSIONS))) for name in FIELDS[:5]}
    fields["volume"] = np.float32(np.round(np.exp(random.normal(6, 0.5, N_SESSIONS))))
    holes = random.random(N_SESSIONS) < random.choice([0.0, 0.05, 0.3])
    holes[[0, -1]] = False
    for values in fields.values():
        values[holes | (random.random(N_SESSIONS) < 0.01)] = np.nan
    return fields


@settings(max_examples=examples(150), suppress_health_check=[HealthCheck.function_scoped_fixture], database=None)
@given(expression=st.recursive(ROLLED | EXACT, of_rolled, max_leaves=3), seed=st.integers(0, 10**6))
def test_a_random_expression_on_a_random_panel_equals_qlib(random_oracle, expression, seed):
    fields = random_panel(seed)
    table, days = one_series(**fields)
    ours = compute_factors(table, {"f": expression}, days)["f"].to_numpy()
    asked = expression
    for name, values in fields.items():
        random_oracle.stored[key := f"s{len(random_oracle.stored)}", "ONE"] = pd.Series(values)
        asked = asked.replace(f"${name}", f"Stored({key[1:]})")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        theirs = random_oracle.evaluate(asked).to_numpy()
    # What is large in the windows leaves a residue in pandas, and what cancels is measured against it.
    assert_equal(ours, theirs, 1e-5, 2e-6 * np.nanmax(np.abs(theirs), initial=1e-3), expression)
