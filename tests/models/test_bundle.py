"""A bundle is what it was, or it is not loaded."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.common.exceptions import ModelError
from quant_pipeline.models.bundle import MANIFEST, read_bundle, read_facts, write_bundle
from quant_pipeline.models.training import train_bundle


@pytest.fixture
def folder(make_facts, features, labels, members, segments, tmp_path):
    write_bundle(train_bundle(make_facts("ridge"), features, labels, members, segments), tmp_path / "bundle")
    return tmp_path / "bundle"


def test_a_bundle_tells_what_it_is_and_holds_no_pickle(folder):
    manifest = json.loads((folder / MANIFEST).read_text())
    assert manifest["spec"]["algorithm"] == "ridge"
    assert [name for name, _ in manifest["expressions"]] == ["signal", "noise_a", "noise_b"]
    assert manifest["window"]["train"] == ["2020-01-06", "2020-05-22"]
    assert {file.suffix for file in folder.iterdir()} == {".json", ".parquet", ".safetensors"}


@pytest.mark.parametrize("name", ["model.safetensors", "processors.safetensors", "golden_inputs.parquet"])
def test_a_changed_file_is_refused_by_name(folder, name):
    content = bytearray((folder / name).read_bytes())
    content[-1] ^= 1
    (folder / name).write_bytes(bytes(content))
    with pytest.raises(ModelError, match=name):
        read_bundle(folder)


def test_a_missing_file_is_refused_by_name(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"incomplete.*model\.safetensors"):
        read_bundle(folder)


def test_a_model_that_does_not_give_its_golden_scores_is_refused(folder, tmp_path):
    bundle = read_bundle(folder)
    write_bundle(replace(bundle, golden_scores=bundle.golden_scores + 1.0), tmp_path / "other")
    with pytest.raises(ModelError, match="golden rows"):
        read_bundle(tmp_path / "other")


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("expressions", [["signal", "Ref($close, -1)"], ["noise_a", "$noise_a"], ["noise_b", "$noise_b"]]),
        ("label", "$close"),
        ("window", {"train": ["2020-01-06", "2020-12-31"], "valid": ["2020-05-29", "2020-07-03"]}),
    ],
)
def test_a_changed_description_is_refused_although_the_scores_are_the_same(folder, part, value):
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps({**manifest, part: value}))
    with pytest.raises(ModelError, match=r"manifest\.json is not what was written"):
        read_bundle(folder)


def test_a_torn_description_is_refused(folder):
    (folder / MANIFEST).write_text((folder / MANIFEST).read_text()[:50])
    with pytest.raises(ModelError, match=r"manifest\.json is not what was written"):
        read_bundle(folder)


def test_the_same_weights_under_another_label_are_another_bundle(folder):
    bundle = read_bundle(folder)
    other = replace(bundle, facts=replace(bundle.facts, label="$close"))
    assert other.identity != bundle.identity == read_bundle(folder).identity


def test_last_bits_of_what_training_reported_make_no_other_model(folder):
    bundle = read_bundle(folder)
    curve = pd.DataFrame({"step": [1], "metric": ["valid_l2"], "value": [0.1]})
    told = replace(bundle, learning_curve=curve)
    shifted = replace(
        told,
        learning_curve=curve.assign(value=np.nextafter(0.1, 1)),
        importance=bundle.importance.assign(importance=np.nextafter(bundle.importance["importance"], np.inf)),
        golden_scores=bundle.golden_scores + 1e-9,
    )
    assert shifted.identity == told.identity == bundle.identity


def test_other_weights_or_processors_make_another_model(make_facts, features, labels, members, segments):
    bundle = train_bundle(make_facts("ridge"), features, labels, members, segments)
    weaker = train_bundle(make_facts("ridge", alpha=5.0), features, labels, members, segments)
    assert replace(bundle, model=weaker.model).identity != bundle.identity
    states = [{name: array + 1e-6 for name, array in state.items()} for state in bundle.processor_states]
    assert replace(bundle, processor_states=states).identity != bundle.identity


def test_the_same_model_with_another_curve_does_not_replace_the_one_that_others_read(folder):
    before = folder.stat().st_ino
    bundle = read_bundle(folder)
    write_bundle(replace(bundle, golden_scores=bundle.golden_scores + 1e-9), folder)
    assert folder.stat().st_ino == before
    pd.testing.assert_series_equal(read_bundle(folder).golden_scores, bundle.golden_scores, check_exact=True)


@pytest.mark.parametrize("name", ["model.safetensors", "learning_curve.parquet", MANIFEST])
def test_a_damaged_bundle_is_written_again(folder, name):
    bundle = read_bundle(folder)
    (folder / name).write_bytes(b"")
    write_bundle(bundle, folder)
    assert read_bundle(folder).identity == bundle.identity


def test_a_bundle_whose_identity_covers_its_curve_is_refused_with_the_remedy(folder):
    manifest = json.loads((folder / MANIFEST).read_text())
    names = ("spec", "expressions", "label", "window", "calendar", "inputs")
    content = json.dumps([manifest["files"], {name: manifest[name] for name in names}], sort_keys=True)
    manifest["identity"] = hashlib.sha256(content.encode()).hexdigest()[:16]
    (folder / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(ModelError, match=r"another version of this project.*train the model again"):
        read_bundle(folder)


def test_a_bundle_that_lies_there_is_not_taken_away_from_its_readers(folder):
    before = folder.stat().st_ino
    write_bundle(read_bundle(folder), folder)
    assert folder.stat().st_ino == before


def test_an_absent_bundle_says_how_to_make_it(tmp_path):
    with pytest.raises(ModelError, match="kedro run --pipelines training"):
        read_bundle(tmp_path / "nothing")


def test_a_missing_factor_is_named(folder, features):
    with pytest.raises(ModelError, match="noise_b"):
        read_bundle(folder).predict(features.drop(columns="noise_b"))


@pytest.mark.parametrize("part", ["spec", "window"])
def test_a_bundle_of_another_version_is_refused_with_the_remedy(folder, part):
    manifest = json.loads((folder / MANIFEST).read_text())
    if part == "spec":
        manifest["spec"]["hyper"]["of_long_ago"] = 1
    else:
        del manifest["window"]
    (folder / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(ModelError, match=r"another version of this project.*train the model again"):
        read_bundle(folder)


def test_a_bundle_that_is_copied_keeps_the_record_of_the_libraries_that_made_it(folder, tmp_path):
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["libraries"] = {"numpy": "1.26.4"}
    (folder / MANIFEST).write_text(json.dumps(manifest))
    write_bundle(read_bundle(folder), tmp_path / "copy")
    assert json.loads((tmp_path / "copy" / MANIFEST).read_text())["libraries"] == {"numpy": "1.26.4"}


def test_facts_are_read_without_making_the_model(folder, monkeypatch):
    whole = read_bundle(folder)
    monkeypatch.setattr("quant_pipeline.models.bundle.load_model", lambda *_: pytest.fail("the model was made"))
    assert read_facts(folder) == whole.facts


@pytest.mark.parametrize("name", ["model.safetensors", "golden_scores.parquet"])
def test_facts_of_a_bundle_with_a_changed_file_are_refused_by_name(folder, name):
    (folder / name).write_bytes((folder / name).read_bytes() + b" ")
    with pytest.raises(ModelError, match=name):
        read_facts(folder)


def test_golden_scores_count_for_the_facts_once_a_library_has_changed(folder, tmp_path):
    bundle = read_bundle(folder)
    write_bundle(replace(bundle, golden_scores=bundle.golden_scores + 1.0), tmp_path / "other")
    manifest = json.loads((tmp_path / "other" / MANIFEST).read_text())
    manifest["libraries"]["numpy"] = "1.0.0"
    (tmp_path / "other" / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(ModelError, match="golden rows"):
        read_facts(tmp_path / "other")
