import numpy as np
import pandas as pd
import pytest

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.evaluation.performance import sharpe_ratio
from quant_pipeline.evaluation.walk_forward_selection import group_periods, sharpe_of_periods, walk_forward_folds


def test_folds_by_hand():
    assert walk_forward_folds(20, first_training=8, length=5, embargo=2) == [(6, 8, 13), (11, 13, 18), (16, 18, 20)]


@pytest.mark.parametrize("embargo", [0, 1, 3])
def test_every_fold_is_measured_once_and_after_what_ranks_it(embargo):
    folds = walk_forward_folds(50, 10, 7, embargo)
    measured = [period for fold in folds for period in range(fold.first, fold.last)]
    assert measured == list(range(10, 50))
    assert all(fold.first - fold.ranked == embargo for fold in folds)


@pytest.mark.parametrize(("periods", "training", "words"), [(20, 2, "nothing to rank on"), (8, 8, "leave no fold")])
def test_impossible_walks_are_refused(periods, training, words):
    with pytest.raises(ConfigurationError, match=words):
        walk_forward_folds(periods, training, 5, embargo=2)


def test_sharpe_of_periods_is_the_sharpe_ratio_of_the_sessions():
    rng = np.random.default_rng(0)
    returns = rng.normal(0.001, 0.01, (3, 47))
    starts = [0, 10, 25]
    sums = np.stack([np.add.reduceat(returns, starts, axis=1), np.add.reduceat(returns**2, starts, axis=1)], axis=-1)
    sessions = np.array([10, 15, 22])
    whole, part = sharpe_of_periods(sums, sessions), sharpe_of_periods(sums, sessions, 1, 2)
    for row in range(3):
        assert whole[row] == pytest.approx(sharpe_ratio(pd.Series(returns[row])))
        assert part[row] == pytest.approx(sharpe_ratio(pd.Series(returns[row, 10:25])))


def test_what_never_varies_has_no_sharpe_ratio():
    assert sharpe_of_periods(np.array([[[0.0, 0.0]], [[1.0, 0.1]]]), np.array([10])).tolist() == [0.0, 0.0]


def test_periods_are_grouped_in_order():
    sums = np.arange(10, dtype=float).reshape(1, 5, 2)
    blocks, sessions = group_periods(sums, np.array([5, 5, 5, 5, 2]), 2)
    assert blocks[0].tolist() == [[6.0, 9.0], [14.0, 16.0]]
    assert sessions.tolist() == [15, 7]
    with pytest.raises(ConfigurationError, match="5 periods cannot be grouped into 6 blocks"):
        group_periods(sums, np.array([5, 5, 5, 5, 2]), 6)
