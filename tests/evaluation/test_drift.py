import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant_pipeline.evaluation.drift import (
    DriftParameters,
    advise,
    compare_distributions,
    population_stability_index,
    rolling_rank_ic,
)

PARAMETERS = DriftParameters(rolling_sessions=4, max_standard_errors=2.0)


def test_the_index_of_two_literal_bins():
    # Below the median: half of the reference, nine tenths of today. (0.9-0.5)ln(0.9/0.5) + (0.1-0.5)ln(0.1/0.5).
    reference = np.array([1.0, 1.0, 3.0, 3.0])
    current = np.array([0.0] * 9 + [5.0])
    expected = 0.4 * np.log(1.8) - 0.4 * np.log(0.2)
    assert population_stability_index(reference, current, bins=2) == pytest.approx(expected)


@given(st.integers(0, 2**31), st.floats(0.5, 3.0), st.floats(-2, 2))
def test_the_index_is_never_negative_and_ignores_a_common_scale(seed, scale, shift):
    random = np.random.default_rng(seed)
    reference, current = random.normal(size=300), random.normal(0.4, 1.3, size=200)
    index = population_stability_index(reference, current, bins=10)
    assert index >= 0
    moved = population_stability_index(reference * scale + shift, current * scale + shift, bins=10)
    assert moved == pytest.approx(index)


def test_equal_distributions_are_stable_and_a_shift_by_a_deviation_has_drifted():
    random = np.random.default_rng(3)
    reference = pd.DataFrame(random.normal(size=(5_000, 3)), columns=["same", "shifted", "gone"])
    current = pd.DataFrame(random.normal(size=(2_000, 3)), columns=["same", "shifted", "gone"])
    current["shifted"] += 1.0
    current["gone"] = np.nan
    table = compare_distributions(reference, current, PARAMETERS).set_index("factor")
    assert table["verdict"].to_dict() == {"shifted": "drifted", "same": "stable", "gone": "unknown"}
    assert table.index[0] == "shifted"
    # Two unit normals one deviation apart: 2 Φ(1/2) - 1.
    assert table.loc["shifted", "ks"] == pytest.approx(0.3829, abs=0.03)
    assert table.loc["gone", "missing_current"] == 1.0


def test_the_rolling_rank_ic_against_its_band_by_hand():
    days = pd.bdate_range("2024-01-01", periods=6)
    live = pd.Series([0.1, 0.1, 0.1, 0.1, -0.3, -0.5], index=days)
    table = rolling_rank_ic(live, pd.Series([0.1] * 10 + [0.0] * 10), 2, PARAMETERS)
    # Deviations of ±0.05 give the sum 0.05; their products one session apart 0.0425 with the weight 2 × 3/4, those two
    # sessions apart 0.035 with 2 × 2/4, those three apart 0.0275 with 2 × 1/4: 0.1625 in all. The error of 20 sessions
    # is √0.1625 / 20, of 4 sessions √5 times it, and of the difference between both √6 times.
    assert table["expected"].iloc[0] == pytest.approx(0.05)
    assert table["lower"].iloc[0] == pytest.approx(0.05 - 2 * np.sqrt(0.1625) / 20 * np.sqrt(6))
    assert table["rolling"].iloc[3:].tolist() == pytest.approx([0.1, 0.0, -0.15])
    assert table["below"].tolist() == [False, False, False, False, False, True]


def test_a_band_of_overlapping_labels_is_left_as_seldom_as_it_says():
    """Without any change, a model of five-session labels is called worse about as often as two errors allow."""
    parameters = DriftParameters(rolling_sessions=60, max_standard_errors=2.0)
    called = 0
    for seed in range(400):
        noise = np.random.default_rng(seed).normal(scale=0.1, size=800)
        overlapping = pd.Series(np.convolve(noise, np.ones(5) / 5, mode="valid"), name="rank_ic")
        called += int(rolling_rank_ic(overlapping[-60:], overlapping[:700], 5, parameters)["below"].iloc[-1])
    # Bartlett weights see √3.86 of the √5 by which overlap widens the error: 3.9 % of 400 are 16, above 29 with a
    # probability of 0.001. Errors of independent sessions would call 74.
    assert called <= 29


def test_a_short_validation_is_called_broken_as_seldom_as_a_long_one():
    """What 126 sessions promise is itself unsure: by the error of the rolling mean alone, 5.4 % would be called."""
    random, called = np.random.default_rng(0), 0
    for _ in range(1_000):
        series = pd.Series(random.normal(0.03, 0.1, 126 + 63))
        called += int(rolling_rank_ic(series[126:], series[:126], 1, DriftParameters())["below"].iloc[-1])
    # 2.3 % of a normal law are 23, above 38 with a probability of 0.001.
    assert called <= 38


@pytest.mark.parametrize(("sessions", "horizon"), [(19, 1), (199, 20)])
def test_a_short_validation_promises_no_band(sessions, horizon):
    live = pd.Series(np.full(10, -0.5), index=pd.bdate_range("2024-01-01", periods=10))
    table = rolling_rank_ic(live, pd.Series(np.linspace(0.1, 0.2, sessions)), horizon, PARAMETERS)
    assert table["lower"].isna().all()
    assert not table["below"].any()


def test_advice_weighs_drifted_factors_by_their_importance():
    drift = pd.DataFrame({"factor": ["big", "small"], "verdict": ["stable", "drifted"]})
    importance = pd.DataFrame({"factor": ["big", "small"], "importance": [-8.0, 2.0]})
    band = pd.DataFrame({"rolling": [0.1], "lower": [0.0], "below": [False]})
    assert advise(drift, importance, 0.0, band, PARAMETERS) == []
    drift["verdict"] = ["drifted", "stable"]
    assert advise(drift, importance, 0.3, band, PARAMETERS) == [
        "factors with 80% of the importance have drifted",
        "the distribution of its scores has drifted (index 0.30)",
    ]
    below = pd.DataFrame({"rolling": [-0.1], "lower": [0.0], "below": [True]})
    assert advise(drift, importance.iloc[:0], 0.0, below, PARAMETERS) == [
        "factors with 50% of the importance have drifted",
        "its rank IC over 4 sessions is -0.100, below the band of its validation, which ends at 0.000",
    ]
