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


@pytest.mark.parametrize("number", [3, 10_001, 300_000])
@pytest.mark.parametrize("value", [0.1, -1 / 3, 1e30, 7e-30])
@pytest.mark.parametrize(("by_group", "by_size"), [(False, False), (True, False), (False, True), (True, True)])
def test_equal_values_leave_nothing_however_many_a_cell_has(number, value, by_group, by_size):
    session = np.repeat([0, 1, 2], number)
    group = np.zeros(len(session), int) if by_group else None
    size = np.random.default_rng(0).normal(size=len(session)) if by_size else None
    values = np.full(len(session), value)
    values[-1] = np.nextafter(value, np.inf)
    values[number] = np.nan
    residuals = neutralise(values, session, group, size)
    assert not residuals[:number].any()
    assert np.array_equal(np.unique(residuals[number : 2 * number]), [0.0, np.nan], equal_nan=True)
    # What differs, by however little, keeps the bits that it has.
    last = values[-number:]
    residual = last - np.bincount(np.zeros(number, int), last)[0] / number
    if not by_size:
        expected = np.where(np.abs(residual) > 1e-12 * np.abs(last), residual, 0.0)
        assert residuals[-number:].tobytes() == expected.tobytes()


def test_values_that_differ_in_one_row_keep_what_is_left_of_the_others():
    values = np.full(20_000, 0.1)
    values[7] = 0.2
    values -= 0.05
    expected = values - np.bincount(np.zeros(20_000, int), values)[0] / 20_000
    assert neutralise(values, np.zeros(20_000, int), None, None).tobytes() == expected.tobytes()


def test_equal_sizes_leave_nothing_either_beside_a_group_whose_values_follow_their_size():
    number, random = 300_000, np.random.default_rng(0)
    size = np.concatenate([np.full(number, 20.1), random.normal(size=1000)])
    values = np.concatenate([np.full(number, 0.001), 50 * size[number:]])
    group = np.repeat([0, 1], [number, 1000])
    assert not neutralise(values, np.zeros(len(values), int), group, size).any()
