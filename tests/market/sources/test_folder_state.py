"""The files of a folder and what tells each from another."""

from pathlib import Path

from quant_pipeline.market.sources.folder_state import files_of, states_of


def make(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")


def test_files_are_sorted_as_paths_and_hidden_folders_passed_over(tmp_path):
    names = ("a.csv", "a/b.csv", "a-b.csv", "a/c/d.csv", "ab/e.csv", ".dot.csv", "._a.csv")
    make(tmp_path, *names, ".cache/f.csv", "a/.git/g.csv")
    assert files_of(tmp_path) == sorted(tmp_path / name for name in names)
    seen = sorted(tmp_path / name for name in names if name != ".dot.csv")
    assert [Path(path) for path, *_ in states_of(tmp_path, {})] == seen


def test_a_file_has_one_state_however_it_is_named(tmp_path, monkeypatch):
    make(tmp_path, "a.csv", "names.txt", "in/b.csv")
    monkeypatch.chdir(tmp_path)
    options = {"bars": "**/*.csv", "securities": "names.txt"}
    for folder in (tmp_path, Path("."), Path("in/..")):
        assert len(states_of(folder, options)) == 3


def test_links_are_files_or_lead_to_nothing(tmp_path):
    make(tmp_path, "a/x.csv")
    for name, target in {
        "to_file": "a/x.csv",
        "to_folder": "a",
        "to_nothing": "gone",
        "to_itself": "to_itself",
    }.items():
        (tmp_path / name).symlink_to(target)
    states = {Path(path).name: len(state) for path, *state in states_of(tmp_path, {})}
    assert states == {"x.csv": 4, "to_file": 4, "to_nothing": 0, "to_itself": 0}


def test_a_folder_that_is_none_has_no_files(tmp_path):
    make(tmp_path, "a.csv")
    assert states_of(tmp_path / "gone", {}) == states_of(tmp_path / "a.csv", {}) == []
