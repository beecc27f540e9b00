"""Plain text files are read with types, and of grown ones the new lines alone, with the values of a whole reading."""

import dataclasses
import os

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given

from quant_pipeline.common.checked_arrow import open_checked, write_checked
from quant_pipeline.market.sources.files import FilesMarketParameters
from quant_pipeline.market.sources.files.parsing import read_file
from quant_pipeline.market.sources.files.reading_cache import ReadingCache
from tests.helpers.bar_texts import DATES, HEADER, rows, texts

AUTO = FilesMarketParameters()


def whole(file, options=AUTO):
    return read_file(file, file.parent, options)


def require_same(one, other):
    for field in dataclasses.fields(one):
        if field.name in ("held", "header", "head"):
            continue
        assert getattr(one, field.name) == getattr(other, field.name), field.name
    assert (one.rows is None) == (other.rows is None)
    if one.rows is not None:
        pd.testing.assert_frame_equal(one.rows, other.rows, check_exact=True)


def put(file, text, changed):
    """Write a file, with a time of change of its own."""
    file.write_bytes(text.encode())
    os.utime(file, ns=(changed, changed))


@given(drawn=texts())
def test_typed_and_grown_readings_equal_those_of_the_whole_text(tmp_path_factory, drawn):
    text, cut = drawn
    folder = tmp_path_factory.mktemp("grown")
    file, kept = folder / "AAA.csv", ReadingCache(folder / ".cache")
    put(file, text[:cut], 10**18)
    first = kept.read(file, folder, AUTO)
    require_same(first, whole(file))
    put(file, text, 2 * 10**18)
    expected = read_file(file, folder, AUTO, as_text=True)
    require_same(whole(file), expected)
    require_same(kept.read(file, folder, AUTO), expected)
    require_same(kept.read(file, folder, AUTO), expected)


def tampered(cache):
    """Change a close in the one entry of a cache: whatever comes from it shows the change."""
    (entry,) = cache.iterdir()
    with pa.OSFile(str(entry)) as source:
        stored = open_checked(source).read_all()
    table = stored.to_pandas()
    table.loc[3, "close"] = 77.0
    write_checked(entry, pa.Table.from_pandas(table, schema=stored.schema, preserve_index=False))


def grow(tmp_path, first, second):
    """Read a file, change its entry, write the file again, and return the closes of the fourth row."""
    file, kept = tmp_path / "AAA.csv", ReadingCache(tmp_path / ".cache")
    put(file, first, 10**18)
    kept.read(file, tmp_path, AUTO)
    tampered(tmp_path / ".cache")
    put(file, second, 2 * 10**18)
    read = kept.read(file, tmp_path, AUTO)
    return read.rows["close"].iloc[3], read


@pytest.mark.parametrize("form", DATES[:2])
@pytest.mark.parametrize("cut", [0, 1, 3])
def test_of_a_grown_file_the_new_lines_alone_are_read(tmp_path, form, cut):
    text = "\n".join([HEADER, *rows(form)]) + "\n"
    end = text.index("\n", len(text) - 300) + 1
    close, read = grow(tmp_path, text[: end - cut], text)
    assert close == 77.0
    read.rows.loc[3, "close"] = 100.1 + 3 / 3
    require_same(read, whole(tmp_path / "AAA.csv"))


def test_a_file_that_was_only_touched_is_not_read_again(tmp_path):
    text = "\n".join([HEADER, *rows()]) + "\n"
    assert grow(tmp_path, text, text)[0] == 77.0


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda text: text.replace("2024-01-04", "2024-01-06", 1), "corrected history"),
        (lambda text: text[:-200], "a file that has become shorter"),
        (lambda text: text + "2024-03-01,1,1,1,,1,1,0,1\n", "an empty cell"),
        (lambda text: text + "2024-03-01,1,1,1,1,1,1,0\n", "a line of other cells"),
        (lambda text: text + "2024-03-01,1,1,1,1,1,-1,0,1\n", "a negative volume"),
        (lambda text: text + "20240301,1,1,1,1,1,1,0,1\n", "a date of another form"),
    ],
)
def test_what_says_more_than_new_rows_has_the_file_read_whole(tmp_path, change, why):
    text = "\n".join([HEADER, *rows()]) + "\n"
    close, read = grow(tmp_path, text, change(text))
    assert close != 77.0, why
    require_same(read, whole(tmp_path / "AAA.csv"))


def test_short_files_are_read_whole_because_more_lines_may_show_another_form(tmp_path):
    text = "\n".join([HEADER, *rows()]) + "\n"
    lines = text.splitlines(keepends=True)
    assert grow(tmp_path, "".join(lines[:20]), text)[0] != 77.0


def test_links_of_two_names_to_one_file_are_two_instruments(tmp_path):
    (tmp_path / "in").mkdir()
    put(tmp_path / "DA-AAPL.csv", "\n".join([HEADER, *rows()]), 10**18)
    kept = ReadingCache(tmp_path / ".cache")
    for name in ("AAPL", "MSFT"):
        link = tmp_path / "in" / f"{name}.csv"
        link.symlink_to(tmp_path / "DA-AAPL.csv")
        assert kept.read(link, tmp_path / "in", AUTO).rows["instrument"].unique().tolist() == [name]


def test_entries_of_files_that_are_gone_are_removed_and_damaged_ones_read_again(tmp_path):
    cache = tmp_path / ".cache"
    for name in ("AAA", "BBB"):
        put(tmp_path / f"{name}.csv", "\n".join([HEADER, *rows()]), 10**18)
        ReadingCache(cache).read(tmp_path / f"{name}.csv", tmp_path, AUTO)
    (cache / "facts.json").write_text("{}")
    again = ReadingCache(cache)
    again.read(tmp_path / "AAA.csv", tmp_path, AUTO)
    again.prune()
    assert sorted(entry.suffix for entry in cache.iterdir()) == [".arrow", ".json"]
    (entry,) = cache.glob("*.arrow")
    entry.write_bytes(entry.read_bytes()[:200])
    require_same(again.read(tmp_path / "AAA.csv", tmp_path, AUTO), whole(tmp_path / "AAA.csv"))
