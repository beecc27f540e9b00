"""How the double ensemble chooses rows and factors for its next model."""

import numpy as np

from quant_pipeline.models.algorithms.double_ensemble import DoubleEnsembleHyper
from quant_pipeline.models.double_ensemble import fit_double_ensemble, select_factors, weigh_rows


def test_rows_that_are_hard_and_learned_late_weigh_more():
    hyper = DoubleEnsembleHyper(row_bins=2, decay=0.5)
    fall = np.array([0.5, 0.5, 2.0, 2.0])
    errors = np.array([4.0, 4.0, 1.0, 1.0])
    # Ranks of -errors are 0.375 and 0.875, those of the fall the same: values 0.75 and 1.75 in two groups.
    expected = [1 / (0.5 * 0.75 + 0.1)] * 2 + [1 / (0.5 * 1.75 + 0.1)] * 2
    np.testing.assert_allclose(weigh_rows(fall, errors, hyper, 1), expected)


def test_weights_get_more_alike_from_model_to_model():
    hyper = DoubleEnsembleHyper(row_bins=4)
    random = np.random.default_rng(1)
    fall, errors = random.random(50), random.random(50)
    spreads = [np.ptp(weights) / weights.mean() for k in (1, 4) if len(weights := weigh_rows(fall, errors, hyper, k))]
    assert spreads[0] > spreads[1]


def test_useful_factors_are_drawn_more_often():
    use = np.array([1.0] * 10 + [0.0] * 10)
    drawn = select_factors(use, [0.8, 0.4], np.random.default_rng(1))
    assert (drawn < 10).sum() == 8
    assert (drawn >= 10).sum() == 4
    assert len(np.unique(drawn)) == 12


def test_the_factor_that_orders_labels_stays_in_every_model(samples):
    hyper = DoubleEnsembleHyper(models=3, rounds=15, min_data_in_leaf=20, threads=1, factor_shares=[1.0, 0.5])
    model = fit_double_ensemble(samples["train"], samples["valid"], hyper, seed=3)
    columns = [set(columns) for columns in model.columns]
    assert columns[0] == {0, 1, 2}
    assert all(0 in each for each in columns)
    assert any(len(each) == 2 for each in columns[1:])
    errors = model.curve[model.curve["metric"] == "train_l2"]["value"]
    assert len(errors) == 3
