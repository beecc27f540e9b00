"""Every operator, Alpha158 and Alpha360 against Qlib's own evaluation, on real bars with holes."""

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.factors import alpha158, alpha360
from quant_pipeline.factors.engine import compute_factors
from tests.helpers.qlib_factors import SIX, ULP, QlibOracle, assert_equal, both, read_real_bars, with_holes


@pytest.fixture(scope="module")
def bars(real_market):
    return with_holes(read_real_bars(real_market, SIX), share=0.005, seed=1)


@pytest.fixture(scope="module")
def sessions(bars):
    return pd.DatetimeIndex(sorted(bars["date"].unique()))


@pytest.fixture(scope="module")
def qlib_values(bars, sessions, tmp_path_factory):
    return QlibOracle(bars, sessions, tmp_path_factory.mktemp("real") / "provider")


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
