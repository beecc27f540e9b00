"""What may be moved: by the catalog, by sessions, and never what something refers to."""

import json
import os
from datetime import datetime

import pytest

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.project.archive.retention import (
    SESSION,
    Kept,
    OldFile,
    count_files,
    old_files,
    oldest_that_stays,
    retention_of,
    unused_bundles,
)
from quant_pipeline.project.configuration import LOADER_OPTIONS, ProjectConfigLoader

ENVIRONMENTS = ("sim", "files", "cn", "qlib", "paper", "live")
ORDERS = Kept("orders", f"data/orders/{SESSION}.csv", 3)
REPORT = Kept("report", f"data/reports/{SESSION}/report.html", 1)
SCORES = Kept("{model}_scores", "data/{model}/latest/" + f"{SESSION}.parquet", 2)


@pytest.fixture
def project(tmp_path):
    for day in range(1, 6):
        for path in (
            f"orders/2024-01-0{day}.csv",
            f"reports/2024-01-0{day}/report.html",
            f"ridge/latest/2024-01-0{day}.parquet",
        ):
            (tmp_path / "data" / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "data" / path).write_text(path)
    return tmp_path


def test_each_entry_keeps_its_own_number_of_sessions(project):
    assert [file.path for file in old_files(project, [ORDERS, REPORT, SCORES], None, [])] == [
        "data/orders/2024-01-01.csv", "data/reports/2024-01-01/report.html", "data/ridge/latest/2024-01-01.parquet",
        "data/orders/2024-01-02.csv", "data/reports/2024-01-02/report.html", "data/ridge/latest/2024-01-02.parquet",
        "data/reports/2024-01-03/report.html", "data/ridge/latest/2024-01-03.parquet",
        "data/reports/2024-01-04/report.html",
    ]  # fmt: skip
    assert count_files(project, [ORDERS, REPORT, SCORES]) == 15


def test_another_number_for_all_and_a_session_that_stays(project):
    found = old_files(project, [ORDERS, REPORT], 2, ["2024-01-01"])
    assert {file.session for file in found} == {"2024-01-02", "2024-01-03"}
    assert OldFile("data/orders/2024-01-03.csv", "2024-01-03", "orders") in found


def test_sessions_are_those_of_the_files_so_that_a_wrong_clock_moves_nothing(project):
    (project / "data/orders/2099-01-01.csv").write_text("a clock that was a lifetime ahead")
    assert {file.session for file in old_files(project, [ORDERS], None, [])} == {
        "2024-01-01",
        "2024-01-02",
        "2024-01-03",
    }


def test_file_that_two_entries_name_is_one_and_stays_as_long_as_either_keeps_it(project):
    for day in range(1, 6):
        file = project / f"data/ensemble/latest/2024-01-0{day}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("fused")
    fused = Kept("fused", f"data/ensemble/latest/{SESSION}.parquet", 4)
    of_fused = [file for file in old_files(project, [SCORES, fused], None, []) if "ensemble" in file.path]
    assert of_fused == [OldFile("data/ensemble/latest/2024-01-01.parquet", "2024-01-01", "fused")]
    assert count_files(project, [SCORES, fused]) == count_files(project, [SCORES])


def test_links_and_files_that_are_no_session_stay(project, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    (outside / "2024-01-01.csv").write_text("precious")
    (project / "data/orders/2024-01-01.csv").unlink()
    (project / "data/orders/2024-01-01.csv").symlink_to(outside / "2024-01-01.csv")
    (project / "data/orders/notes.csv").write_text("mine")
    linked = project / "data/linked"
    linked.symlink_to(outside)
    found = old_files(project, [ORDERS, Kept("linked", f"data/linked/{SESSION}.csv", 1)], 1, [])
    assert [file.path for file in found] == [f"data/orders/2024-01-0{day}.csv" for day in (2, 3, 4)]


def test_an_entry_that_says_nothing_keeps_everything_and_nonsense_is_refused():
    path = f"data/{SESSION}.csv"
    assert retention_of({"a": {"filepath": path}, "b": {"filepath": path, "metadata": {"keep": "always"}}}) == []
    assert retention_of({"a": {"filepath": path, "metadata": {"keep": 5}}}) == [Kept("a", path, 5)]
    for keep in (0, -1, "5", True):
        with pytest.raises(ConfigurationError, match="catalog entry 'a' says `keep"):
            retention_of({"a": {"filepath": path, "metadata": {"keep": keep}}})
    with pytest.raises(ConfigurationError, match="has one file, not one per session"):
        retention_of({"a": {"filepath": "data/a.csv", "metadata": {"keep": 5}}})


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_entry_of_the_catalog_says_how_long_its_files_stay(project_path, environment):
    loader = ProjectConfigLoader(
        str(project_path / "conf"), environment, runtime_params={"as_of": SESSION}, **LOADER_OPTIONS
    )
    entries = {name: entry for name, entry in loader["catalog"].items() if not name.startswith("_")}
    silent = [name for name, entry in entries.items() if "keep" not in (entry.get("metadata") or {})]
    assert silent == [], "give them `metadata: {keep: always}`, or a number of sessions"
    kept = {one.entry for one in retention_of(entries)}
    by_session = {name for name, entry in entries.items() if SESSION in str(entry.get("filepath", ""))}
    assert kept == by_session, "what has a file per session has a number of sessions"
    assert not kept & {"ledger_as_found", "champions", "statement_files", "{model}.bundle@champion", "bars"}


def test_a_bundle_stays_that_an_alias_an_earlier_champion_or_a_plan_refers_to(tmp_path):
    store = tmp_path / "ridge/bundle"
    for identity in ("newest", "now", "before", "planned", "unused"):
        (store / "versions" / identity).mkdir(parents=True)
    (store / "aliases.json").write_text(
        json.dumps({"candidate": "newest", "champion": "now", "champions": ["before", "now"]})
    )
    assert [path.name for path in unused_bundles(tmp_path, [store], ["planned"], "2999-12-31")] == ["unused"]


def test_a_bundle_that_was_written_since_the_oldest_session_that_stays_is_not_old(tmp_path):
    store = tmp_path / "ridge/bundle"
    for identity, day in (("old", "2024-01-04"), ("of that day", "2024-01-05"), ("new", "2024-01-08")):
        folder = store / "versions" / identity
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text("{}")
        written = datetime.fromisoformat(f"{day}T12:00:00+00:00").timestamp()
        for path in (folder / "manifest.json", folder):
            os.utime(path, (written, written))
    (store / "aliases.json").write_text(json.dumps({"candidate": None, "champion": None, "champions": []}))
    assert [path.name for path in unused_bundles(tmp_path, [store], [], "2024-01-05")] == ["old"]
    # A file that was written later makes the whole bundle newer.
    (store / "versions/old/golden.parquet").write_text("")
    assert unused_bundles(tmp_path, [store], [], "2024-01-05") == []


def test_oldest_session_that_stays_is_none_while_all_of_them_do(project):
    assert oldest_that_stays(project, [ORDERS, REPORT], 2) == "2024-01-04"
    assert oldest_that_stays(project, [ORDERS, REPORT], 9) is None
    assert oldest_that_stays(project, [], None) is None
