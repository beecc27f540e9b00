"""Files that are read together, on one core or on two, are what each of them is alone."""

import dataclasses
import os

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant_pipeline.market.sources.files import FilesMarketParameters, reading_together
from quant_pipeline.market.sources.files.parsing import read_file
from quant_pipeline.market.sources.files.reading_cache import ReadingCache
from quant_pipeline.market.sources.files.reading_together import TOGETHER, read_files
from tests.helpers.bar_texts import HEADER, rows, texts

AUTO = FilesMarketParameters()
NAMES = ("AAA", "bbb", "CC.US", "sh600000")


def require_same(one, other):
    for field in dataclasses.fields(one):
        if field.name != "rows":
            assert getattr(one, field.name) == getattr(other, field.name), field.name
    assert (one.rows is None) == (other.rows is None)
    if one.rows is not None:
        pd.testing.assert_frame_equal(one.rows, other.rows, check_exact=True)


def write(folder, contents):
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for number, content in enumerate(contents):
        file = folder / f"{NAMES[number % len(NAMES)]}{number // len(NAMES) or ''}.csv"
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        files.append(file)
    return files


def require_alone_and_together(files, folder, options=AUTO):
    for reading, file in zip(read_files(files, folder, options), files, strict=True):
        require_same(reading, read_file(file, folder, options))


PLAIN = "\n".join([HEADER, *rows()]) + "\n"


@given(drawn=st.lists(texts(), min_size=2, max_size=4))
def test_texts_read_together_are_what_each_is_alone(tmp_path_factory, drawn):
    folder = tmp_path_factory.mktemp("together")
    require_alone_and_together(write(folder, [text for text, _ in drawn]), folder)


ODD = {
    "of another header": PLAIN.replace(HEADER, HEADER.replace("timestamp", "date"), 1),
    "quoted header": PLAIN.replace("timestamp", '"timestamp"', 1),
    "title before the header": f"Prices of a vendor\n{PLAIN}",
    "in another order": "\n".join([HEADER, *rows()[::-1]]),
    "without a last end of line": PLAIN[:-1],
    "of Windows": PLAIN.replace("\n", "\r\n"),
    "of a mark of bytes": b"\xef\xbb\xbf" + PLAIN.encode(),
    "of UTF-16": PLAIN.encode("utf-16"),
    "of compact dates": "\n".join([HEADER, *rows("%Y%m%d")]) + "\n",
    "of a negative volume": PLAIN.replace(",1003,", ",-1003,", 1),
    "of a negative price": PLAIN.replace(",99.5,", ",-99.5,", 1),
    "of an empty cell": PLAIN.replace(",99.5,", ",,", 1),
    "of a blank line": f"{PLAIN}\n",
    "of a header alone": f"{HEADER}\n",
    "of a header without an end": HEADER,
    "empty": "",
    "a web page": "<html>",
    "of another column more": "\n".join([f"{HEADER},ticker", *(f"{line},ZZZ" for line in rows())]),
    "of a currency": "\n".join([f"{HEADER},currency", *(f"{line},USD" for line in rows())]),
    "packed by name": b"PK\x03\x04" + PLAIN.encode(),
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_a_file_unlike_the_others_changes_none_of_them(tmp_path, odd):
    require_alone_and_together(write(tmp_path, [PLAIN, odd, PLAIN, odd]), tmp_path)


def test_folders_that_say_something_of_their_files_are_heard(tmp_path):
    files = write(tmp_path / "ticker=ZZZ", [PLAIN, PLAIN]) + write(tmp_path / "plain", [PLAIN, PLAIN])
    require_alone_and_together(files, tmp_path)


@pytest.mark.parametrize(
    "options", [{"decimal": "."}, {"separator": ","}, {"volume_unit": 100}, {"columns": {"close": "adjusted_close"}}]
)
def test_options_mean_the_same(tmp_path, options):
    files = write(tmp_path, [PLAIN, PLAIN])
    require_alone_and_together(files, tmp_path, FilesMarketParameters(**options))


def test_plain_files_are_parsed_at_once(tmp_path, monkeypatch):
    files = write(tmp_path, [PLAIN] * 5)
    monkeypatch.setattr(reading_together, "read_file", None)  # None of them is read alone.
    assert [len(reading.rows) for reading in read_files(files, tmp_path, AUTO)] == [len(rows())] * 5


@pytest.mark.parametrize("keeps", [False, True])
def test_all_files_are_the_same_on_one_core_and_on_two(tmp_path, monkeypatch, keeps):
    contents = [PLAIN.replace("99.5", f"{90 + number / 8}") for number in range(2 * TOGETHER + 3)]
    contents[20] = ODD["of an empty cell"]
    files = write(tmp_path / "market", contents)
    for cores in ({0}, {0, 1}):
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid, cores=cores: cores, raising=False)
        cache = ReadingCache(tmp_path / f"kept {len(cores)}" if keeps else None)
        for _ in range(2):
            readings = list(cache.read_all(files, tmp_path / "market", AUTO))
            assert [reading.file for reading in readings] == [file.name for file in files]
            for reading, file in zip(readings, files, strict=True):
                pd.testing.assert_frame_equal(reading.rows, read_file(file, tmp_path / "market", AUTO).rows)
