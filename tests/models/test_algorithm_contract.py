"""Every shipped algorithm passes the contract that the project ships, and records the libraries that fitted it."""

import json
from importlib import import_module
from importlib.util import find_spec

import numpy as np
import pytest

from quant_pipeline.models.algorithms import SHIPPED
from quant_pipeline.models.bundle import write_bundle
from quant_pipeline.testing.algorithm_contract import AlgorithmContract
from tests.helpers.small_hyper import HYPER

# Every algorithm, and what fits it beside numpy and pandas, as it is imported.
NETWORKS = ("mlp", "gru", "lstm", "alstm", "tcn", "transformer", "localformer", "gats", "tra", "tabnet", "sfm")
LIBRARIES = {
    "lightgbm": ("lightgbm",),
    "double_ensemble": ("lightgbm",),
    "xgboost": ("xgboost",),
    "catboost": ("catboost",),
    "ridge": (),
    "elastic_net": ("sklearn",),
    **dict.fromkeys(NETWORKS, ("torch",)),
}
# Networks like others that are tested in every run: one runs along the window, one convolves it, one attends to it,
# one has a state beside its weights. One chooses its columns, and takes seconds for each of the tests.
LIKE_OTHERS = {"mlp", "lstm", "alstm", "localformer", "gats", "tra", "sfm", "tabnet"}


def _release(version: str) -> str:
    """Leave out the name of a build: torch adds it to its version, and on some machines to that of its distribution."""
    return version.partition("+")[0]


class ShippedContract(AlgorithmContract):
    def test_the_bundle_records_every_library_that_made_it_and_no_other(self, tmp_path):
        write_bundle(self.bundle, tmp_path / "bundle")
        recorded = json.loads((tmp_path / "bundle" / "manifest.json").read_text())["libraries"]
        imported = {"xgboost-cpu": "xgboost", "scikit-learn": "sklearn"}
        recorded = {imported.get(name, name): _release(number) for name, number in recorded.items()}
        made_by = [import_module(name) for name in ("numpy", "pandas", *LIBRARIES[self.algorithm])]
        assert recorded == {library.__name__: _release(library.__version__) for library in made_by}

    def test_a_learning_curve_is_kept(self):
        assert len(self.bundle.learning_curve) > 1
        assert np.isfinite(self.bundle.learning_curve["value"]).all()

    def test_importance_is_reported(self):
        assert self.bundle.importance["factor"].iloc[0] == "signal"


def _contract_of(algorithm):
    case = type(f"Test_{algorithm}", (ShippedContract,), {"algorithm": algorithm, "hyper": HYPER[algorithm]})
    optional = {"xgboost", "catboost"} & {algorithm}
    case = pytest.mark.skipif(any(not find_spec(name) for name in optional), reason="the extra is not installed")(case)
    return pytest.mark.slow(case) if algorithm in LIKE_OTHERS else case


globals().update({f"Test_{algorithm}": _contract_of(algorithm) for algorithm in LIBRARIES})


@pytest.mark.slow
class TestQlibNetwork(AlgorithmContract):
    """A class that seeds the generators of the process when it is made, as most networks of Qlib do."""

    algorithm = "qlib"
    hyper = {  # noqa: RUF012
        "import_path": "qlib.contrib.model.pytorch_gru.GRU",
        "arguments": {
            "d_feat": 3, "hidden_size": 8, "num_layers": 1, "n_epochs": 8, "lr": 0.03, "batch_size": 200, "GPU": -1,
            "seed": 1,
        },
    }  # fmt: skip


class TestQlib(AlgorithmContract):
    algorithm = "qlib"
    hyper = {  # noqa: RUF012
        "import_path": "qlib.contrib.model.gbdt.LGBModel",
        "arguments": {"num_boost_round": 20, "num_threads": 1, "verbosity": -1},
    }


def test_every_shipped_algorithm_is_tested_here():
    assert {*LIBRARIES, "qlib", "signal"} == set(SHIPPED)
