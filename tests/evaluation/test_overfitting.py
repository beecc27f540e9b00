import numpy as np
import pandas as pd
import pytest
from scipy import stats

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.evaluation import overfitting

RNG = np.random.default_rng(12)
NOISE = RNG.normal(0, 0.01, (640, 60))
PLANTED = NOISE + np.where(np.arange(60) == 7, 0.002, 0.0)


def test_probabilistic_sharpe_of_normal_returns_is_the_closed_form():
    returns = np.array([0.01, -0.01] * 50 + [0.02])
    sharpe = returns.mean() / returns.std(ddof=1)
    skew, kurtosis = stats.skew(returns), stats.kurtosis(returns) + 3
    spread = np.sqrt(1 - skew * sharpe + (kurtosis - 1) / 4 * sharpe**2)
    expected = stats.norm.cdf(sharpe * 10 / spread)
    assert overfitting.probabilistic_sharpe_ratio(returns) == pytest.approx(expected, rel=1e-12)


def test_probability_of_a_sharpe_ratio_in_closed_form():
    # Normal returns, SR 0.1 per session, 101 sessions: Φ(0.1 × 10 / √(1 + 0.1² / 2)) = Φ(0.99750934) = 0.8407413.
    assert overfitting.probability_of_sharpe(0.1, 0.0, 3.0, 101) == pytest.approx(0.8407413, abs=1e-7)
    # Skew −1, kurtosis 6: Φ(1 / √(1 + 0.1 + 0.0125)) = Φ(0.94809093) = 0.8284584.
    assert overfitting.probability_of_sharpe(0.1, -1.0, 6.0, 101) == pytest.approx(0.8284584, abs=1e-7)


def test_the_worked_example_of_the_deflated_sharpe_ratio():
    # Bailey and López de Prado (2014), numerical example: annual SR 2.5 over 5 years of days (250 a year), 100 trials
    # with variance 1/2 per year, skew −3, kurtosis 10: the deflated Sharpe ratio is 0.9004.
    trials = np.array([1.0, -1.0] * 50)
    trials *= np.sqrt(0.5 / 250) / trials.std(ddof=1)
    highest = overfitting.expected_maximum_sharpe(trials)
    assert highest == pytest.approx(0.1132, abs=1e-4)
    assert overfitting.probability_of_sharpe(2.5 / np.sqrt(250), -3, 10, 1250, highest) == pytest.approx(
        0.9004, abs=2e-4
    )


def test_logits_by_hand():
    # The best of either half is the best of the other: rank 3 of 3, ω = 3/4, log(ω / (1 − ω)) = log 3.
    steady = np.array([[0.02, 0.0, -0.02], [0.01, 0.001, -0.01], [0.02, 0.0, -0.02], [0.01, 0.001, -0.01]])
    logits = overfitting.overfitting_logits(*overfitting.block_sums(steady, 2))
    assert logits.tolist() == pytest.approx([np.log(3), np.log(3)])


def test_threshold_at_the_own_sharpe_ratio_is_a_coin_toss():
    sharpe = NOISE[:, 0].mean() / NOISE[:, 0].std(ddof=1)
    assert overfitting.probabilistic_sharpe_ratio(NOISE[:, 0], sharpe) == pytest.approx(0.5)


def test_expected_maximum_grows_with_the_number_of_trials_as_in_the_paper():
    # Bailey and López de Prado (2014): the best of 1,000 trials of unit variance shows about 3.26.
    spread = RNG.normal(size=1_000)
    unit = spread / spread.std(ddof=1)
    assert overfitting.expected_maximum_sharpe(unit) == pytest.approx(3.26, abs=0.01)
    assert overfitting.expected_maximum_sharpe(unit[:10] / unit[:10].std(ddof=1)) == pytest.approx(1.57, abs=0.01)
    assert overfitting.expected_maximum_sharpe(unit[:1]) == 0.0


def test_on_pure_noise_the_search_says_so():
    probabilities = []
    for seed in range(8):
        noise = np.random.default_rng(seed).normal(0, 0.01, (640, 60))
        probabilities.append(overfitting.probability_of_backtest_overfitting(*overfitting.block_sums(noise, 10)))
    assert np.mean(probabilities) == pytest.approx(0.5, abs=0.12)
    best = int(np.argmax(NOISE.mean(axis=0)))
    report = overfitting.report_overfitting(pd.DataFrame(NOISE), best, n_blocks=10)
    assert report.deflated_sharpe < 0.95
    assert report.verdict != "probably skill"


def test_one_planted_good_model_is_found():
    report = overfitting.report_overfitting(pd.DataFrame(PLANTED), 7, n_blocks=10)
    assert report.backtest_overfitting < 0.1
    assert report.deflated_sharpe > 0.95
    assert report.reality_check < 0.05
    assert report.superior_ability < 0.05
    assert report.verdict == "probably skill"
    assert report.trials == 60


def test_verdict_follows_the_most_severe_measure():
    report = overfitting.report_overfitting(
        pd.DataFrame(PLANTED), 7, trial_sharpes=RNG.normal(0, 0.5, 21_699), n_blocks=10
    )
    assert report.deflated_sharpe < 0.5
    assert report.verdict == "probably luck"
    assert any("21699 trials" in reason and "probably luck" in reason for reason in report.reasons)


def test_overfitting_by_hand_with_two_combinations_in_two_blocks():
    # Each combination is good in one block and bad in the other: the best of one half is always the worst of the other.
    returns = np.array([[0.02, -0.02], [0.01, -0.01], [-0.02, 0.02], [-0.01, 0.01]])
    sums, sessions = overfitting.block_sums(returns, 2)
    assert sessions.tolist() == [2, 2]
    np.testing.assert_allclose(sums[0, 0], [0.03, 0.0005])
    assert overfitting.probability_of_backtest_overfitting(sums, sessions) == 1.0
    steady = np.array([[0.02, -0.02], [0.01, -0.01], [0.02, -0.02], [0.01, -0.01]])
    assert overfitting.probability_of_backtest_overfitting(*overfitting.block_sums(steady, 2)) == 0.0


@pytest.mark.parametrize(("shape", "blocks"), [((40, 1), 4), ((40, 5), 5)])
def test_what_cannot_be_split_is_refused(shape, blocks):
    with pytest.raises(ConfigurationError, match="even number of blocks"):
        overfitting.probability_of_backtest_overfitting(*overfitting.block_sums(np.ones(shape), blocks))
