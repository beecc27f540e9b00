import numpy as np
import pandas as pd
import pytest
from scipy import stats

from quant_pipeline.evaluation.similarity import correlate_returns, correlate_scores, grow_tree, mean_pair_correlation

RNG = np.random.default_rng(4)


def panel(columns, n_sessions=3, n_names=20):
    index = pd.MultiIndex.from_product(
        [pd.bdate_range("2024-01-02", periods=n_sessions), [f"I{n:02d}" for n in range(n_names)]],
        names=["datetime", "instrument"],
    )
    return pd.DataFrame(columns, index=index)


def test_score_correlation_is_the_mean_of_the_daily_ones():
    scores = panel(dict(zip("abc", RNG.normal(size=(3, 60)), strict=True)))
    matrix = correlate_scores(scores)
    days = [day for _, day in scores.groupby(level="datetime")]
    expected = np.mean([stats.pearsonr(day["a"], day["c"]).statistic for day in days])
    assert matrix.loc["a", "c"] == matrix.loc["c", "a"] == pytest.approx(expected)
    assert np.diag(matrix).tolist() == [1.0, 1.0, 1.0]


def test_levels_between_sessions_do_not_make_models_alike():
    drift = np.repeat([0.0, 100.0, 200.0], 20)
    scores = panel({"a": RNG.normal(size=60) + drift, "b": RNG.normal(size=60) + drift})
    assert abs(correlate_scores(scores).loc["a", "b"]) < 0.4
    assert np.corrcoef(scores["a"], scores["b"])[0, 1] > 0.99


def test_rows_that_a_model_lacks_and_constant_sessions_do_not_count():
    scores = panel({"a": RNG.normal(size=60), "b": RNG.normal(size=60)})
    whole = correlate_scores(scores.iloc[:40])
    scores.iloc[40:, 1] = 7.0
    scores.iloc[-1, 0] = np.nan
    assert correlate_scores(scores).loc["a", "b"] == pytest.approx(whole.loc["a", "b"])


def test_twins_are_neighbours_in_the_tree_and_join_lowest():
    base = RNG.normal(size=(2, 500))
    twins = np.vstack([base[0], base[1], base[0] + 0.1 * RNG.normal(size=500), base[1] + 0.3 * RNG.normal(size=500)])
    tree = grow_tree(correlate_returns(twins, ["a", "b", "a_twin", "b_twin"]))
    places = {name: tree.order.index(name) for name in tree.order}
    assert abs(places["a"] - places["a_twin"]) == abs(places["b"] - places["b_twin"]) == 1
    lowest = min(tree.steps, key=lambda step: step[1][1])
    assert {lowest[0][0], lowest[-1][0]} == {places["a"], places["a_twin"]}
    assert len(tree.steps) == 3


def test_one_model_has_no_tree_and_no_pair():
    single = correlate_returns(RNG.normal(size=(1, 30)), ["a"])
    assert grow_tree(single) == (["a"], [])
    assert np.isnan(mean_pair_correlation(single, ["a"]))


def test_mean_pair_correlation_by_hand():
    matrix = pd.DataFrame([[1, 0.2, 0.4], [0.2, 1, 0.9], [0.4, 0.9, 1]], index=list("abc"), columns=list("abc"))
    assert mean_pair_correlation(matrix, ["a", "b", "c"]) == pytest.approx(0.5)
    assert mean_pair_correlation(matrix, ["b", "c"]) == pytest.approx(0.9)
    with pytest.raises(KeyError, match="d"):
        mean_pair_correlation(matrix, ["b", "d"])
