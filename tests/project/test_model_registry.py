"""Names of the registry become folders, so they are words; a file of a feature set is a dataset of its own."""

import pytest

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.pipelines.ensemble import pipeline as ensemble_pipeline
from quant_pipeline.pipelines.ensemble_search import pipeline as search_pipeline
from quant_pipeline.pipelines.features import pipeline as features_pipeline
from quant_pipeline.pipelines.model_report import pipeline as report_pipeline
from quant_pipeline.pipelines.rolling import pipeline as rolling_pipeline
from quant_pipeline.pipelines.training import pipeline as training_pipeline
from quant_pipeline.project import model_registry
from quant_pipeline.project.model_registry import (
    factor_file_of,
    load_model_registry,
    longest_label,
    use_config_loader,
)

RIDGE = {"algorithm": "ridge", "features": "alpha158"}


@pytest.fixture
def registry(monkeypatch):
    monkeypatch.setattr(model_registry, "_session_loader", None)
    monkeypatch.setattr(model_registry, "_as_read", (None, {}))

    def load(models, feature_sets=None, ensemble=None):
        combinations = {"both": {"models": list(models)}}
        blocks = {
            "models": models,
            "feature_sets": feature_sets or {},
            "label": {"horizon": 1},
            "ensemble": ensemble or {"default": "both", "combinations": combinations},
            "order_generation": {"source": "fused"},
        }
        use_config_loader({"parameters": blocks})
        return load_model_registry()

    return load


@pytest.mark.parametrize("name", ["../../escaped", "a/b", "a\\b", "..", ".", "", "a b", "C:evil", "x\0y", "~"])
def test_a_name_that_could_leave_its_folder_is_refused(registry, name):
    with pytest.raises(ConfigurationError, match=r"cannot name a model .*: it becomes a folder"):
        registry({name: RIDGE})
    with pytest.raises(ConfigurationError, match=r"cannot name a feature set .*: it becomes a folder"):
        registry({"ridge": RIDGE | {"features": name}})


def test_words_of_any_language_are_names(registry):
    assert list(registry({"ridge_alpha158": RIDGE, "Modell-2": RIDGE, "岭回归": RIDGE})) == [
        "ridge_alpha158", "Modell-2", "岭回归",
    ]  # fmt: skip


def test_a_feature_set_with_a_file_reads_the_dataset_of_that_name(registry):
    joined = {"library": "alpha158", "file": "found", "file_factors": ["a,b"]}
    registry({"ridge": RIDGE | {"features": "joined"}}, {"joined": joined, "alpha158": {"library": "alpha158"}})
    assert factor_file_of("joined") == {"factor_file": "found.factor_file"}
    assert factor_file_of("alpha158") == factor_file_of("alpha360") == {}


def test_a_misspelt_model_of_params_is_told_with_those_there_are(registry):
    with pytest.raises(
        ConfigurationError, match=r"sets keys of a model 'rige', which is not registered; there are ridge\."
    ):
        registry({"ridge": RIDGE, "rige": {"hyper": {"alpha": 1}}})


@pytest.mark.parametrize("name", ["fused", "file"])
def test_a_name_that_means_another_source_of_orders_is_refused(registry, name):
    with pytest.raises(
        ConfigurationError, match=f"'{name}' cannot name a model .*: as a source of orders it means the"
    ):
        registry({name: RIDGE})


@pytest.mark.parametrize("name", ["ridge", "fused", "file"])
def test_a_combination_has_no_name_of_another_source_of_orders(registry, name):
    registry({"ridge": RIDGE}, ensemble={"default": name, "combinations": {name: {"models": ["ridge"]}}})
    with pytest.raises(
        ConfigurationError, match=rf"are called \['{name}'\], as models are, or other sources of orders"
    ):
        ensemble_pipeline.create_pipeline()


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({"model": ["ridge"]}, r"nothing reads `ensemble\.model` of .* \(did you mean 'models'\?\)\. Correct it there"),
        ({"normalisation": "rnak"}, r"`ensemble\.normalisation` of .* is 'rnak'; it should be 'rank' or 'zscore'"),
        ({"default": "neither"}, "the default combination 'neither' is not among the enabled ones"),
    ],
)
def test_a_block_that_decides_which_nodes_there_are_names_its_key(registry, block, message):
    registry({"ridge": RIDGE}, ensemble={"default": "one", "combinations": {"one": {"models": ["ridge"]}}, **block})
    with pytest.raises(ConfigurationError, match=message):
        ensemble_pipeline.create_pipeline()


DAYS_AND_WEEKS = {
    "day": RIDGE,
    "week": RIDGE | {"label": {"horizon": 5}},
    "other_week": RIDGE | {"label": {"horizon": 5}},
    "closes": RIDGE | {"label": {"horizon": 2, "price": "close"}},
}


@pytest.mark.parametrize(
    "create",
    [
        training_pipeline.create_pipeline,
        rolling_pipeline.create_pipeline,
        rolling_pipeline.create_cross_validation_pipeline,
        report_pipeline.create_pipeline,
    ],
)
def test_every_model_learns_and_is_judged_on_its_own_label(registry, create):
    registry(DAYS_AND_WEEKS)
    read = {}
    for node in create().nodes:
        if node.namespace:
            read.setdefault(node.namespace, set()).update(node.inputs)
    labels = {name: {each for each in inputs if each.endswith("labels")} for name, inputs in read.items()}
    assert labels == {
        "day": {"labels"},
        "week": {"horizon_5.labels"},
        "other_week": {"horizon_5.labels"},
        "closes": {"horizon_2_close.labels"},
    }
    parameters = {name: {each for each in inputs if each.endswith("label")} for name, inputs in read.items()}
    assert parameters == {
        "day": {"params:label"},
        "week": {"params:models.week.label"},
        "other_week": {"params:models.other_week.label"},
        "closes": {"params:models.closes.label"},
    }


def test_every_label_is_computed_once(registry):
    registry(DAYS_AND_WEEKS)
    made = {node.outputs[0]: node.inputs for node in features_pipeline.create_pipeline().nodes if "label" in node.name}
    assert set(made) == {"labels", "horizon_5.labels", "horizon_2_close.labels"}
    assert "params:models.week.label" in made["horizon_5.labels"]


def test_gaps_are_those_of_the_longest_label(registry):
    registry({"day": RIDGE})
    assert longest_label() == "params:label"
    registry(DAYS_AND_WEEKS)
    assert longest_label() == "params:models.week.label"
    searched = {name for node in search_pipeline.create_pipeline().nodes for name in node.inputs if "label" in name}
    assert searched == {"params:models.week.label"}
    weighed = next(node for node in ensemble_pipeline.create_pipeline().nodes if node.name == "weigh_combinations")
    assert {"labels", "horizon_5.labels", "horizon_2_close.labels", "params:label"} <= set(weighed.inputs)


def test_a_label_of_a_model_needs_its_horizon(registry):
    with pytest.raises(ConfigurationError, match=r"models\.week\.label\.horizon"):
        registry({"week": RIDGE | {"label": {"price": "close"}}})


def test_a_model_without_a_label_of_its_own_is_stored_as_before(registry):
    models = registry(DAYS_AND_WEEKS)
    assert "label" not in models["day"].as_stored()
    assert models["week"].as_stored()["label"] == {"horizon": 5, "price": None}
