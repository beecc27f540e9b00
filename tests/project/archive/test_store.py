"""The archive loses nothing: moves, restores, and what stands in their way."""

import json
import os
import resource
import shutil
from pathlib import Path

import pytest

from quant_pipeline.common import atomic
from quant_pipeline.common.exceptions import ArchiveError, BusyError
from quant_pipeline.project.archive import store as archive_store
from quant_pipeline.project.archive.store import MANIFEST, OWNER, Archive
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
    assert [file.name for file in archive.folder.rglob("*") if file.is_file() and file.name != OWNER] == [".lock"]


def test_full_disk_tears_no_line_of_the_manifest(archive):
    for number in range(3):
        (place_of(archive).parent / f"{number}.parquet").write_bytes(b"x")
    with archive.opened():
        archive.move(PATH, "orders")
    manifest = archive.folder / MANIFEST
    whole = manifest.read_bytes()
    earlier = resource.getrlimit(resource.RLIMIT_FSIZE)
    with archive.opened():
        # No file may grow beyond half a line more.
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 20, earlier[1]))
        try:
            with pytest.raises(OSError, match="File too large"):
                archive.move("data/orders/0.parquet", "orders")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, earlier)
        assert manifest.read_bytes() == whole
        assert place_of(archive, "data/orders/0.parquet").exists()
        archive.move("data/orders/1.parquet", "orders")
        archive.move("data/orders/0.parquet", "orders")
    assert archive.verify() == []
    assert len(archive.records()) == 3


@pytest.mark.parametrize("folder", [".", "..", "data", "linked", "mounted"])
def test_folder_that_holds_the_project_is_refused_before_anything_goes(archive, folder, monkeypatch):
    project = place_of(archive, ".")
    (project / "linked").symlink_to(project)
    if folder == "mounted":
        # What a bind mount is: another path, and nothing but the identity of the folder says that it is the same.
        (project.parent / "mounted").mkdir()
        monkeypatch.setattr(Path, "samefile", lambda one, other: one.name == "mounted")
        folder = "../mounted"
    with pytest.raises(ArchiveError, match="holds the project itself"), Archive(project, project / folder).opened():
        pass
    assert place_of(archive).read_bytes() == b"orders"


def test_file_that_is_its_own_copy_is_neither_moved_nor_restored(archive):
    with archive.opened():
        (archive.folder / PATH).parent.mkdir(parents=True)
        os.link(place_of(archive), archive.folder / PATH)
        with pytest.raises(ArchiveError, match="lies in the archive itself"):
            archive.move(PATH, "orders")
        record = archive_store.Record("moved", PATH, archive_store.hash_of(place_of(archive)), 6, "orders")
        with pytest.raises(ArchiveError, match="one file in project and archive"):
            archive.restore(record)
    inside = Archive(place_of(archive, "."), place_of(archive, "data/orders"))
    with inside.opened(), pytest.raises(ArchiveError, match="lies in the archive itself"):
        inside.move(PATH, "orders")
    assert place_of(archive).read_bytes() == b"orders"


def test_second_project_is_refused_an_archive_until_its_owner_is_corrected(archive):
    with archive.opened():
        archive.move(PATH, "orders")
    moved = archive.folder.parent / "renamed"
    place_of(archive, ".").rename(moved)
    other = Archive(moved, archive.folder)
    said = r"is the archive of .*/project; .* write this path into .*/project"
    with pytest.raises(ArchiveError, match=said), other.opened():
        pass
    (archive.folder / OWNER).write_text(f"{moved}\n")
    with other.opened():
        other.restore(other.records()[PATH])
    assert (moved / PATH).read_bytes() == b"orders"


def test_archive_within_its_project_moves_with_it_and_is_no_other_projects(archive):
    project = place_of(archive, ".").resolve()
    with Archive(project, project / "data/archive").opened():
        pass
    moved = project.rename(project.parent / "renamed")
    with Archive(moved, moved / "data/archive").opened():
        pass
    project.mkdir()
    with pytest.raises(ArchiveError, match="is the archive of"), Archive(project, moved / "data/archive").opened():
        pass


def test_copy_that_differs_gets_no_name(archive, monkeypatch):
    def flipping(source, target):
        Path(target).write_bytes(b"0rders")

    with archive.opened():
        with monkeypatch.context() as damaged:
            damaged.setattr(shutil, "copy2", flipping)
            with pytest.raises(ArchiveError, match="its copy differs"):
                archive.move(PATH, "orders")
        assert not (archive.folder / PATH).exists()
        archive.move(PATH, "orders")


def test_copy_is_flushed_and_hashed_before_it_has_its_name(archive, monkeypatch):
    steps = []

    def noting(module, name):
        real = getattr(module, name)

        def noted(path, *others):
            if Path(path).name.startswith(".2024-01-02"):
                steps.append(name)
            return real(path, *others)

        monkeypatch.setattr(module, name, noted)

    for module, name in ((archive_store, "flush"), (archive_store, "hash_of"), (os, "link")):
        noting(module, name)
    with archive.opened():
        archive.move(PATH, "orders")
    assert steps == ["flush", "hash_of", "link"]


def test_names_of_new_folders_are_flushed_too(archive, monkeypatch):
    flushed, real = [], os.fsync

    def noting(descriptor):
        flushed.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", noting)
    with archive.opened():
        archive.move(PATH, "orders")
    root = archive.folder.resolve()
    assert {str(each) for each in (root.parent, root, root / "data", root / "data/orders")} <= set(flushed)


def test_copy_that_a_killed_restore_has_left_blocks_nothing(archive, monkeypatch):
    with archive.opened():
        record = archive.move(PATH, "orders")
        with monkeypatch.context() as killed:
            killed.setattr(Path, "unlink", lambda *_, **__: None)
            archive.restore(record)
        assert (archive.folder / PATH).exists()
    place_of(archive).write_bytes(b"made again")
    with archive.opened():
        # Not the same as in the project: nothing says that it is of no use.
        assert (archive.folder / PATH).exists()
    place_of(archive).write_bytes(b"orders")
    with archive.opened():
        assert not (archive.folder / PATH).exists()
    place_of(archive).write_bytes(b"made again")
    with archive.opened():
        archive.move(PATH, "orders")
    assert (archive.folder / PATH).read_bytes() == b"made again"


@pytest.mark.parametrize("target", ["outside", "outside/weights.bin"])
def test_bundle_with_a_link_stays_as_it_is(archive, target):
    outside = archive.folder.parent / "outside"
    outside.mkdir()
    (outside / "weights.bin").write_bytes(b"weights")
    bundle = place_of(archive, "data/bundle")
    bundle.mkdir()
    (bundle / "manifest.json").write_text("{}")
    (bundle / "model").symlink_to(archive.folder.parent / target)
    with archive.opened(), pytest.raises(ArchiveError, match="model is a link; put in its place what it points to"):
        archive.move_folder("data/bundle", "bundle")
    assert sorted(path.name for path in bundle.iterdir()) == ["manifest.json", "model"]
    assert archive.records() == {}
    assert (outside / "weights.bin").exists()


def test_file_that_a_run_writes_during_a_restore_is_not_overwritten(archive, monkeypatch):
    with archive.opened():
        record = archive.move(PATH, "orders")
        real = shutil.copy2

        def overtaken(source, target):
            real(source, target)
            place_of(archive).write_bytes(b"of the run")

        monkeypatch.setattr(shutil, "copy2", overtaken)
        with pytest.raises(ArchiveError, match="another file has taken its place"):
            archive.restore(record)
    assert place_of(archive).read_bytes() == b"of the run"
    assert (archive.folder / PATH).read_bytes() == b"orders"


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
        with atomic.replacing_file(kept) as beside:
            beside.write_bytes(content)
        self._append(archive_store.Record("moved", path, archive_store.hash_of(kept), len(content), entry))

    monkeypatch.setattr(Archive, "move", hasty)
    assert rehearse(tmp_path, 20, 11).bytes_lost > 0


def test_the_manifest_has_one_line_per_move_and_restore(archive):
    with archive.opened():
        archive.restore(archive.move(PATH, "orders"))
    lines = (archive.folder / MANIFEST).read_text().splitlines()
    assert [json.loads(line)["state"] for line in lines] == ["moved", "restored"]
