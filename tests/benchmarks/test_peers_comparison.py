"""The comparing part of `make compare-peers`; the comparison itself needs the other libraries."""

import importlib.util
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st


@pytest.fixture(scope="module")
def comparison(project_path):
    spec = importlib.util.spec_from_file_location("comparison", project_path / "benchmarks" / "peers" / "comparison.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


OURS = {"sharpe": 0.5, "rank_ic": [0.1, np.nan, -0.2], "only ours": 3.0}


def test_every_measure_of_every_peer_is_compared_and_of_a_series_the_worst_element_stands(comparison):
    theirs = {"one": {"sharpe": 0.5, "rank_ic": [0.1, np.nan, -0.25]}, "other": {"sharpe": 0.4}}
    differences = comparison.compare(OURS, theirs)
    assert [(row.measure, row.peer, row.values) for row in differences] == [
        ("sharpe", "one", 1),
        ("rank_ic", "one", 3),
        ("sharpe", "other", 1),
    ]
    assert [row.relative for row in differences] == pytest.approx([0.0, 0.05 / 0.25, 0.1 / 0.5])
    assert (differences[1].ours, differences[1].theirs) == (-0.2, -0.25)
    assert comparison.summarise(differences) == {
        "measures": 2,
        "comparisons": 3,
        "values": 5,
        "largest_relative_difference": pytest.approx(0.2),
    }


@pytest.mark.parametrize(("ours", "theirs"), [(np.nan, 0.1), (0.1, np.nan), (np.inf, 0.1), (np.inf, -np.inf)])
def test_a_value_that_one_side_lacks_is_an_infinite_difference(comparison, ours, theirs):
    (row,) = comparison.compare({"ic": [1.0, ours]}, {"one": {"ic": [1.0, theirs]}})
    assert row.relative == np.inf
    assert row.relative > comparison.LARGEST_ACCEPTED


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_what_both_sides_lack_or_have_as_zero_is_no_difference(comparison, value):
    (row,) = comparison.compare({"ic": value}, {"one": {"ic": value}})
    assert row.relative == 0.0


def test_a_tiny_value_beside_zero_is_a_whole_difference(comparison):
    (row,) = comparison.compare({"ic": 0.0}, {"one": {"ic": 1e-300}})
    assert row.relative == 1.0


@given(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9))
def test_the_difference_does_not_depend_on_the_side(comparison, ours, theirs):
    pair = np.array([ours]), np.array([theirs])
    one, other = comparison.relative_differences(*pair), comparison.relative_differences(*pair[::-1])
    assert one == other
    assert 0 <= one[0] <= 2


def test_what_is_not_measured_alike_is_refused(comparison):
    with pytest.raises(ValueError, match=r"one has measured 'calmar', which ours lack"):
        comparison.compare(OURS, {"one": {"calmar": 1.0}})
    with pytest.raises(ValueError, match=r"'rank_ic' has 3 values, 2 by one\. Compare the same sessions"):
        comparison.compare(OURS, {"one": {"rank_ic": [0.1, 0.2]}})


def test_the_table_shows_both_values_to_the_last_digit(comparison):
    lines = comparison.write_table(comparison.compare(OURS, {"one": {"sharpe": 0.5000000001}})).splitlines()
    assert lines[2].split() == ["sharpe", "one", "1", "0.5", "0.5000000001", "2.0e-10"]


def test_the_peers_are_pinned(project_path):
    lines = (project_path / "benchmarks" / "peers" / "requirements.txt").read_text().splitlines()
    pinned = {line.split("==")[0] for line in lines if re.match(r"[\w-]+==\d", line)}
    assert {"alphalens-reloaded", "empyrical-reloaded", "quantstats", "scipy", "statsmodels", "uv"} <= pinned
