"""Versions of a model: nothing is lost, one step goes back."""

import json

import pytest
from kedro.io import DatasetError

from quant_pipeline.common.exceptions import ModelError
from quant_pipeline.datasets.bundle import BundlesByWindow, Champions, MeasuresByVersion, ModelBundles
from quant_pipeline.models.bundle import MANIFEST, read_bundle, write_bundle
from quant_pipeline.models.store import BundleStore
from quant_pipeline.models.training import train_bundle
from tests.helpers.damaged_json import DAMAGED_JSON
from tests.helpers.other_process import other_process


@pytest.fixture(scope="module")
def bundles(make_facts, features, labels, members, segments):
    return [train_bundle(make_facts("ridge", alpha=alpha), features, labels, members, segments) for alpha in (0, 1, 9)]


def test_the_first_version_is_champion_and_later_ones_wait_for_promotion(bundles, tmp_path):
    store = BundleStore(tmp_path)
    store.add(bundles[0], promote=False)
    store.add(bundles[1], promote=False)
    assert store.read("champion").identity == bundles[0].identity
    assert store.read("candidate").identity == bundles[1].identity
    assert store.promote() == bundles[1].identity
    assert store.read("champion").identity == bundles[1].identity


def test_going_back_returns_to_the_champion_before(bundles, tmp_path):
    store = BundleStore(tmp_path)
    for bundle in bundles:
        store.add(bundle, promote=True)
    assert store.roll_back() == bundles[1].identity
    assert store.roll_back() == bundles[0].identity
    with pytest.raises(ModelError, match="no champion before"):
        store.roll_back()
    assert store.read("champion").identity == bundles[0].identity
    assert len(list((tmp_path / "versions").iterdir())) == 3


def test_a_version_that_is_kept_is_not_promoted_again_after_the_operator_went_back(bundles, tmp_path):
    store = BundleStore(tmp_path)
    store.add(bundles[0], promote=True)
    store.add(bundles[1], promote=True)
    store.roll_back()
    store.add(bundles[1], promote=True)
    assert store.read("champion").identity == bundles[0].identity
    assert store.promote() == bundles[1].identity
    store.roll_back()
    store.add(bundles[2], promote=True)
    assert store.read("champion").identity == bundles[2].identity


def test_adding_or_promoting_twice_changes_nothing(bundles, tmp_path):
    store = BundleStore(tmp_path)
    store.add(bundles[0], promote=True)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    store.add(bundles[0], promote=True)
    store.promote()
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before


def test_a_version_remembers_what_it_was_trained_from(bundles, tmp_path):
    from dataclasses import replace

    store = BundleStore(tmp_path)
    facts = replace(bundles[0].facts, inputs={"features": "0123"})
    store.add(replace(bundles[0], facts=facts), promote=True)
    assert store.inputs("champion") == {"features": "0123"}
    assert store.read("champion").facts.inputs == {"features": "0123"}


def test_an_empty_store_says_how_to_fill_it(tmp_path):
    with pytest.raises(ModelError, match=r"no champion.*kedro run --pipelines training"):
        BundleStore(tmp_path).read("champion")


class TestDataset:
    def test_roles_load_what_they_name(self, bundles, tmp_path):
        candidate = ModelBundles(filepath=str(tmp_path), promotion="gated")
        champion = ModelBundles(filepath=str(tmp_path), role="champion")
        assert not candidate.exists()
        candidate.save(bundles[0])
        candidate.save(bundles[1])
        assert candidate.load().identity == bundles[1].identity
        assert champion.load().identity == bundles[0].identity
        assert champion.exists()

    def test_what_training_finds_may_be_absent_or_damaged(self, bundles, tmp_path, caplog):
        found = ModelBundles(filepath=str(tmp_path), optional=True)
        assert found.load() is None
        found.save(bundles[0])
        assert found.load().identity == bundles[0].identity
        (tmp_path / "versions" / bundles[0].identity / "model.safetensors").write_bytes(b"")
        assert found.load() is None
        assert "model.safetensors is not what was written" in caplog.text
        found.save(bundles[0])
        assert found.load().identity == bundles[0].identity


def test_a_kill_between_two_writes_cannot_leave_a_candidate_that_is_never_promoted(bundles, tmp_path, monkeypatch):
    store, written = BundleStore(tmp_path), []
    store.add(bundles[0], promote=True)
    monkeypatch.setattr(BundleStore, "_write", lambda _, aliases: written.append(aliases))
    store.add(bundles[1], promote=True)
    assert [(each.candidate, each.champion) for each in written] == [(bundles[1].identity, bundles[1].identity)]


def test_the_history_says_who_was_champion_at_the_close_of_a_session(bundles, tmp_path):
    store, (first, second, third) = BundleStore(tmp_path), [bundle.identity for bundle in bundles]
    for bundle, session in zip(bundles, ("2025-01-02", "2025-02-03", "2025-03-03"), strict=True):
        store.add(bundle, promote=True, session=session)
    store.roll_back("2025-03-10")
    asked = ("2025-01-01", "2025-01-02", "2025-02-02", "2025-02-03", "2025-03-09", "2025-03-10")
    assert [store.aliases.champion_at(session) for session in asked] == [None, first, first, second, third, second]
    assert store.aliases.since == "2025-03-10"
    store.restore(first, "2025-03-11")
    assert store.read("champion").identity == first
    assert store.roll_back() == second
    assert store.aliases.since is None
    assert store.aliases.champion_at("2025-04-01") == first


def test_a_version_that_is_gone_is_not_restored(bundles, tmp_path):
    store = BundleStore(tmp_path)
    store.add(bundles[0], promote=True, session="2025-01-02")
    with pytest.raises(ModelError, match="no model bundle in"):
        store.restore("0123456789abcdef", "2025-01-03")
    assert store.read("champion").identity == bundles[0].identity


def test_aliases_of_a_former_version_have_no_history(bundles, tmp_path):
    store = BundleStore(tmp_path)
    store.add(bundles[0], promote=True)
    aliases = json.loads((tmp_path / "aliases.json").read_text())
    del aliases["history"]
    (tmp_path / "aliases.json").write_text(json.dumps(aliases))
    assert store.aliases.champion == bundles[0].identity
    assert store.aliases.champion_at("2099-01-01") is None


IMPORTS = """
from contextlib import suppress
from pathlib import Path
from quant_pipeline.models.bundle import MANIFEST, read_bundle, write_bundle
from quant_pipeline.models.store import BundleStore
"""
PROMOTE = """
store = BundleStore(Path(sys.argv[1]))
for number in range(60):
    store.add(bundle := read_bundle(Path(sys.argv[2])), promote=True) if number % 20 == 0 else store.promote()
    with store._changing():
        aliases = store.aliases
        store._write(aliases._replace(champions=(*aliases.champions, f"theirs-{number}")))
"""
WRITE = """
bundle = read_bundle(Path(sys.argv[1]))
for _ in range(15):
    write_bundle(bundle, Path(sys.argv[2]))
    with suppress(FileNotFoundError):
        (Path(sys.argv[2]) / MANIFEST).write_bytes(b"damaged")
"""


def test_two_processes_that_change_the_aliases_lose_no_change(bundles, tmp_path):
    store = BundleStore(tmp_path / "store")
    store.add(bundles[0], promote=True)
    write_bundle(bundles[1], tmp_path / "other")
    with other_process(IMPORTS, PROMOTE, store.folder, tmp_path / "other"):
        for number in range(60):
            with store._changing():
                aliases = store.aliases
                store._write(aliases._replace(champions=(*aliases.champions, f"ours-{number}")))
    champions = store.aliases.champions
    for who in ("ours", "theirs"):
        assert [name for name in champions if name.startswith(who)] == [f"{who}-{number}" for number in range(60)]
    assert store.aliases.champion == bundles[1].identity
    assert [path.name for path in store.folder.glob(".*.tmp")] == []


def test_two_processes_that_write_one_bundle_leave_a_whole_one(bundles, tmp_path):
    folder = tmp_path / "versions" / bundles[0].identity
    write_bundle(bundles[0], tmp_path / "source")
    with other_process(IMPORTS, WRITE, tmp_path / "source", folder):
        for _ in range(15):
            write_bundle(bundles[0], folder)
    write_bundle(bundles[0], folder)
    assert read_bundle(folder).identity == bundles[0].identity
    assert [path.name for path in folder.parent.iterdir()] == [bundles[0].identity]


def test_a_store_in_a_bucket_is_one_store_on_every_machine(bundles, bucket):
    first, second, _ = bundles
    at = f"{bucket.address}/models/ridge/bundle"
    BundleStore(at).add(first, promote=True)
    bucket.another_machine()
    ModelBundles(at, role="candidate", promotion="gated").save(second)
    bucket.another_machine()
    assert ModelBundles(at, role="champion").load().identity == first.identity
    assert BundleStore(at).n_versions == 2
    BundleStore(at).promote()
    bucket.another_machine()
    assert Champions(f"{bucket.address}/models").load() == {"ridge": second.identity}
    assert ModelBundles(at, role="champion").load_facts() == second.facts
    assert not any("lock" in name or name.endswith("tmp") for name in bucket.names())


def test_windows_in_a_bucket_are_kept_and_found(bundles, bucket):
    first, second, _ = bundles
    BundlesByWindow(bucket.address).save({"2023": first})
    bucket.another_machine()
    BundlesByWindow(bucket.address).save({"2024": second})
    found = BundlesByWindow(bucket.address).load()
    assert {window: bundle.identity for window, bundle in found.items()} == {
        "2023": first.identity, "2024": second.identity
    }  # fmt: skip
    assert found.get("2025") is None


@pytest.mark.parametrize("text", DAMAGED_JSON.values(), ids=DAMAGED_JSON)
def test_damaged_files_of_a_store_are_named_with_what_to_do(bundles, tmp_path, text):
    store = BundleStore(tmp_path)
    store.add(bundles[0], promote=True)
    (store.folder_of("champion") / MANIFEST).write_bytes(text)
    for read in (store.description, store.facts, store.read):
        with pytest.raises(ModelError, match=r"^\S*manifest\.json .*; train the model again$"):
            read("champion")
    (tmp_path / "measures").mkdir()
    (tmp_path / "measures/0123.json").write_bytes(text)
    with pytest.raises(DatasetError, match=r"0123\.json cannot be read: .*; restore it from a backup, or remove it"):
        MeasuresByVersion(str(tmp_path / "measures")).load()
    (tmp_path / "aliases.json").write_bytes(text)
    with pytest.raises(ModelError, match=r"^\S*aliases\.json is damaged .*; restore it from a backup, or remove it"):
        _ = store.aliases
    # It is written again by the next training.
    (tmp_path / "aliases.json").unlink()
    store.add(bundles[0], promote=True)
    assert store.facts("champion") == bundles[0].facts
