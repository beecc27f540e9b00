import numpy as np
import pandas as pd
import pytest
from statsmodels.regression.linear_model import OLS

from quant_pipeline.evaluation.comparison import PromotionGate, paired_rank_ic_test, refusal
from quant_pipeline.evaluation.information_coefficient import information_coefficients


@pytest.fixture(scope="module")
def labels():
    index = pd.MultiIndex.from_product(
        [pd.bdate_range("2024-01-01", periods=120), [f"I{n:02d}" for n in range(40)]], names=["datetime", "instrument"]
    )
    return pd.Series(np.random.default_rng(1).normal(size=len(index)), index=index, name="label")


def score(labels, strength, seed):
    return strength * labels + np.random.default_rng(seed).normal(size=len(labels))


def passes(test, gate):
    return refusal(test, gate) is None


def test_a_better_candidate_passes(labels):
    test = paired_rank_ic_test(score(labels, 0.3, 2), score(labels, 0.05, 3), labels, horizon=1)
    assert test["sessions"] == 120
    assert test["candidate"] > test["champion"]
    assert test["difference"] == pytest.approx(test["candidate"] - test["champion"])
    assert test["t"] > 4
    assert passes(test, PromotionGate())
    assert not passes(test, PromotionGate(min_difference=0.5))


def test_a_worse_candidate_and_an_equal_one_do_not_pass(labels):
    good, bad = score(labels, 0.3, 2), score(labels, 0.05, 3)
    assert not passes(paired_rank_ic_test(bad, good, labels, horizon=1), PromotionGate())
    same = paired_rank_ic_test(good, good, labels, horizon=1)
    assert (same["difference"], same["t"], same["p_value"]) == (0.0, 0.0, 1.0)


def test_luck_passes_as_often_as_the_significance_says(labels):
    passed = [
        passes(
            paired_rank_ic_test(score(labels, 0.1, 2 * n), score(labels, 0.1, 2 * n + 1), labels, 1), PromotionGate()
        )
        for n in range(60)
    ]
    assert sum(passed) <= 9  # 5 % of 60 is 3; more than 9 has a probability below 0.002


def test_overlapping_labels_widen_the_error(labels):
    """A difference that repeats itself over ten sessions counts as one observation, not as ten."""
    sessions = labels.index.get_level_values("datetime")
    block = np.random.default_rng(5).normal(size=12)[np.repeat(np.arange(12), 10)]
    push = pd.Series(block, index=sessions.unique()).reindex(sessions).to_numpy()
    candidate = (0.3 + push) * labels + np.random.default_rng(6).normal(size=len(labels))
    champion = score(labels, 0.1, 7)
    tight = paired_rank_ic_test(candidate, champion, labels, horizon=1)
    wide = paired_rank_ic_test(candidate, champion, labels, horizon=10)
    assert abs(wide["t"]) < abs(tight["t"])


def test_the_t_is_that_of_statsmodels(labels):
    candidate, champion = score(labels, 0.3, 2), score(labels, 0.25, 3)
    rank_ics = [information_coefficients(scores, labels)["rank_ic"] for scores in (candidate, champion)]
    difference = (rank_ics[0] - rank_ics[1]).to_numpy()
    fitted = OLS(difference, np.ones(120)).fit(cov_type="HAC", cov_kwds={"maxlags": 19})
    test = paired_rank_ic_test(candidate, champion, labels, horizon=10)
    assert test["t"] == pytest.approx(fitted.tvalues[0], rel=1e-12)


def test_a_few_sessions_prove_nothing(labels):
    few = labels[labels.index.get_level_values("datetime") < "2024-01-15"]
    test = paired_rank_ic_test(score(few, 5.0, 1), score(few, 0.0, 2), few, horizon=1)
    assert (test["sessions"], test["t"], test["p_value"]) == (10, 0.0, 1.0)


def test_fewer_than_ten_horizons_prove_nothing_however_large_the_difference(labels):
    """120 sessions are enough for labels of 12 sessions, and not for those of 13."""
    candidate, champion = score(labels, 5.0, 1), score(labels, 0.0, 2)
    enough, few = (paired_rank_ic_test(candidate, champion, labels, horizon) for horizon in (12, 13))
    assert (enough["sessions_needed"], few["sessions_needed"]) == (120, 130)
    assert passes(enough, PromotionGate())
    assert (few["t"], few["p_value"]) == (0.0, 1.0)
    assert refusal(few, PromotionGate(significance=0.99)) == (
        "120 sessions with scores of both prove nothing, 130 are needed (20, or ten horizons of the label); "
        "let the test segment begin earlier (`split.test`)"
    )


def test_a_refusal_names_what_the_gate_asks_for(labels):
    bad, good = score(labels, 0.05, 3), score(labels, 0.3, 2)
    refused = refusal(paired_rank_ic_test(bad, good, labels, horizon=1), PromotionGate(significance=0.01))
    assert refused == "`promotion_gate` asks for a difference above 0.0 with p at most 0.01"
