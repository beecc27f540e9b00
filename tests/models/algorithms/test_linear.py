"""Linear models against scikit-learn."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import ElasticNet

from quant_pipeline.exceptions import ModelError
from quant_pipeline.models.algorithms.linear import ElasticNetHyper, RidgeHyper, fit_elastic_net, fit_ridge


@pytest.mark.parametrize(("alpha", "l1_ratio"), [(0.01, 0.5), (0.05, 1.0), (0.02, 0.0)])
def test_the_elastic_net_is_that_of_scikit_learn(alpha, l1_ratio, samples, later_rows):
    model = fit_elastic_net(samples["train"], samples["valid"], ElasticNetHyper(alpha=alpha, l1_ratio=l1_ratio))
    oracle = ElasticNet(alpha=alpha, l1_ratio=l1_ratio, tol=1e-13, max_iter=100_000)
    oracle.fit(samples["train"].values.astype("float64"), samples["train"].labels)
    expected = oracle.predict(later_rows.values.astype("float64"))
    np.testing.assert_allclose(model.predict(later_rows), expected, rtol=0, atol=1e-7)


def test_a_strong_penalty_leaves_only_the_planted_factor(samples):
    model = fit_elastic_net(samples["train"], samples["valid"], ElasticNetHyper(alpha=0.05, l1_ratio=1.0))
    importance = model.importance.set_index("factor")["importance"]
    assert importance["signal"] > 0
    assert importance["noise_a"] == importance["noise_b"] == 0


@pytest.mark.parametrize(("fit", "hyper"), [(fit_ridge, RidgeHyper()), (fit_elastic_net, ElasticNetHyper())])
def test_missing_features_name_the_remedy(fit, hyper, samples):
    holes = samples["train"].features.copy()
    holes.iloc[3, 1] = np.nan
    with pytest.raises(ModelError, match="add the processor `fill`"):
        fit(replace(samples["train"], features=holes), samples["valid"], hyper)


def test_a_descent_that_has_not_arrived_is_told(samples, caplog):
    fit_elastic_net(samples["train"], samples["valid"], ElasticNetHyper(alpha=0.001, rounds=1))
    assert "has not arrived after 1 rounds" in caplog.text
