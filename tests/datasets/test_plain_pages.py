"""Columns that are read past the reader of Parquet: its values, and only where a file is what it is taken for."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from quant_pipeline.datasets.panel_years import PLAIN, write_plain
from quant_pipeline.datasets.plain_pages import PlainPages

ROWS = 45
NAMES = ["a", "b", "c"]


@pytest.fixture
def values():
    found = np.random.default_rng(5).normal(size=(len(NAMES), ROWS)).astype("float32")
    found[1, ::7] = np.nan
    return found


@pytest.fixture
def table(values):
    fields = [pa.field(name, pa.float32(), nullable=False) for name in NAMES]
    fields.append(pa.field("instrument", pa.string()))
    return pa.Table.from_arrays([*map(pa.array, values), pa.array(["x"] * ROWS)], schema=pa.schema(fields))


@pytest.fixture
def file(table, tmp_path, monkeypatch):
    monkeypatch.setitem(PLAIN, "row_group_size", 20)
    write_plain(table, tmp_path / "year.parquet")
    return tmp_path / "year.parquet"


@pytest.mark.parametrize("names", [NAMES, ["c", "a"], ["b"], []])
@pytest.mark.parametrize(("first", "last"), [(0, 45), (0, 20), (3, 45), (19, 21), (20, 40), (41, 44), (7, 7)])
def test_rows_of_columns_come_to_their_place(file, values, names, first, last):
    pages = PlainPages.of(pq.read_metadata(file))
    assert pages.columns == {"a": 0, "b": 1, "c": 2}
    room = np.zeros((len(names), last - first + 2), dtype="float32")
    assert pages.read(file, names, slice(first, last), room[:, 1:-1])
    expected = values[[NAMES.index(name) for name in names], first:last]
    np.testing.assert_array_equal(room[:, 1:-1].view("uint32"), expected.view("uint32"))
    assert not room[:, [0, -1]].any()


@pytest.mark.parametrize(
    "written",
    [
        {"compression": "snappy"},
        {"data_page_size": 16, "write_batch_size": 4},
        {"use_dictionary": True},
        {"write_statistics": True},
        {"write_page_checksum": True},
        {"data_page_version": "2.0"},
        {"column_encoding": "BYTE_STREAM_SPLIT", "use_dictionary": False},
    ],
    ids=lambda written: next(iter(written)),
)
def test_columns_that_lie_otherwise_are_left_to_the_reader_of_parquet(table, tmp_path, written):
    pq.write_table(table.select(NAMES), tmp_path / "year.parquet", **{**PLAIN, "use_dictionary": False, **written})
    pages, room = PlainPages.of(pq.read_metadata(tmp_path / "year.parquet")), np.empty((3, ROWS), dtype="float32")
    assert pages is None or not pages.read(tmp_path / "year.parquet", NAMES, slice(0, ROWS), room)


def test_columns_with_nulls_or_of_another_type_are_none_of_them(table, tmp_path):
    nullable = table.set_column(1, pa.field("b", pa.float32()), pa.array([None, *[1.0] * (ROWS - 1)], pa.float32()))
    write_plain(nullable, tmp_path / "year.parquet")
    pages = PlainPages.of(pq.read_metadata(tmp_path / "year.parquet"))
    assert pages.columns == {"a": 0}
    assert not pages.read(tmp_path / "year.parquet", ["a", "b"], slice(0, ROWS), np.empty((2, ROWS), "float32"))
    write_plain(table.select(["instrument", "a"]), tmp_path / "year.parquet")
    assert PlainPages.of(pq.read_metadata(tmp_path / "year.parquet")) is None


@pytest.mark.parametrize("rows", [slice(0, ROWS), slice(3, ROWS)])
def test_a_head_of_other_bytes_and_a_file_that_ends_early_are_noticed(file, rows):
    pages, whole = PlainPages.of(pq.read_metadata(file)), file.read_bytes()
    room = np.empty((1, rows.stop - rows.start), dtype="float32")
    begin = pages.begins[0]
    for damaged in (whole[:begin] + b"\x16" + whole[begin + 1 :], whole[: pages.begins[2] + 10]):
        file.write_bytes(damaged)
        assert not pages.read(file, ["a"], rows, room)
