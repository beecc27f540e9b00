"""Files that are written from where values lie have the bytes of Arrow's, whatever is in the table."""

import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quant_pipeline.datasets import plain_writer
from quant_pipeline.datasets.panel_years import GROUP_ROWS, PLAIN, write_plain
from quant_pipeline.datasets.plain_writer import write_in_place
from tests.helpers.properties import examples

OPTIONS = tuple(PLAIN.items())
NAMES = st.text(st.characters(codec="utf-8"), max_size=200)
OTHERS = {
    pa.timestamp("ns"): st.integers(0, 2**62),
    pa.large_string(): st.text(st.characters(codec="utf-8"), max_size=8),
    pa.float64(): st.floats(),
    pa.float32(): st.floats(width=32),
    pa.bool_(): st.booleans(),
    pa.dictionary(pa.int8(), pa.string()): st.sampled_from("abc"),
}


def bits(count):
    """Return float32 of any bits: not a number has many."""
    return np.random.default_rng(count).integers(0, 2**32, count, dtype="uint32").view("float32")


def table_of(values, others, metadata=None):
    fields = [pa.field(name, pa.float32(), nullable=False) for name in values]
    fields += [pa.field(name, column.type) for name, column in others.items()]
    columns = [*map(pa.array, values.values()), *others.values()]
    return pa.Table.from_arrays(columns, schema=pa.schema(fields, metadata))


@st.composite
def tables(draw):
    rows = draw(st.integers(1, 70))
    names = draw(st.lists(NAMES, min_size=2, max_size=20, unique=True))
    kinds = draw(st.lists(st.sampled_from(list(OTHERS)), min_size=1, max_size=min(len(names) - 1, len(names) // 2 + 1)))
    first, last = names[: -len(kinds)], names[-len(kinds) :]
    values = {name: bits(rows + place)[place:] for place, name in enumerate(first)}
    others = {
        name: pa.array(draw(st.lists(st.none() | OTHERS[kind], min_size=rows, max_size=rows)), kind)
        for name, kind in zip(last, kinds, strict=True)
    }
    return table_of(values, others, draw(st.none() | st.dictionaries(NAMES, NAMES)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("files")


def require_bytes_of_arrow(table, folder, options=OPTIONS):
    pq.write_table(table, folder / "arrow.parquet", **dict(options))
    assert write_in_place(table, folder / "own.parquet", options)
    assert (folder / "own.parquet").read_bytes() == (folder / "arrow.parquet").read_bytes()


@settings(max_examples=examples(thorough=200))
@given(table=tables(), group=st.integers(1, 70), start=st.integers(0, 3))
def test_any_table_that_begins_with_plain_columns_has_the_bytes_of_arrow(folder, table, group, start):
    some = table.slice(start) if start < len(table) else table
    require_bytes_of_arrow(some, folder, (*OPTIONS, ("row_group_size", group)))


@pytest.mark.parametrize("rows", [GROUP_ROWS, GROUP_ROWS + 1, 2 * GROUP_ROWS + 7])
def test_groups_of_a_year_have_the_bytes_of_arrow(folder, rows):
    # More instruments than a dictionary holds: Arrow ends the page and writes the others as they are.
    names = pa.array([f"{'long' * 20}{row % 20_000}" for row in range(rows)], pa.large_string())
    values = {str(place): bits(rows) for place in range(20)}
    require_bytes_of_arrow(table_of(values, {"datetime": pa.array(range(rows)), "instrument": names}), folder)


def test_short_pages_of_many_columns_are_divided_among_calls(folder):
    values = {str(place): bits(3) for place in range(700)}
    require_bytes_of_arrow(table_of(values, {"datetime": pa.array(range(3))}), folder)


@pytest.mark.parametrize("most", [1, 100, 2**15 - 1])
def test_what_the_system_has_not_written_of_a_call_is_written_after_it(folder, monkeypatch, most):
    table = table_of({"a": bits(9000), "b": bits(9000)}, {"c": pa.array(range(9000))})
    whole = os.writev

    def in_part(descriptor, pieces):
        first = b"".join(pieces)[:most]
        return whole(descriptor, [first])

    monkeypatch.setattr(os, "writev", in_part)
    monkeypatch.setattr(plain_writer, "AT_ONCE", 2**15)
    require_bytes_of_arrow(table, folder)


@pytest.mark.parametrize("error", [OSError(95, "Operation not supported"), AttributeError("posix_fallocate")])
def test_room_that_cannot_be_set_aside_is_found_while_it_is_filled(folder, monkeypatch, error):
    def refuse(*_):
        raise error

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    require_bytes_of_arrow(table_of({"a": bits(100)}, {"b": pa.array(range(100))}), folder)


PLAIN_VALUES, OTHER = {"a": bits(4)}, {"b": pa.array(range(4))}


@pytest.mark.parametrize(
    "table",
    [
        table_of(PLAIN_VALUES, {}),
        table_of({}, OTHER),
        table_of(PLAIN_VALUES, OTHER).slice(4),
        table_of(PLAIN_VALUES, OTHER).select(["b", "a"]),
        table_of(PLAIN_VALUES, {"b": pa.array("wxyz")}).cast(
            pa.schema([pa.field("a", pa.float32(), nullable=False), pa.field("b", pa.string(), nullable=False)])
        ),
        pa.concat_tables([table_of(PLAIN_VALUES, OTHER)] * 2),
        table_of(PLAIN_VALUES, {name: pa.array(range(4)) for name in "bcde"}),
    ],
    ids=[
        "no other column",
        "no plain column",
        "no rows",
        "another column first",
        "text without nulls",
        "in two pieces",
        "more other columns",
    ],
)
def test_other_tables_are_left_to_arrow(tmp_path, table):
    assert not write_in_place(table, tmp_path / "year.parquet", OPTIONS)
    assert not (tmp_path / "year.parquet").exists()
    write_plain(table, tmp_path / "year.parquet")
    assert pq.read_table(tmp_path / "year.parquet").equals(table)


def test_nulls_that_a_schema_does_not_have_are_refused_by_arrow(tmp_path):
    values = [pa.array([1.0, None, 2.0, 3.0], pa.float32()), OTHER["b"]]
    with pytest.raises(pa.ArrowInvalid, match="non-nullable but contains nulls"):
        write_plain(
            pa.Table.from_arrays(values, schema=table_of(PLAIN_VALUES, OTHER).schema), tmp_path / "year.parquet"
        )


@pytest.mark.parametrize(
    "written",
    [
        {"compression": "snappy"},
        {"use_dictionary": True},
        {"write_statistics": True},
        {"write_page_checksum": True},
        {"write_page_index": True},
        {"data_page_version": "2.0"},
    ],
    ids=lambda written: next(iter(written)),
)
def test_files_that_arrow_lays_out_in_another_way_are_left_to_it(tmp_path, written):
    options = tuple({**PLAIN, **written}.items())
    assert not write_in_place(table_of(PLAIN_VALUES, OTHER), tmp_path / "year.parquet", options)
    assert not (tmp_path / "year.parquet").exists()


def test_a_system_that_writes_one_piece_at_a_time_leaves_files_to_arrow(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "writev")
    assert not write_in_place(table_of(PLAIN_VALUES, OTHER), tmp_path / "year.parquet", OPTIONS)
