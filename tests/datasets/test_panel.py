"""A panel year by year."""

import hashlib
import json
import os
import tracemalloc
import weakref
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from kedro.io import DatasetError

from quant_pipeline.common.exceptions import MarketDataError
from quant_pipeline.datasets import panel as panel_module
from quant_pipeline.datasets.panel import MANIFEST, YearlyPanel
from quant_pipeline.datasets.stored_panel import StoredPanel
from tests.helpers.damaged_json import DAMAGED_JSON
from tests.helpers.two_names import panel


def test_round_trip_keeps_index_and_dtype(tmp_path):
    dataset = YearlyPanel(str(tmp_path))
    written = panel(["2019-12-31", "2020-01-02", "2021-01-04"])
    dataset.save(written)
    pd.testing.assert_frame_equal(dataset.load(), written)
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "2019.parquet",
        "2020.parquet",
        "2021.parquet",
        MANIFEST,
    ]


def test_files_are_the_same_on_one_core_and_on_two(tmp_path, monkeypatch):
    written = panel(pd.bdate_range("2015-01-01", "2020-12-31"))
    found = []
    for cores in ({0}, {0, 1}):
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid, cores=cores: cores, raising=False)
        folder = tmp_path / str(len(cores))
        YearlyPanel(str(folder)).save(written)
        found.append({file.name: file.read_bytes() for file in folder.iterdir()})
    assert len(found[0]) == 7
    assert found[0] == found[1]


def test_appending_a_session_rewrites_its_year_only(tmp_path):
    dataset = YearlyPanel(str(tmp_path))
    dataset.save(panel(["2019-12-31", "2020-01-02"]))
    before = (tmp_path / "2019.parquet").stat().st_mtime_ns
    dataset.save(panel(["2019-12-31", "2020-01-02", "2020-01-03"]))
    assert (tmp_path / "2019.parquet").stat().st_mtime_ns == before
    assert len(dataset.load()) == 6


def test_a_year_that_disappears_is_removed(tmp_path):
    dataset = YearlyPanel(str(tmp_path))
    dataset.save(panel(["2019-12-31", "2020-01-02"]))
    dataset.save(panel(["2020-01-02"]))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["2020.parquet", MANIFEST]


@pytest.mark.parametrize("rows", [lambda: panel([]), lambda: iter([])])
def test_a_panel_without_rows_is_refused_and_the_former_one_stays(tmp_path, rows):
    dataset = YearlyPanel(str(tmp_path))
    dataset.save(panel(["2019-12-31"]))
    with pytest.raises(Exception, match="has no rows"):
        dataset.save(rows())
    pd.testing.assert_frame_equal(dataset.load(), panel(["2019-12-31"]))


@pytest.mark.parametrize("is_read_lazily", [True, False])
@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_years_of_two_panels_are_never_loaded_together(tmp_path, monkeypatch, is_read_lazily, kind):
    written = panel(["2019-12-31", "2020-01-02"]).astype(kind)
    YearlyPanel(str(tmp_path)).save(written)
    read, rename = json.loads, Path.replace

    def replace_and_die(self, target):
        rename(self, target)
        raise SystemExit("killed")

    def read_and_save_meanwhile(text):
        monkeypatch.undo()
        with monkeypatch.context() as other:
            other.setattr(Path, "replace", replace_and_die)
            with pytest.raises(SystemExit):
                YearlyPanel(str(tmp_path)).save(written + 1)
        return read(text)

    monkeypatch.setattr(json, "loads", read_and_save_meanwhile)
    with pytest.raises(Exception, match="saved by another process while it was read"):
        YearlyPanel(str(tmp_path), lazy=is_read_lazily).load()


def test_an_absent_panel_says_which_stage_writes_it(tmp_path):
    dataset = YearlyPanel(str(tmp_path))
    assert not dataset.exists()
    with pytest.raises(Exception, match="--pipelines features") as failure:
        dataset.load()
    assert isinstance(failure.value.__cause__ or failure.value, MarketDataError)


@pytest.mark.parametrize("after", ["2019.parquet", "2020.parquet"])
def test_a_panel_that_was_interrupted_between_two_years_does_not_exist(tmp_path, monkeypatch, after):
    dataset = YearlyPanel(str(tmp_path))
    dataset.save(panel(["2019-12-31", "2020-01-02", "2021-01-04"]))
    rename = Path.replace

    def replace_until(self, target):
        rename(self, target)
        if Path(target).name == after:
            raise SystemExit("killed")

    monkeypatch.setattr(Path, "replace", replace_until)
    with pytest.raises(SystemExit):
        dataset.save(panel(["2019-12-31", "2020-01-02", "2021-01-04"]) + 1)
    monkeypatch.undo()
    assert not dataset.exists()
    with pytest.raises(Exception, match="is not complete"):
        dataset.load()
    dataset.save(panel(["2019-12-31", "2020-01-02", "2021-01-04"]) + 1)
    assert dataset.load()["factor"].tolist() == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]


def test_an_error_before_anything_is_replaced_keeps_the_old_panel(tmp_path, monkeypatch):
    dataset = YearlyPanel(str(tmp_path))
    old = panel(["2019-12-31", "2020-01-02"])
    dataset.save(old)
    monkeypatch.setattr(panel_module, "write_plain", Mock(side_effect=OSError(28, "No space left on device")))
    with pytest.raises(Exception, match="No space left"):
        dataset.save(old + 1)
    pd.testing.assert_frame_equal(dataset.load(), old)
    assert not [file for file in tmp_path.iterdir() if file.name.startswith(".")]


def test_a_truncated_year_is_no_panel(tmp_path):
    dataset = YearlyPanel(str(tmp_path))
    dataset.save(panel(["2019-12-31", "2020-01-02"]))
    year = tmp_path / "2019.parquet"
    year.write_bytes(year.read_bytes()[:-1])
    assert not dataset.exists()


def test_years_without_a_manifest_are_no_panel(tmp_path):
    panel(["2019-12-31"]).to_parquet(tmp_path / "2019.parquet")
    assert not YearlyPanel(str(tmp_path)).exists()


def test_pandas_and_pyarrow_read_the_folder_as_one_table(tmp_path):
    written = panel(["2019-12-31", "2020-01-02"])
    YearlyPanel(str(tmp_path)).save(written)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path).sort_index(), written)


def test_years_are_read_into_their_place_as_pandas_puts_them_together(tmp_path):
    written = panel(["2019-12-31", "2020-01-02", "2021-01-04"]).assign(other=np.float32([1, np.nan, 3, 4, 5, np.nan]))
    written.attrs = {"source": "simulated"}
    YearlyPanel(str(tmp_path)).save(written)
    read = YearlyPanel(str(tmp_path)).load()
    together = pd.concat([pd.read_parquet(tmp_path / f"{year}.parquet") for year in (2019, 2020, 2021)])
    pd.testing.assert_frame_equal(read, together)
    assert read.attrs == together.attrs == {"source": "simulated"}
    assert read.to_numpy().base is not None  # One block, which nothing has copied.


@pytest.mark.parametrize("changed", [{"factor": "float64"}, {"factor": "float32", "other": "float32"}])
def test_years_of_different_columns_or_types_are_still_read(tmp_path, changed):
    written = panel(["2019-12-31", "2020-01-02"]).assign(other=np.arange(4.0)).astype(changed)
    YearlyPanel(str(tmp_path)).save(written)
    pd.testing.assert_frame_equal(YearlyPanel(str(tmp_path)).load(), written)


def test_reading_takes_no_second_copy_of_the_panel(tmp_path):
    sessions = pd.bdate_range("2015-01-01", "2018-12-31")
    wide = panel(sessions)
    wide = pd.DataFrame(np.ones((len(wide), 300), dtype="float32"), index=wide.index).rename(columns=str)
    YearlyPanel(str(tmp_path)).save(wide)
    tracemalloc.start()
    YearlyPanel(str(tmp_path)).load()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.6 * wide.to_numpy().nbytes


def test_saving_an_unsorted_panel_copies_one_year_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0}, raising=False)
    index = panel(pd.bdate_range("2011-01-01", "2020-12-31")).index
    index = index[np.random.default_rng(1).permutation(len(index))]
    wide = pd.DataFrame(np.ones((200, len(index)), dtype="float32").T, index=index, copy=False).rename(columns=str)
    tracemalloc.start()
    YearlyPanel(str(tmp_path)).save(wide)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.3 * wide.to_numpy().nbytes


def test_a_year_that_does_not_reach_the_disk_keeps_the_old_panel(tmp_path, monkeypatch):
    dataset = YearlyPanel(str(tmp_path))
    old = panel(["2019-12-31", "2020-01-02"])
    dataset.save(old)
    monkeypatch.setattr(os, "fsync", Mock(side_effect=[OSError(5, "Input/output error"), None, None, None]))
    with pytest.raises(Exception, match="Input/output error"):
        dataset.save(old + 1)
    pd.testing.assert_frame_equal(dataset.load(), old)
    assert not [file for file in tmp_path.iterdir() if file.name.startswith(".")]


def test_a_year_that_was_damaged_on_the_disk_is_written_again(tmp_path):
    dataset, written = YearlyPanel(str(tmp_path)), panel(["2019-12-31", "2020-01-02"])
    dataset.save(written)
    year = tmp_path / "2019.parquet"
    whole = year.read_bytes()
    for damaged in (whole.replace(np.float32(1).tobytes(), np.float32(7).tobytes()), bytes(len(whole))):
        year.write_bytes(damaged)
        dataset.save(written)
        assert year.read_bytes() == whole


def parts_of(written):
    return [written[written.index.get_level_values("datetime").year == year] for year in (2019, 2020, 2021)]


def test_parts_are_written_as_the_whole_is_and_years_that_did_not_change_keep_their_file(tmp_path):
    written = panel(["2019-12-31", "2020-01-02", "2021-01-04"])
    YearlyPanel(str(tmp_path / "whole")).save(written)
    dataset = YearlyPanel(str(tmp_path / "parts"))
    dataset.save(parts_of(written))
    for file in (tmp_path / "whole").iterdir():
        assert (tmp_path / "parts" / file.name).read_bytes() == file.read_bytes()
    times = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "parts").iterdir()}
    written.iloc[-1] = -1
    dataset.save(iter(parts_of(written)))
    changed = [file.name for file in (tmp_path / "parts").iterdir() if file.stat().st_mtime_ns != times[file.name]]
    assert sorted(changed) == ["2021.parquet", MANIFEST]
    pd.testing.assert_frame_equal(dataset.load(), written)


@pytest.mark.parametrize("cores", [1, 2])
def test_a_part_is_gone_before_the_next_one_or_with_two_cores_the_one_after_it_is_made(tmp_path, monkeypatch, cores):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(cores)), raising=False)
    held = []

    def make():
        for part in parts_of(panel(["2019-12-31", "2020-01-02", "2021-01-04"])):
            gone = len(held) - (cores - 1)
            assert [values() for values in held[: max(gone, 0)]] == [None] * max(gone, 0)
            values = np.ones((3, len(part)), dtype="float32")
            held.append(weakref.ref(values))
            yield pd.DataFrame(values.T, index=part.index, columns=["a", "b", "c"], copy=False)
            del values

    YearlyPanel(str(tmp_path)).save(make())
    assert len(held) == 3


def test_a_part_that_cannot_be_computed_keeps_the_old_panel(tmp_path):
    dataset = YearlyPanel(str(tmp_path))
    old = panel(["2019-12-31", "2020-01-02", "2021-01-04"])
    dataset.save(old)

    def make():
        yield from parts_of(old + 1)[:2]
        raise MarketDataError("AAA has a bar on 2021-01-05, which is no session")

    with pytest.raises(Exception, match="which is no session"):
        dataset.save(make())
    pd.testing.assert_frame_equal(dataset.load(), old)
    assert not [file for file in tmp_path.iterdir() if file.name.startswith(".")]


def test_a_year_in_two_parts_is_refused(tmp_path):
    written = panel(["2020-01-02", "2020-01-03"])
    with pytest.raises(Exception, match=r"two parts of the panel in .* hold rows of 2020"):
        YearlyPanel(str(tmp_path)).save([written.iloc[:2], written.iloc[2:]])


def test_a_panel_of_an_earlier_version_is_read_and_written_anew(tmp_path):
    written = panel(["2019-12-31", "2020-01-02"]).assign(other=np.float32([1, np.nan, 3, 4]))
    manifest = {}
    for year, rows in written.groupby(written.index.get_level_values("datetime").year):
        content = rows.to_parquet(None, compression="snappy")
        (tmp_path / f"{year}.parquet").write_bytes(content)
        manifest[f"{year}.parquet"] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (tmp_path / MANIFEST).write_text(json.dumps(manifest))
    pd.testing.assert_frame_equal(YearlyPanel(str(tmp_path)).load(), written)
    YearlyPanel(str(tmp_path)).save(written)
    pd.testing.assert_frame_equal(YearlyPanel(str(tmp_path)).load(), written)
    assert pq.read_schema(tmp_path / "2020.parquet").field("other").nullable is False


def test_missing_values_keep_their_bits_and_years_that_differ_by_one_value_are_written(tmp_path):
    written = panel(["2019-12-31", "2020-01-02"]).assign(other=np.float32([np.nan, np.inf, -0.0, 4]))
    dataset = YearlyPanel(str(tmp_path))
    dataset.save(written)
    assert dataset.load()["other"].to_numpy().tobytes() == written["other"].to_numpy().tobytes()
    before = (tmp_path / "2020.parquet").stat().st_mtime_ns
    written.iloc[2, 1] = 0.0
    dataset.save(written)
    assert (tmp_path / "2020.parquet").stat().st_mtime_ns != before
    assert not np.signbit(dataset.load()["other"].iloc[2])


@pytest.mark.parametrize("kind", ["float64", "float32", "int64", "str"])
def test_a_year_keeps_its_file_until_one_value_or_attribute_is_another(tmp_path, kind):
    dataset, file = YearlyPanel(str(tmp_path)), tmp_path / "2020.parquet"
    written = panel(["2020-01-02", "2020-01-03"]).assign(other=pd.Series([1, 2, 0, 3]).astype(kind).to_numpy())
    if kind.startswith("float"):
        written.iloc[0, 1] = np.nan

    def is_kept():
        before = file.stat().st_ino
        dataset.save(written)
        return file.stat().st_ino == before

    dataset.save(written)
    assert is_kept()
    written.iloc[2, 1] = {"float64": -0.0, "float32": -0.0, "int64": 9, "str": "x"}[kind]
    assert not is_kept()
    assert is_kept()
    written.attrs = {"source": "simulated"}
    assert not is_kept()
    assert is_kept()


def test_a_run_reads_sessions_up_to_its_own(tmp_path):
    written = panel(["2019-12-31", "2020-01-02", "2020-01-03", "2021-01-04"])
    YearlyPanel(str(tmp_path)).save(written)
    read = YearlyPanel(str(tmp_path), as_of="2020-01-02").load()
    known = written.iloc[:4]
    pd.testing.assert_frame_equal(read, known.set_axis(known.index.remove_unused_levels()))
    assert list(read.index.levels[0]) == [pd.Timestamp("2019-12-31"), pd.Timestamp("2020-01-02")]


@pytest.mark.parametrize("order", [[2, 3, 0, 1], [1, 0, 3, 2]])
@pytest.mark.parametrize("is_read_lazily", [True, False])
@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_rows_in_another_order_come_back_sorted(tmp_path, order, is_read_lazily, kind):
    written = panel(["2020-01-02", "2020-01-03"]).astype(kind)
    YearlyPanel(str(tmp_path)).save(written.iloc[order])
    read = YearlyPanel(str(tmp_path), lazy=is_read_lazily).load()
    pd.testing.assert_frame_equal(read.read() if is_read_lazily else read, written)


def test_instruments_that_come_and_go_are_told_apart(tmp_path):
    days = pd.to_datetime(["2019-12-31", "2020-01-02", "2020-01-02", "2021-01-04"])
    index = pd.MultiIndex.from_arrays([days, ["ZZZ", "AAA", "ZZZ", "BBB"]], names=["datetime", "instrument"])
    written = pd.DataFrame({"factor": np.arange(4, dtype="float32")}, index=index)
    YearlyPanel(str(tmp_path)).save(written)
    read = YearlyPanel(str(tmp_path)).load()
    pd.testing.assert_frame_equal(read, written)
    assert list(read.index.levels[1]) == ["AAA", "BBB", "ZZZ"]


@pytest.mark.parametrize("text", DAMAGED_JSON.values(), ids=DAMAGED_JSON)
def test_a_panel_whose_notes_are_damaged_is_refused_with_the_file(tmp_path, text):
    written = panel(["2019-12-31"])
    written.attrs["label"] = "of one session"
    YearlyPanel(str(tmp_path)).save(written)
    file = tmp_path / "2019.parquet"
    table = pq.read_table(file)
    pq.write_table(table.replace_schema_metadata(table.schema.metadata | {b"PANDAS_ATTRS": text}), file)
    with pytest.raises(MarketDataError, match=rf"the notes of {file} are damaged .* make it again: `kedro run"):
        StoredPanel.open([file])


@pytest.mark.parametrize("text", DAMAGED_JSON.values(), ids=DAMAGED_JSON)
def test_a_panel_whose_manifest_is_damaged_is_not_complete_and_is_written_again(tmp_path, text):
    dataset, written = YearlyPanel(str(tmp_path)), panel(["2019-12-31"])
    dataset.save(written)
    for damage in (text, b'{"2019.parquet": 5}'):
        (tmp_path / MANIFEST).write_bytes(damage)
        assert not dataset.exists()
        with pytest.raises(DatasetError, match=r"is not complete: .* Run the stage that writes it"):
            dataset.load()
    dataset.save(written)
    pd.testing.assert_frame_equal(dataset.load(), written)
