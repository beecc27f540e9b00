"""What is exported scores as the model itself does; without the libraries the remedy is named."""

import json
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest

from quant_pipeline.common.exceptions import ModelError
from quant_pipeline.factors.processors import ProcessorChain
from quant_pipeline.models.algorithms import SHIPPED
from quant_pipeline.models.fitted import Samples
from quant_pipeline.models.onnx_export import export_onnx
from quant_pipeline.models.training import train_bundle

INSTALLED = all(find_spec(name) for name in ("onnx", "onnxruntime", "onnxscript", "onnxmltools"))
needs_onnx = pytest.mark.skipif(not INSTALLED, reason="the extra `onnx` is not installed")


@pytest.fixture
def make_bundle(make_facts, features, labels, members, segments):
    def make(algorithm, **hyper):
        # Processors stay outside the graph; without them the panel is what the model reads.
        facts = make_facts(algorithm, **hyper)
        plain = replace(facts, spec=facts.spec.model_copy(update={"processors": []}))
        return train_bundle(plain, features, labels, members, segments)

    return make


IN_EVERY_RUN = {"lightgbm", "double_ensemble", "xgboost", "catboost", "ridge", "signal", "gru"}
"""One of each kind of graph; other networks and the elastic net are alike, but for the one that looks at neighbours."""


@needs_onnx
@pytest.mark.parametrize(
    "algorithm",
    [
        name if name in IN_EVERY_RUN else pytest.param(name, marks=pytest.mark.slow)
        for name in sorted({*SHIPPED} - {"qlib"})
    ],
)
def test_the_graph_scores_as_the_model(algorithm, make_bundle, later_rows, tmp_path):
    if algorithm in {"xgboost", "catboost"}:
        pytest.importorskip(algorithm)
    bundle = make_bundle(algorithm)
    assert export_onnx(bundle, later_rows, tmp_path / "model.onnx") < 1e-4
    described = json.loads((tmp_path / "model.onnx.json").read_text())
    assert described["bundle"] == bundle.identity
    assert list(described["factors"]) == ["signal", "noise_a", "noise_b"]
    assert described["window"] == bundle.facts.spec.window


@needs_onnx
@pytest.mark.parametrize("algorithm", ["lightgbm", "xgboost", "catboost"])
def test_missing_values_go_the_same_way_through_the_trees(algorithm, make_bundle, later_rows, tmp_path):
    pytest.importorskip(algorithm)
    gaps = later_rows.features.mask(np.random.default_rng(1).random(later_rows.features.shape) < 0.2)
    rows = Samples(gaps, later_rows.rows, later_rows.labels)
    assert export_onnx(make_bundle(algorithm), rows, tmp_path / "model.onnx") < 1e-4


@needs_onnx
def test_the_processors_are_described_so_that_another_server_can_apply_them(
    make_facts, features, labels, members, segments, tmp_path
):
    """Numbers of the document alone, with a graph that sees no more, give the score that the bundle gives."""
    onnxruntime = pytest.importorskip("onnxruntime")
    bundle = train_bundle(make_facts("ridge"), features, labels, members, segments)
    processed = ProcessorChain(bundle.facts.spec.processors, bundle.processor_states).transform(features)
    export_onnx(bundle, Samples(processed, np.arange(len(features)), np.empty(0)), tmp_path / "model.onnx")
    scale, fill = json.loads((tmp_path / "model.onnx.json").read_text())["processors"]
    scaled = (features.to_numpy() - scale["learned"]["median"]) / scale["learned"]["deviation"]
    given = np.nan_to_num(scaled.clip(-scale["clip"], scale["clip"]), nan=fill["value"]).astype("float32")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    scores = session.run(["score"], {"features": given})[0][:, 0]
    np.testing.assert_allclose(scores, bundle.predict(features).to_numpy(), rtol=0, atol=1e-5)


@needs_onnx
def test_a_row_of_sixty_sessions_is_exported_as_a_row(features, later_rows, make_bundle, tmp_path):
    bundle = make_bundle("gru", row_sessions=3, window=3, hidden=4, epochs=2)
    assert export_onnx(bundle, later_rows, tmp_path / "model.onnx") < 1e-4
    assert json.loads((tmp_path / "model.onnx.json").read_text())["window"] == 1


@needs_onnx
def test_a_graph_that_scores_otherwise_is_not_written(make_bundle, later_rows, tmp_path):
    bundle = make_bundle("ridge")
    honest = bundle.model.predict
    bundle.model.predict = lambda samples: honest(samples) + 0.1
    with pytest.raises(ModelError, match=r"scores otherwise, by 0\.1"):
        export_onnx(bundle, later_rows, tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


def test_a_class_of_qlib_has_no_graph_and_says_so(make_bundle, later_rows, tmp_path):
    bundle = make_bundle("qlib", import_path="qlib.contrib.model.linear.LinearModel", arguments={"estimator": "ols"})
    with pytest.raises(ModelError, match="qlib on planted cannot be exported to ONNX"):
        export_onnx(bundle, later_rows, tmp_path / "model.onnx")


def test_rows_without_a_single_score_name_the_remedy(make_bundle, later_rows, tmp_path):
    rows = Samples(later_rows.features, later_rows.rows[:0], later_rows.labels)
    with pytest.raises(ModelError, match="bring more sessions"):
        export_onnx(make_bundle("ridge"), rows, tmp_path / "model.onnx")


@pytest.mark.skipif(INSTALLED, reason="the extra is installed")
def test_missing_libraries_name_the_remedy(make_bundle, features, tmp_path):
    rows = Samples(features, np.arange(100), np.empty(0, dtype="float32"))
    with pytest.raises(ModelError, match=r"quant_pipeline\[onnx\]"):
        export_onnx(make_bundle("lightgbm"), rows, tmp_path / "model.onnx")
