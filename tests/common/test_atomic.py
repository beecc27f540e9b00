"""Files and folders appear complete or not at all, and what killed processes left is removed."""

import errno
import os
import subprocess
import sys

import pytest

from quant_pipeline.common.atomic import new_file, remove_folder, replacing_file, replacing_folder, sweep, write_text
from tests.helpers.other_process import other_process


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def dead_process():
    """Return the number of a process that has ended."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def _write_twice(path):
    path.write_text("half")
    path.touch(exist_ok=False)


def test_a_file_is_replaced_when_the_block_ends(tmp_path):
    write_text(tmp_path / "a" / "file", "old")
    with replacing_file(tmp_path / "a" / "file") as beside:
        beside.write_text("new")
        assert (tmp_path / "a" / "file").read_text() == "old"
    assert (tmp_path / "a" / "file").read_text() == "new"
    assert names(tmp_path / "a") == ["file"]


def test_an_error_keeps_the_old_file_and_leaves_nothing(tmp_path):
    write_text(tmp_path / "file", "old")
    with pytest.raises(FileExistsError), replacing_file(tmp_path / "file") as beside:
        _write_twice(beside)
    assert (tmp_path / "file").read_text() == "old"
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("links", [True, False])
def test_a_new_file_never_replaces_another(tmp_path, monkeypatch, links):
    if not links:
        # As exFAT and some network file systems answer.
        def refused(*_):
            raise OSError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(os, "link", refused)
    with new_file(tmp_path / "a" / "file") as beside:
        beside.write_text("first")
    with pytest.raises(FileExistsError), new_file(tmp_path / "a" / "file") as beside:
        beside.write_text("second")
    assert (tmp_path / "a" / "file").read_text() == "first"
    assert names(tmp_path / "a") == ["file"]


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    for content in ("first", "second"):
        with replacing_folder(tmp_path / "folder") as beside:
            (beside / content).write_text(content)
    assert names(tmp_path / "folder") == ["second"]
    assert names(tmp_path) == ["folder"]


def test_an_error_keeps_the_old_folder(tmp_path):
    with replacing_folder(tmp_path / "folder") as beside:
        (beside / "kept").touch()
    with pytest.raises(FileExistsError), replacing_folder(tmp_path / "folder") as beside:
        _write_twice(beside / "half")
    assert names(tmp_path / "folder") == ["kept"]
    assert names(tmp_path) == ["folder"]


REPLACE = """
for _ in range(200):
    with replacing_folder(Path(sys.argv[1])) as beside:
        for name in ("a", "b", "c"):
            (beside / name).write_text("theirs")
"""


def test_two_processes_that_replace_a_folder_leave_the_whole_of_one(tmp_path):
    folder = tmp_path / "folder"
    imports = "from pathlib import Path\nfrom quant_pipeline.common.atomic import replacing_folder"
    with other_process(imports, REPLACE, folder):
        for _ in range(200):
            with replacing_folder(folder) as beside:
                for name in ("a", "b", "c"):
                    (beside / name).write_text("ours")
    assert names(folder) == ["a", "b", "c"]
    assert len({(folder / name).read_text() for name in ("a", "b", "c")}) == 1
    assert names(tmp_path) == ["folder"]


def test_sweep_removes_neighbours_of_dead_processes_and_of_this_one_only(tmp_path):
    dead, own, other = dead_process(), os.getpid(), os.getppid()
    nested = tmp_path / "deep" / "er"
    nested.mkdir(parents=True)
    (nested / f".bars.parquet.{dead}.tmp").write_text("half")
    (nested / f".provider.{dead}.old").mkdir()
    (nested / f".provider.{dead}.old" / "file").touch()
    (nested / f".sessions.parquet.{own}.tmp").touch()
    kept = [f".bars.parquet.{other}.tmp", ".gitkeep", f"bars.parquet.{dead}.tmp", ".lock"]
    for name in kept:
        (nested / name).touch()
    removed = sweep(tmp_path)
    assert sorted(path.name for path in removed) == [
        f".bars.parquet.{dead}.tmp",
        f".provider.{dead}.old",
        f".sessions.parquet.{own}.tmp",
    ]
    assert names(nested) == sorted(kept)


def test_a_folder_whose_removal_ends_half_way_is_gone_from_its_place_and_swept_later(tmp_path, monkeypatch):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").touch()
    with monkeypatch.context() as killed:
        killed.setattr("shutil.rmtree", lambda _: None)
        remove_folder(tmp_path / "folder")
    assert names(tmp_path) == [f".folder.{os.getpid()}.old"]
    sweep(tmp_path)
    assert names(tmp_path) == []


def test_sweep_of_a_folder_that_is_not_there_removes_nothing(tmp_path):
    assert sweep(tmp_path / "nowhere") == []
