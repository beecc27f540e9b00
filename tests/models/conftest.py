"""A panel with one planted relation."""

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.models.bundle import BundleFacts
from quant_pipeline.models.fitted import Samples
from quant_pipeline.models.spec import ModelSpec

N_SESSIONS, N_INSTRUMENTS = 160, 20
FACTORS = ["signal", "noise_a", "noise_b"]


@pytest.fixture(scope="session")
def days():
    return pd.bdate_range("2020-01-06", periods=N_SESSIONS, unit="ns")


@pytest.fixture(scope="session")
def features(days):
    random = np.random.default_rng(11)
    names = pd.array([f"I{n:02d}" for n in range(N_INSTRUMENTS)], dtype="str")
    index = pd.MultiIndex.from_product([days, names], names=["datetime", "instrument"])
    return pd.DataFrame(random.normal(size=(len(index), 3)).astype("float32"), index=index, columns=FACTORS)


@pytest.fixture(scope="session")
def labels(features):
    noise = np.random.default_rng(12).normal(size=len(features))
    return (0.01 * (features["signal"].astype("float64") + 0.5 * noise)).rename("label")


@pytest.fixture(scope="session")
def members(features):
    table = features.index.to_frame(index=False)
    return table.rename(columns={"datetime": "date"})


@pytest.fixture(scope="session")
def segments(days):
    return {"train": days[:100], "valid": days[104:130], "test": days[134:]}


NETWORK = {"batch_sessions": 10}
HYPER = {
    "lightgbm": {"rounds": 60, "patience": 20, "min_data_in_leaf": 20, "lambda_l2": 1.0, "threads": 1},
    "ridge": {},
    "qlib": {},
    "elastic_net": {"alpha": 0.001},
    "double_ensemble": {"rounds": 20, "models": 2, "min_data_in_leaf": 20, "lambda_l2": 1.0, "threads": 1},
    "xgboost": {"rounds": 40, "patience": 20, "min_child_weight": 20, "lambda_l2": 1.0, "threads": 1},
    "catboost": {"rounds": 40, "patience": 20, "max_depth": 4, "lambda_l2": 1.0, "threads": 1},
    "mlp": {**NETWORK, "hidden": [8], "epochs": 4, "learning_rate": 0.02},
    "gru": {**NETWORK, "window": 4, "hidden": 8, "epochs": 4, "learning_rate": 0.03},
    "lstm": {**NETWORK, "window": 4, "hidden": 8, "epochs": 4, "learning_rate": 0.03},
    "alstm": {**NETWORK, "window": 4, "hidden": 8, "epochs": 4, "learning_rate": 0.03},
    "gats": {**NETWORK, "window": 4, "hidden": 8, "epochs": 4, "learning_rate": 0.03},
    "tra": {**NETWORK, "window": 4, "hidden": 8, "epochs": 4, "learning_rate": 0.03},
    "transformer": {**NETWORK, "hidden": 8, "feedforward": 16, "span": 3, "epochs": 4, "learning_rate": 0.02},
    "localformer": {**NETWORK, "hidden": 8, "feedforward": 16, "span": 2, "epochs": 4, "learning_rate": 0.02},
    "tcn": {**NETWORK, "channels": 8, "levels": 1, "epochs": 4, "learning_rate": 0.02},
}


@pytest.fixture(scope="session")
def make_facts(segments):
    def make(algorithm, **hyper):
        spec = ModelSpec.model_validate(
            {"algorithm": algorithm, "features": "planted", "factors": FACTORS, "hyper": {**HYPER[algorithm], **hyper}}
        )
        window = {name: [f"{segments[name][place]:%Y-%m-%d}" for place in (0, -1)] for name in ("train", "valid")}
        return BundleFacts(
            spec, {name: f"${name}" for name in FACTORS}, "Ref($open,-2)/Ref($open,-1)-1", window, "XNYS"
        )

    return make


@pytest.fixture(scope="session")
def samples(features, labels, segments):
    """Both segments as algorithms take them, with labels ranked within the session."""
    ranked = (labels.groupby("datetime").rank(pct=True) - 0.5).to_numpy(dtype="float32")
    days = features.index.get_level_values("datetime")
    rows = {name: np.flatnonzero(days.isin(segments[name])) for name in ("train", "valid")}
    return {name: Samples(features, places, ranked[places]) for name, places in rows.items()}


@pytest.fixture(scope="session")
def later_rows(features, segments):
    rows = np.flatnonzero(features.index.get_level_values("datetime").isin(segments["test"]))
    return Samples(features, rows, np.empty(0, dtype="float32"))
