"""The archive loses nothing: moves, restores, and what stands in their way."""

import json
import os
import shutil
from pathlib import Path

import pytest

from quant_pipeline.common.exceptions import ArchiveError, BusyError
from quant_pipeline.project.archive import store as archive_store
from quant_pipeline.project.archive.store import MANIFEST, Archive
from quant_pipeline.testing.archive_rehearsal import rehearse
from tests.helpers.representatives import representatives

PATH = "data/orders/2024-01-02.parquet"


@pytest.fixture
def archive(tmp_path):
    file = tmp_path / "project" / PATH
    file.parent.mkdir(parents=True)
    file.write_bytes(b"orders")
    return Archive(tmp_path / "project", tmp_path / "archive")


def place_of(archive, path=PATH):
    return archive.folder.parent / "project" / path


def test_a_file_goes_and_comes_back_with_its_content_and_its_time(archive):
    os.utime(place_of(archive), (1_700_000_000, 1_700_000_000))
    with archive.opened():
        record = archive.move(PATH, "orders")
    assert not place_of(archive).exists()
    assert (archive.folder / PATH).read_bytes() == b"orders"
    assert archive.records() == {PATH: record}
    assert (record.size, record.entry) == (6, "orders")
    assert archive.verify() == []
    with archive.opened():
        archive.restore(record)
    assert place_of(archive).read_bytes() == b"orders"
    assert place_of(archive).stat().st_mtime == 1_700_000_000
    assert archive.records() == {}
    assert not (archive.folder / PATH).exists()


def test_another_file_of_the_same_name_is_never_overwritten(archive):
    with archive.opened():
        record = archive.move(PATH, "orders")
        place_of(archive).write_bytes(b"made again")
        with pytest.raises(ArchiveError, match="the archive has another file under this name"):
            archive.move(PATH, "orders")
        with pytest.raises(ArchiveError, match="another file has taken its place"):
            archive.restore(record)
    assert place_of(archive).read_bytes() == b"made again"
    assert (archive.folder / PATH).read_bytes() == b"orders"


def test_damage_in_the_archive_is_named_and_not_restored(archive):
    with archive.opened():
        record = archive.move(PATH, "orders")
        (archive.folder / PATH).write_bytes(b"0rders")
        assert archive.verify() == [f"{PATH} in the archive has another content than it had when it was moved"]
        with pytest.raises(ArchiveError, match="another content"):
            archive.restore(record)
        (archive.folder / PATH).unlink()
        assert archive.verify() == [f"{PATH} is missing in the archive"]
    assert not place_of(archive).exists()


def test_a_torn_last_line_is_no_line_and_a_damaged_one_is_named(archive):
    with archive.opened():
        archive.move(PATH, "orders")
    manifest = archive.folder / MANIFEST
    whole = manifest.read_text()
    manifest.write_text(whole + '{"state": "mov')
    assert list(archive.records()) == [PATH]
    with archive.opened():
        assert manifest.read_text() == whole
    manifest.write_text("no JSON\n" + whole)
    with pytest.raises(ArchiveError, match=r"line 1 of .* is damaged"):
        archive.records()


def test_two_archivers_do_not_meet(archive):
    with archive.opened(), pytest.raises(BusyError, match="the archive"), archive.opened():
        pass


def test_a_full_disk_leaves_the_file_where_it_is(archive, monkeypatch):
    def full(source, target):
        Path(target).write_bytes(b"or")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copy2", full)
    with archive.opened(), pytest.raises(OSError, match="No space left"):
        archive.move(PATH, "orders")
    assert place_of(archive).read_bytes() == b"orders"
    assert archive.records() == {}
    assert [file.name for file in archive.folder.rglob("*") if file.is_file()] == [".lock"]


@pytest.mark.skipif(
    not Path("/dev/shm").is_dir() or os.stat("/dev/shm").st_dev == os.stat("/tmp").st_dev,
    reason="no second file system",
)
def test_the_archive_may_lie_on_another_file_system(archive, tmp_path_factory):
    folder = Path("/dev/shm") / tmp_path_factory.mktemp("archive").name
    other = Archive(archive.folder.parent / "project", folder)
    try:
        with other.opened():
            other.restore(other.move(PATH, "orders"))
        assert place_of(archive).read_bytes() == b"orders"
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize("kills", representatives([40, 120], {40}))
def test_killed_at_any_step_nothing_is_lost(tmp_path, kills):
    found = rehearse(tmp_path, kills, 11)
    assert found.kill_points >= kills
    assert found[1:] == (0, 0, True)


def test_the_rehearsal_finds_an_archive_that_deletes_before_it_has_written(tmp_path, monkeypatch):
    def hasty(self, path, entry):
        source = self._project / path
        content = source.read_bytes()
        source.unlink()
        kept = self.folder / path
        with archive_store.replacing_file(kept) as beside:
            beside.write_bytes(content)
        self._append(archive_store.Record("moved", path, archive_store.hash_of(kept), len(content), entry))

    monkeypatch.setattr(Archive, "move", hasty)
    assert rehearse(tmp_path, 20, 11).bytes_lost > 0


def test_the_manifest_has_one_line_per_move_and_restore(archive):
    with archive.opened():
        archive.restore(archive.move(PATH, "orders"))
    lines = (archive.folder / MANIFEST).read_text().splitlines()
    assert [json.loads(line)["state"] for line in lines] == ["moved", "restored"]
