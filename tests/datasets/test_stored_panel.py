"""A panel that is read where it lies, by rows and columns."""

import json
import pickle
import re

import duckdb
import numpy as np
import pandas as pd
import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from quant_pipeline.common.exceptions import MarketDataError
from quant_pipeline.datasets import stored_panel
from quant_pipeline.datasets.kept_digests import FOLDER
from quant_pipeline.datasets.panel import MANIFEST, YearlyPanel
from quant_pipeline.datasets.panel_years import PLAIN
from quant_pipeline.datasets.stored_panel import StoredPanel
from quant_pipeline.models import panels
from quant_pipeline.models.digests import digest_of
from quant_pipeline.models.panels import PanelView, files_in_sight
from tests.helpers.file_times import write_and_set_back
from tests.helpers.two_names import panel


@pytest.fixture
def written():
    table = panel(["2019-12-31", "2020-01-02", "2020-01-03", "2021-01-04"])
    table = table.assign(other=np.float32([1, np.nan, 3, 4, 5, np.nan, 7, 8]))
    table.attrs = {"source": "simulated"}
    return table


@pytest.fixture
def dataset(written, tmp_path):
    dataset = YearlyPanel(str(tmp_path), lazy=True)
    dataset.save(written)
    return dataset


@pytest.mark.parametrize("rows", [None, slice(0, 8), slice(1, 3), slice(2, 6), slice(6, 8), slice(3, 3)])
@pytest.mark.parametrize("columns", [None, ["other", "factor"], ["factor"]])
def test_rows_and_columns_are_those_of_the_table(written, dataset, rows, columns):
    read = dataset.load().read(rows, columns)
    expected = written if rows is None else written.iloc[rows]
    pd.testing.assert_frame_equal(read, expected if columns is None else expected[columns])
    assert read.attrs == {"source": "simulated"}


def test_it_says_what_it_is_before_anything_is_read(written, dataset):
    stored = dataset.load()
    pd.testing.assert_index_equal(stored.index, written.index)
    assert (list(stored.columns), stored.attrs, stored.seams) == (
        ["factor", "other"],
        {"source": "simulated"},
        [2, 6],
    )
    assert len(stored) == 8
    assert ".read()" in repr(stored)


def test_the_lines_of_the_guide_read_a_panel_with_other_libraries(project_path, tmp_path, monkeypatch):
    guide = (project_path / "docs" / "guides" / "features.md").read_text()
    (folder,) = set(re.findall(r"data/markets/\w+/04_feature/alpha158(?=[/\"'])", guide))
    table = panel(["2019-12-31", "2020-01-02", "2021-01-04"]).rename(columns={"factor": "ROC20"})
    table = table.assign(ROC60=np.float32([1, np.nan, 3, np.nan, 5, 7]))
    YearlyPanel(str(tmp_path / folder)).save(table)
    monkeypatch.chdir(tmp_path)
    rows = table.reset_index()

    (line,) = re.findall(r"polars has `(scan_parquet\(.*?\))`", guide)
    read = eval(f"polars.{line}", {"polars": polars}).collect()
    assert read["instrument"].cast(str).to_list() == rows["instrument"].tolist()
    assert read["ROC60"].to_list() == [None if np.isnan(value) else value for value in rows["ROC60"]]

    (block,) = re.findall(r"```python\n(import pandas.*?)```", guide, re.DOTALL)
    exec(block, names := {})
    pd.testing.assert_frame_equal(names["momentum"], table[["ROC20", "ROC60"]], check_index_type=False)

    (query,) = re.findall(r"```sql\n(.*?)```", guide, re.DOTALL)
    means = duckdb.sql(query.replace("ROC20", "ROC60")).df().set_index("instrument")["avg(ROC60)"]
    assert means.to_dict() == rows.dropna().groupby("instrument", observed=True)["ROC60"].mean().to_dict()


def test_one_year_is_read_from_its_own_file(written, dataset, tmp_path):
    stored = dataset.load()
    for year in (2019, 2021):
        (tmp_path / f"{year}.parquet").unlink()
    pd.testing.assert_frame_equal(stored.read(slice(2, 6), ["other"]), written.iloc[2:6][["other"]])
    with pytest.raises(MarketDataError, match=r"2021\.parquet was written again"):
        stored.read(slice(5, 7))


def test_one_column_leaves_the_others_in_their_file(tmp_path):
    sessions = pd.bdate_range("2015-01-01", "2015-12-31")
    index = panel(sessions).index
    wide = pd.DataFrame(np.ones((len(index), 300), dtype="float32"), index=index).rename(columns=str)
    dataset = YearlyPanel(str(tmp_path), lazy=True)
    dataset.save(wide)
    stored, pool = dataset.load(), pa.default_memory_pool()
    allocated = pool.bytes_allocated()
    before = pool.max_memory()
    stored.read(columns=["7"])
    assert max(pool.max_memory() - max(before, allocated), 0) < 0.1 * wide.to_numpy().nbytes


def test_a_panel_that_was_written_again_is_not_mixed_with_what_was_read(written, dataset):
    stored = dataset.load()
    dataset.save(written + 1)
    with pytest.raises(MarketDataError, match="was written again"):
        stored.read(slice(0, 1))


def test_a_year_that_is_changed_in_place_and_set_back_in_time_is_refused(dataset, tmp_path):
    stored, file = dataset.load(), tmp_path / "2020.parquet"
    content = file.read_bytes()
    changed = content.replace(np.float32(4).tobytes(), np.float32(9).tobytes())
    assert changed != content
    write_and_set_back(file, changed)
    with pytest.raises(MarketDataError, match=r"2020\.parquet was written again"):
        stored.read(slice(2, 3))
    with pytest.raises(MarketDataError, match=r"2020\.parquet was written again"):
        digest_of(stored, ["factor"], pd.Timestamp("2020-01-03"))
    assert not (tmp_path / FOLDER / "2020.json").exists()


@pytest.mark.parametrize("touch", [lambda file: file.chmod(0o600), lambda file: (file.parent / "a").hardlink_to(file)])
def test_a_year_of_which_only_the_time_of_change_differs_says_what_may_have_changed_it(dataset, tmp_path, touch):
    stored = dataset.load()
    touch(tmp_path / "2020.parquet")
    with pytest.raises(MarketDataError, match=r"under its old time, or was linked or given other rights or attributes"):
        stored.read(slice(2, 3))


def test_a_year_that_was_taken_away_is_refused(dataset, tmp_path):
    stored = dataset.load()
    (tmp_path / "2020.parquet").unlink()
    with pytest.raises(MarketDataError, match=r"2020\.parquet was written again while"):
        stored.read(slice(2, 3))


@pytest.mark.parametrize("is_misread", [False, True])
def test_a_year_that_is_replaced_while_it_is_read_is_refused(written, dataset, monkeypatch, is_misread):
    stored, read = dataset.load(), stored_panel._read_values

    def replace_first(*arguments):
        dataset.save(written + 1)
        read(*arguments)
        if is_misread:
            raise OSError("couldn't deserialize thrift")

    monkeypatch.setattr(stored_panel, "_read_values", replace_first)
    with pytest.raises(MarketDataError, match="was written again"):
        stored.read(slice(0, 1))


def test_a_panel_that_is_replaced_while_another_process_opens_it_is_refused(written, dataset, monkeypatch):
    with files_in_sight(True):
        sent = pickle.dumps(dataset.load())
    read = stored_panel._read_index

    def replace_first(files):
        dataset.save(written + 1)
        return read(files)

    monkeypatch.setattr(stored_panel, "_read_index", replace_first)
    with pytest.raises(MarketDataError, match="was written again"):
        pickle.loads(sent)


def test_before_its_first_session_it_is_empty(written, tmp_path, dataset):
    empty = YearlyPanel(str(tmp_path), as_of="2000-01-03", lazy=True).load()
    assert (len(empty), empty.read().shape) == (0, (0, 2))
    assert YearlyPanel(str(tmp_path), as_of="2000-01-03").load().empty


def test_it_can_be_saved_elsewhere(written, dataset, tmp_path):
    copy = YearlyPanel(str(tmp_path / "copy"))
    copy.save(dataset.load())
    pd.testing.assert_frame_equal(copy.load(), written)


def test_row_groups_of_a_large_year_are_read_where_they_hold_a_row(written, dataset, tmp_path):
    table = pq.read_table(tmp_path / "2020.parquet")
    pq.write_table(table, tmp_path / "2020.parquet", row_group_size=1)
    manifest = json.loads((tmp_path / MANIFEST).read_text())
    manifest["2020.parquet"]["bytes"] = (tmp_path / "2020.parquet").stat().st_size
    (tmp_path / MANIFEST).write_text(json.dumps(manifest))
    for rows in (slice(1, 7), slice(3, 5), slice(2, 3)):
        pd.testing.assert_frame_equal(dataset.load().read(rows), written.iloc[rows])


def test_a_column_that_is_not_there_is_named(dataset):
    with pytest.raises(KeyError, match="no columns absent"):
        dataset.load().read(columns=["absent"])


def test_sessions_after_that_of_the_run_are_no_part_of_it(written, dataset, tmp_path):
    stored = YearlyPanel(str(tmp_path), as_of="2020-01-02", lazy=True).load()
    pd.testing.assert_frame_equal(stored.read(), written.iloc[:4])
    assert list(stored.index.levels[0]) == list(written.index.levels[0][:2])


def test_it_travels_to_another_process_as_a_table(written, dataset):
    pd.testing.assert_frame_equal(pickle.loads(pickle.dumps(dataset.load())).read(), written)
    stretch = PanelView(dataset.load(), slice(2, 6), ["other"])
    assert len(pickle.dumps(stretch)) < len(pickle.dumps(dataset.load()))
    pd.testing.assert_frame_equal(pickle.loads(pickle.dumps(stretch)).read(), written.iloc[2:6][["other"]])


def test_a_process_that_sees_its_files_is_sent_their_names(written, dataset):
    stored = dataset.load()
    stretch = PanelView(stored, slice(2, 6), ["other"])
    with files_in_sight(True):
        whole, part = pickle.dumps(stored), pickle.dumps(stretch)
    assert len(whole) < len(pickle.dumps(stored))
    assert isinstance(pickle.loads(whole), StoredPanel)
    pd.testing.assert_frame_equal(pickle.loads(whole).read(), written)
    pd.testing.assert_frame_equal(pickle.loads(part).read(), written.iloc[2:6][["other"]])
    dataset.save(written + 1)
    with pytest.raises(MarketDataError, match="was written again"):
        pickle.loads(part)


def test_a_panel_that_is_sent_by_name_ends_with_the_session_of_the_run(written, dataset, tmp_path):
    stored = YearlyPanel(str(tmp_path), as_of="2020-01-02", lazy=True).load()
    with files_in_sight(True):
        sent = pickle.dumps(stored)
    pd.testing.assert_frame_equal(pickle.loads(sent).read(), written.iloc[:4])


@pytest.mark.parametrize("at_once", [1, 3, 5, 100])
def test_row_groups_are_read_together_up_to_a_size(written, dataset, tmp_path, monkeypatch, at_once):
    monkeypatch.setattr(panels, "AT_ONCE", at_once)
    monkeypatch.setitem(PLAIN, "row_group_size", 2)
    dataset.save(written + 1)
    for rows in (None, slice(0, 1), slice(1, 7), slice(3, 5), slice(5, 6)):
        expected = written + 1 if rows is None else (written + 1).iloc[rows]
        pd.testing.assert_frame_equal(dataset.load().read(rows), expected)


def test_years_of_different_types_are_read_behind_the_same_interface(written, tmp_path):
    dataset = YearlyPanel(str(tmp_path), lazy=True)
    mixed = written.astype({"factor": "float64"})
    dataset.save(mixed)
    pd.testing.assert_frame_equal(dataset.load().read(slice(1, 7), ["factor"]), mixed.iloc[1:7][["factor"]])
