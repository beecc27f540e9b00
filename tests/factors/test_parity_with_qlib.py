"""Every operator, the three shipped sets and random expressions against Qlib's own evaluation."""

import re
import warnings
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quant_pipeline.factors import alpha101, alpha158, alpha360
from quant_pipeline.factors.engine import compute_factors
from quant_pipeline.factors.expression import operators
from quant_pipeline.factors.qlib_operators import register_qlib_operator
from quant_pipeline.market import qlib_provider
from tests.helpers.qlib_factors import ACROSS, QlibOracle, read_real_bars, with_holes

ULP = np.finfo("float32").eps
SIX = ["AAPL", "AMZN", "BAC", "GE", "KO", "XOM"]


@pytest.fixture(scope="module")
def bars(real_market):
    return with_holes(read_real_bars(real_market, SIX), share=0.005, seed=1)


@pytest.fixture(scope="module")
def sessions(bars):
    return pd.DatetimeIndex(sorted(bars["date"].unique()))


@pytest.fixture(scope="module")
def qlib_values(bars, sessions, tmp_path_factory):
    return QlibOracle(bars, sessions, tmp_path_factory.mktemp("real") / "provider")


def both(ours, oracle, name, expression):
    """Values of one factor, ours and Qlib's, row by row."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        theirs = oracle.evaluate(expression)
    mine = ours[name].unstack("datetime").stack(future_stack=True)
    assert len(theirs) <= len(mine)
    days = oracle.sessions[theirs.index.get_level_values(1)]
    names = theirs.index.get_level_values(0)
    return mine.reindex(pd.MultiIndex.from_arrays([names, days])).to_numpy(), theirs.to_numpy()


def assert_equal(ours, theirs, relative, absolute, name):
    assert np.array_equal(np.isnan(ours), np.isnan(theirs)), f"{name} is missing on other rows than Qlib's"
    with np.errstate(all="ignore"):
        apart = np.abs(ours.astype("float64") - theirs) > relative * np.abs(theirs) + absolute
    apart &= ours != theirs
    assert not apart.any(), f"{name}: {ours[apart][:3]} against {theirs[apart][:3]}"


RETURN = "($close/Ref($close, 1)-1)"
BOUNDS = {
    # Same bits: float32 arithmetic as numpy does it, choices among the values, exact counts.
    "exact": (0, 0, ["$close*$volume", "$close-$open", "$close/$open", "Greater($close,$vwap)", "Less($close,$vwap)"]),
    "functions": (
        0,
        0,
        ["Abs($close-$open)", "Sign($close-$open)", "Log($volume+1)", "Power($close,0.5)", "$close**2"],
    ),
    "conditions": (0, 0, ["If($close>$open,$high,$volume)", "Not($close>$open)", "($close>$open)|($open!=$vwap)"]),
    "shifts": (0, 0, ["Ref($close,1)", "Ref($close,60)", "Ref($close,0)", "Delta($volume,5)"]),
    "Max": (0, 0, ["Max($close,20)", "Max($close,0)"]),
    "Min": (0, 0, ["Min($vwap,7)", "Min($close,0)"]),
    "IdxMax": (0, 0, ["IdxMax($close,20)", "IdxMax($volume,60)", "IdxMax($high,0)"]),
    "IdxMin": (0, 0, ["IdxMin($close,20)", "IdxMin($low,0)"]),
    "Count": (0, 0, ["Count($close,20)", "Count($volume,0)"]),
    "Rank": (0, 0, ["Rank($close,20)", f"Rank({RETURN},60)", "Rank($close,0)"]),
    # Rounded once from a float64 that differs in its last places.
    "Quantile": (ULP, 0, ["Quantile($close,20,0.8)", f"Quantile({RETURN},60,0.2)", "Quantile($close,0,0.5)"]),
    "Med": (ULP, 0, ["Med($close,20)", "Med($volume,5)", "Med($close,0)"]),
    "Mean": (ULP, 0, ["Mean($close,5)", f"Mean({RETURN},60)", "Mean($close>$open,5)", "Mean($volume,0)"]),
    "Sum": (ULP, 0, ["Sum($close,20)", "Sum($close>$open,5)", "Sum($volume,0)"]),
    "Std": (ULP, 0, ["Std($close,5)", f"Std({RETURN},60)", "Std($volume,0)"]),
    "Var": (ULP, 0, ["Var($close,20)", "Var($close,0)"]),
    "Mad": (ULP, 0, ["Mad($close,20)", "Mad($close,0)"]),
    "EMA": (ULP, 0, ["EMA($close,20)", "EMA($volume,0.1)", "Mean($close,0.05)"]),
    "WMA": (ULP, 0, ["WMA($close,20)", "WMA($close,0)"]),
    # Sums in which terms cancel: the rest is small against the terms.
    "Cov": (ULP, 1e-12, [f"Cov({RETURN},Log($volume+1),20)", "Cov($close,$volume,5)"]),
    "Corr": (2 * ULP, 1e-12, [f"Corr({RETURN},Log($volume+1),20)", "Corr($close,$volume,5)"]),
    "Slope": (2 * ULP, 1e-12, ["Slope($close,5)", f"Slope({RETURN},60)", "Slope($close,0)"]),
    "Rsquare": (2 * ULP, 1e-12, ["Rsquare($close,5)", "Rsquare($close,60)", "Rsquare($close,0)"]),
    "Resi": (2 * ULP, 1e-12, ["Resi($close,5)", "Resi($close,60)", "Resi($close,0)"]),
    "Skew": (2 * ULP, 1e-6, ["Skew($close,20)", f"Skew({RETURN},4)", "Skew($close,0)"]),
    "Kurt": (2 * ULP, 1e-6, ["Kurt($close,20)", f"Kurt({RETURN},60)", "Kurt($close,0)"]),
}
"""Operator to relative bound, absolute bound and examples: what docs/concepts/factor-engine.md states."""


@pytest.fixture(scope="module")
def operator_values(bars, sessions):
    expressions = [text for _, _, examples in BOUNDS.values() for text in examples]
    return compute_factors(bars, {text: text for text in expressions}, sessions)


@pytest.mark.parametrize("operator", BOUNDS)
def test_an_operator_stays_within_its_bound_on_suspended_and_missing_bars(operator_values, qlib_values, operator):
    relative, absolute, examples = BOUNDS[operator]
    for text in examples:
        assert_equal(*both(operator_values, qlib_values, text, text), relative, absolute, text)


@pytest.mark.parametrize("library", [alpha158, alpha360], ids=["alpha158", "alpha360"])
def test_a_set_equals_qlib_on_twenty_years_of_real_bars_with_holes(bars, sessions, qlib_values, library):
    ours = compute_factors(bars, library.EXPRESSIONS, sessions)
    equal = total = 0
    for name, expression in library.EXPRESSIONS.items():
        mine, theirs = both(ours, qlib_values, name, expression)
        assert_equal(mine, theirs, 2 * ULP, 1e-12, name)
        equal += np.sum((mine == theirs) | (np.isnan(mine) & np.isnan(theirs)))
        total += mine.size
    assert equal / total > 0.9999


def test_qlib_queried_from_outside_gives_what_its_operators_give(qlib_values, sessions):
    from qlib.data import D

    texts = [alpha158.EXPRESSIONS[name] for name in ("KSFT", "CORR20", "WVMA30", "RSQR60")]
    asked = D.features(SIX, texts, disk_cache=0)
    for text in texts:
        np.testing.assert_array_equal(asked[text].to_numpy(), qlib_values.evaluate(text).to_numpy())


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
        for place in range(match.end() - 1, len(expression)):
            depth += (expression[place] == "(") - (expression[place] == ")")
            if depth == 0:
                found.append(expression[match.start() : place + 1])
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


def one_series(**fields):
    """Bars of one instrument."""
    days = pd.bdate_range("2020-01-06", periods=len(next(iter(fields.values()))))
    table = pd.DataFrame({"date": days, "instrument": "ONE"} | {name: np.float32(v) for name, v in fields.items()})
    for name in qlib_provider.FIELDS:
        table[name] = table.get(name, 1.0)
    return table, days


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


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None)
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
