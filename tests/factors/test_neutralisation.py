"""Residuals against statsmodels, and what neutralisation must not do."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.regression.linear_model import OLS

from quant_pipeline.factors.neutralisation import neutralise


def case(seed=0, rows=300, sessions=5, groups=4):
    random = np.random.default_rng(seed)
    session = np.sort(random.integers(0, sessions, size=rows))
    return random.normal(5, 2, size=rows), session, random.integers(0, groups, size=rows), random.normal(size=rows)


@pytest.mark.parametrize(("by_group", "by_size"), [(True, False), (False, True), (True, True)])
def test_residuals_are_those_of_a_regression_in_every_session(by_group, by_size):
    values, session, group, size = case()
    values[::17], size[::23] = np.nan, np.nan
    residuals = neutralise(values, session, group if by_group else None, size if by_size else None)
    for number in range(5):
        here = np.flatnonzero((session == number) & np.isfinite(values) & (np.isfinite(size) | (not by_size)))
        design = (
            pd.get_dummies(group[here]).astype("float64") if by_group else pd.DataFrame({"one": np.ones(len(here))})
        )
        if by_size:
            design["size"] = size[here]
        expected = OLS(values[here], design.to_numpy()).fit().resid
        assert residuals[here] == pytest.approx(expected, abs=1e-10)
    missing = ~np.isfinite(values) | (~np.isfinite(size) if by_size else False)
    assert np.array_equal(np.isnan(residuals), missing)


def test_alone_in_a_group_nothing_is_left():
    assert neutralise(np.array([3.0, 1.0, 2.0]), np.zeros(3, int), np.array([0, 1, 1]), None).tolist() == [0, -0.5, 0.5]


def test_sessions_in_which_nothing_is_known_stay_missing():
    nothing = np.full(4, np.nan)
    assert np.isnan(neutralise(nothing, np.zeros(4, int), None, np.ones(4))).all()


def test_a_value_that_is_its_size_leaves_exact_zeros():
    _, session, group, size = case()
    assert np.abs(neutralise(3 * size + group, session, group, size)).max() == 0.0


@given(st.integers(0, 1000), st.floats(-50, 50), st.floats(0.1, 20))
def test_adding_what_is_taken_out_changes_nothing(seed, shift, slope):
    values, session, group, size = case(seed, rows=60)
    plain = neutralise(values, session, group, size)
    moved = neutralise(values + shift * group + slope * size + session, session, group, size)
    assert moved == pytest.approx(plain, abs=1e-8)
