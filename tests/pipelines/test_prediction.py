"""Prediction as a table of nodes, beside those of training."""

import pytest
from kedro.framework.project import settings
from kedro.framework.startup import bootstrap_project

from quant_pipeline.pipelines import prediction, training
from quant_pipeline.project import model_registry

MODELS = ("lightgbm_alpha158", "elastic_net_alpha158")


@pytest.mark.parametrize("model", MODELS, ids=["used", "used by no combination"])
def test_a_run_scores_every_model_after_it_has_trained_it(project_path, monkeypatch, model):
    bootstrap_project(project_path)
    loader = settings.CONFIG_LOADER_CLASS(
        conf_source=str(project_path / "conf"),
        runtime_params={"models": {"elastic_net_alpha158": {"enabled": True}}},
        **settings.CONFIG_LOADER_ARGS,
    )
    monkeypatch.setattr(model_registry, "_session_loader", loader)
    both = prediction.create_pipeline() + training.create_pipeline()
    scoring = "score_latest" if model == MODELS[0] else "score_unused"
    before = both.to_nodes(f"{model}.{scoring}")
    assert f"{model}.train_model" in {node.name for node in before.nodes}
