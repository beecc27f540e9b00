"""Position sizing against numbers worked out by hand."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant_pipeline.trading.position_sizing import PositionSizing, choose_exposure

# Mean 0.1 %, standard deviation of the sample exactly 1 %.
SWING = 0.01 * np.sqrt(59 / 60)
RETURNS = pd.Series(0.001 + np.tile([SWING, -SWING], 30))
NONE = pd.Series(dtype="float64")


@pytest.mark.parametrize(
    ("sizing", "basket", "account", "degree", "reason"),
    [
        ({"method": "fixed"}, RETURNS, RETURNS, 0.95, "fixed"),
        # 1 % a day is 15.87 % a year; 8 % of it is wanted.
        ({"method": "volatility_target", "annual_volatility": 0.08}, RETURNS, NONE, 0.5039, "target 8.0% over volat"),
        ({"method": "volatility_target", "annual_volatility": 0.30}, RETURNS, NONE, 0.95, "target 30.0%"),
        # Kelly's bet is 0.001 / 0.0001 = 10.
        ({"method": "fractional_kelly", "kelly_fraction": 0.05}, NONE, RETURNS, 0.5, "0.05 of Kelly's bet 10.00"),
        ({"method": "fractional_kelly", "kelly_fraction": 0.5}, NONE, RETURNS, 0.95, "0.5 of Kelly's bet 10.00"),
        ({"method": "fractional_kelly"}, NONE, RETURNS - 0.002, 0.0001, "0.25 of Kelly's bet -10.00"),
        ({"method": "fractional_kelly"}, NONE, RETURNS[:59], 0.95, "fixed: 59 of 60 returns are known"),
        ({"method": "volatility_target"}, RETURNS * 0, NONE, 0.95, "do not fluctuate"),
    ],
)
def test_the_invested_part_is_that_of_the_formula(sizing, basket, account, degree, reason):
    chosen = choose_exposure(PositionSizing(**sizing), 0.95, basket, account)
    assert chosen.degree == pytest.approx(degree, abs=1e-12)
    assert reason in chosen.reason


def test_only_the_last_returns_count():
    wild = pd.concat([RETURNS * 9, RETURNS], ignore_index=True)
    sizing = PositionSizing(method="volatility_target", annual_volatility=0.08)
    assert choose_exposure(sizing, 0.95, wild, NONE) == choose_exposure(sizing, 0.95, RETURNS, NONE)


@given(
    st.sampled_from(["fixed", "volatility_target", "fractional_kelly"]),
    st.lists(st.floats(-0.5, 0.5), min_size=0, max_size=80),
    st.integers(1, 10_000),
)
def test_never_more_than_the_fixed_part_and_always_whole_basis_points(method, returns, most):
    series = pd.Series(returns, dtype="float64")
    chosen = choose_exposure(PositionSizing(method=method, window=20), most / 10_000, series, series)
    assert 0 < chosen.degree <= most / 10_000
    assert chosen.degree * 10_000 == pytest.approx(round(chosen.degree * 10_000), abs=1e-6)
