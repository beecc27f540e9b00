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

PARAMETERS = DriftParameters(rolling_sessions=4, band=2.0)


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
    table = rolling_rank_ic(pd.Series([0.1, 0.1, 0.1, 0.1, -0.3, -0.5], index=days), 0.05, 0.1, PARAMETERS)
    assert table["lower"].iloc[0] == pytest.approx(0.05 - 2 * 0.1 / 2)
    assert table["rolling"].iloc[3:].tolist() == pytest.approx([0.1, 0.0, -0.15])
    assert table["below"].tolist() == [False, False, False, False, False, True]


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
