"""What is exported scores as the model itself does; without the libraries the remedy is named."""

from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest

from quant_pipeline.common.exceptions import ModelError
from quant_pipeline.models.fitted import Samples
from quant_pipeline.models.onnx_export import export_onnx
from quant_pipeline.models.training import train_bundle

INSTALLED = all(find_spec(name) for name in ("onnx", "onnxruntime", "onnxscript", "onnxmltools"))
needs_onnx = pytest.mark.skipif(not INSTALLED, reason="the extra `onnx` is not installed")


@pytest.fixture
def make_bundle(make_facts, features, labels, members, segments):
    def make(algorithm):
        # Processors stay outside the graph; without them the panel is what the model reads.
        facts = make_facts(algorithm)
        plain = replace(facts, spec=facts.spec.model_copy(update={"processors": []}))
        return train_bundle(plain, features, labels, members, segments)

    return make


@needs_onnx
@pytest.mark.parametrize(
    "algorithm", ["lightgbm", "gru", *(pytest.param(name, marks=pytest.mark.slow) for name in ("tcn", "transformer"))]
)
def test_the_graph_scores_as_the_model(algorithm, make_bundle, later_rows, tmp_path):
    assert export_onnx(make_bundle(algorithm), later_rows, tmp_path / "model.onnx") < 1e-4
    assert (tmp_path / "model.onnx").stat().st_size > 0


@needs_onnx
def test_a_graph_that_scores_otherwise_is_not_written(make_bundle, later_rows, tmp_path):
    bundle = make_bundle("mlp")
    honest = bundle.model.predict
    bundle.model.predict = lambda samples: honest(samples) + 0.1
    with pytest.raises(ModelError, match=r"scores otherwise, by 0\.1"):
        export_onnx(bundle, later_rows, tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


def test_an_algorithm_without_a_graph_says_so(make_bundle, later_rows, tmp_path):
    with pytest.raises(ModelError, match="cannot be exported"):
        export_onnx(make_bundle("gats"), later_rows, tmp_path / "model.onnx")


@pytest.mark.skipif(INSTALLED, reason="the extra is installed")
def test_missing_libraries_name_the_remedy(make_bundle, features, tmp_path):
    rows = Samples(features, np.arange(100), np.empty(0, dtype="float32"))
    with pytest.raises(ModelError, match=r"quant_pipeline\[onnx\]"):
        export_onnx(make_bundle("lightgbm"), rows, tmp_path / "model.onnx")
