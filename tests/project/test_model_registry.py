"""Names of the registry become folders, so they are words; a file of a feature set is a dataset of its own."""

import pytest

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.project import model_registry
from quant_pipeline.project.model_registry import factor_file_of, load_model_registry, use_config_loader

RIDGE = {"algorithm": "ridge", "features": "alpha158"}


@pytest.fixture
def registry(monkeypatch):
    monkeypatch.setattr(model_registry, "_session_loader", None)
    monkeypatch.setattr(model_registry, "_as_read", (None, {}))

    def load(models, feature_sets=None):
        use_config_loader({"parameters": {"models": models, "feature_sets": feature_sets or {}}})
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
