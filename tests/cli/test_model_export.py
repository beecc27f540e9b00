"""`kedro models export`: a stored version as ONNX, scored by another runtime, in a project in which nothing has run."""

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from kedro.framework.startup import bootstrap_project

from quant_pipeline.cli.models import models as command
from quant_pipeline.cli.opened_models import open_models, store_of
from quant_pipeline.models.training import train_bundle
from quant_pipeline.project import model_registry
from quant_pipeline.testing.planted_panel import planted_facts, planted_panel
from tests.helpers.project import bare_project

pytestmark = pytest.mark.skipif(find_spec("onnxruntime") is None, reason="the extra `onnx` is not installed")


@pytest.fixture(scope="module")
def bundle():
    panel = planted_panel()
    return train_bundle(planted_facts("ridge"), panel.features, panel.labels, panel.members, panel.segments)


@pytest.fixture
def run(tmp_path, project_path, monkeypatch):
    """Run `kedro models export` in a project of its own."""
    path = bare_project(project_path, tmp_path / "project")
    monkeypatch.chdir(path)
    monkeypatch.setattr(model_registry, "_session_loader", None)
    metadata = bootstrap_project(Path(path))
    return metadata, lambda line: CliRunner().invoke(command, line.split()[2:], obj=metadata)


def store(metadata, bundle, *, features=True):
    with open_models(metadata, None, {}) as opened:
        store_of(opened, "ridge_alpha158").add(bundle, promote=True)
        if features:
            opened.catalog.save("alpha158_features", planted_panel().features)
            opened.catalog.save("universe_members", planted_panel().members)


def test_the_file_gives_the_scores_of_the_champion(run, bundle):
    onnxruntime = pytest.importorskip("onnxruntime")
    metadata, export = run
    store(metadata, bundle)
    done = export("kedro models export ridge_alpha158 --to onnx")
    assert done.exit_code == 0, done.output
    assert f"ridge_alpha158: {bundle.identity} in exports/ridge_alpha158.onnx" in done.output
    assert "the scores of 2,400 rows agree within" in done.output  # 120 sessions of twenty instruments.
    rows = planted_panel().features.iloc[-20:]
    processed = bundle.samples(planted_panel().features, np.arange(3180, 3200)).values
    session = onnxruntime.InferenceSession("exports/ridge_alpha158.onnx", providers=["CPUExecutionProvider"])
    scores = session.run(["score"], {"features": processed})[0][:, 0]
    np.testing.assert_allclose(scores, bundle.predict(rows).to_numpy(), rtol=0, atol=1e-6)
    described = json.loads(Path("exports/ridge_alpha158.onnx.json").read_text())
    assert described["factors"] == {"signal": "$signal", "noise_a": "$noise_a", "noise_b": "$noise_b"}


def test_what_is_missing_is_named_with_the_command_that_brings_it(run, bundle):
    metadata, export = run
    assert "there is no champion" in export("kedro models export ridge_alpha158").output
    store(metadata, bundle, features=False)
    assert "run `kedro run --pipelines features`" in export("kedro models export ridge_alpha158").output
    assert "there is no enabled model 'rigde'" in export("kedro models export rigde").output
    assert not Path("exports").exists()
