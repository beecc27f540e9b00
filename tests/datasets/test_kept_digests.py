"""Digests beside the years of a panel: made once for all processes, and never believed of other values."""

import os
import shutil
import time

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.datasets import kept_digests
from quant_pipeline.datasets.panel import YearlyPanel
from quant_pipeline.models import digests
from quant_pipeline.models.digests import digest_of
from tests.helpers.file_times import write_and_set_back
from tests.helpers.two_names import panel

LAST = pd.Timestamp("2021-01-05")
COLUMNS = ["factor", "other"]
KNOWN_ROWS = {"2019": 2, "2020": 4, "2021": 4}


@pytest.fixture
def written():
    table = panel(["2019-12-31", "2020-01-02", "2020-12-31", "2021-01-04", "2021-01-05", "2021-01-06"])
    return table.assign(other=np.float32([1, np.nan, 3, 4, 5, np.nan, 7, 8, 9, 10, 11, 12]))


@pytest.fixture
def folder(written, tmp_path, monkeypatch):
    monkeypatch.setattr(kept_digests, "SETTLED", 0)
    monkeypatch.setattr(kept_digests, "_known", {})
    YearlyPanel(str(tmp_path)).save(written)
    return tmp_path


@pytest.fixture
def counted(monkeypatch):
    """Rows of columns that were hashed."""
    sizes, original = [], digests._of_values

    def count(column):
        sizes.append(len(column))
        return original(column)

    monkeypatch.setattr(digests, "_of_values", count)
    return sizes


def digest(folder, columns=COLUMNS, until=LAST, as_of=None):
    """Return the digest that another process finds, which remembers nothing."""
    kept_digests._known.clear()
    return digest_of(YearlyPanel(str(folder), as_of=as_of, lazy=True).load(), columns, until)


def test_years_are_hashed_once_for_all_processes(written, folder, counted):
    expected = digest_of(written, COLUMNS, LAST)
    counted.clear()
    assert digest(folder) == expected
    assert sum(counted) == 2 * sum(KNOWN_ROWS.values())
    counted.clear()
    assert digest(folder) == expected
    assert digest(folder, as_of="2021-01-05") == expected
    assert digest(folder, ["other"]) == digest_of(written[["other"]], ["other"], LAST)
    assert sum(counted) == sum(KNOWN_ROWS.values())  # Those of the table.


def test_another_window_hashes_the_rows_of_its_last_year_alone(written, folder, counted):
    digest(folder)
    counted.clear()
    assert digest(folder, until=pd.Timestamp("2021-01-04")) == digest_of(
        written.loc[:"2021-01-04"], COLUMNS, pd.Timestamp("2021-01-04")
    )
    assert sum(counted) == 2 * 2 + 2 * 8
    counted.clear()
    digest(folder, until=pd.Timestamp("2021-01-04"))
    digest(folder)
    assert counted == []


def test_a_new_session_hashes_its_own_year_alone(written, folder, counted):
    YearlyPanel(str(folder)).save(written.iloc[:-2])
    digest(folder)
    YearlyPanel(str(folder)).save(written)
    counted.clear()
    digest(folder, until=pd.Timestamp("2021-01-06"))
    assert sum(counted) == 2 * 6


@pytest.mark.parametrize("how", ["dataset", "in_place_at_the_same_time", "another_file_at_the_same_time"])
def test_a_year_of_other_values_is_hashed_again(written, folder, how, tmp_path_factory):
    before, file = digest(folder), folder / "2020.parquet"
    changed = written.copy()
    changed.iloc[3, 0] += 1
    if how == "dataset":
        YearlyPanel(str(folder)).save(changed)
    else:
        beside = tmp_path_factory.mktemp("other")
        YearlyPanel(str(beside)).save(changed)
        if how == "in_place_at_the_same_time":
            write_and_set_back(file, (beside / file.name).read_bytes())
        else:
            former = file.stat()
            shutil.move(beside / file.name, file)
            os.utime(file, ns=(former.st_atime_ns, former.st_mtime_ns))
            assert file.stat().st_size == former.st_size
    assert digest(folder) == digest_of(changed, COLUMNS, LAST) != before


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content.replace(b'"columns": {"factor": "', b'"columns": {"factor": "0'),
        lambda content: content[: len(content) // 2],
        lambda content: bytes(len(content)),
        lambda content: b"\xff" + content,
        lambda content: b"",
    ],
    ids=["digit", "half", "zeros", "no_text", "empty"],
)
def test_damaged_digests_are_not_believed(folder, damage, counted):
    expected = digest(folder)
    for kept in (folder / kept_digests.FOLDER).iterdir():
        content = kept.read_bytes()
        assert damage(content) != content
        kept.write_bytes(damage(content))
    counted.clear()
    assert digest(folder) == expected
    assert sum(counted) == 2 * sum(KNOWN_ROWS.values())
    counted.clear()
    assert digest(folder) == expected
    assert counted == []


def test_digests_of_another_definition_are_not_believed(folder, counted, monkeypatch):
    expected = digest(folder)
    monkeypatch.setattr(kept_digests, "DEFINITION", digests.DEFINITION + 1)
    counted.clear()
    assert digest(folder) == expected
    assert sum(counted) == 2 * sum(KNOWN_ROWS.values())


def test_digests_that_cannot_be_kept_are_remembered_in_the_process(written, folder, counted, caplog):
    caplog.set_level("DEBUG", logger="quant_pipeline")
    (folder / kept_digests.FOLDER).write_text("a file")
    expected = digest(folder)
    assert "cannot be kept" in caplog.text
    counted.clear()
    assert digest_of(YearlyPanel(str(folder), lazy=True).load(), COLUMNS, LAST) == expected
    assert counted == []
    assert digest_of(written, COLUMNS, LAST) == expected


def test_nothing_is_kept_of_a_file_that_was_just_written(written, tmp_path, monkeypatch):
    """Within a tick of the clock it could be written again at the same time."""
    YearlyPanel(str(tmp_path)).save(written)
    digest(tmp_path)
    assert not (tmp_path / kept_digests.FOLDER).exists()
    now = time.time_ns() + kept_digests.SETTLED
    monkeypatch.setattr(kept_digests.time, "time_ns", lambda: now)
    digest(tmp_path)
    assert len(list((tmp_path / kept_digests.FOLDER).iterdir())) == 3


def test_the_newest_stretches_of_a_year_are_kept(folder, monkeypatch, counted):
    monkeypatch.setattr(kept_digests, "MOST_STRETCHES", 2)
    ends = pd.DatetimeIndex(["2021-01-04", "2021-01-05", "2021-01-06"])
    for end in ends:
        digest(folder, until=end)
    counted.clear()
    for end in ends[1:]:
        digest(folder, until=end)
    assert counted == []
    digest(folder, until=ends[0])
    assert sum(counted) == 2 * 2


def test_readers_of_the_folder_pass_digests_over(written, folder):
    digest(folder)
    pd.testing.assert_frame_equal(pd.read_parquet(folder).sort_index(), written, check_index_type=False)
    YearlyPanel(str(folder)).save(written)
    assert YearlyPanel(str(folder)).exists()
