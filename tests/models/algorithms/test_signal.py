import numpy as np

from quant_pipeline.models.algorithms.signal import SignalHyper, fit_signal, load_signal


def test_the_score_is_the_factor_and_survives_its_weights(samples, later_rows):
    model = fit_signal(samples["train"], samples["valid"], SignalHyper())
    assert model.importance["factor"].tolist() == ["signal"]
    np.testing.assert_array_equal(model.predict(later_rows), later_rows.values[:, 0].astype("float64"))
    again = load_signal(model.weights(), list(later_rows.features.columns), SignalHyper())
    np.testing.assert_array_equal(again.predict(later_rows), model.predict(later_rows))
