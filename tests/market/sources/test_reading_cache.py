"""With a cache, files are what they are without one, whatever happens to a file, to an entry or to the cache."""

import os
import shutil
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from quant_pipeline.common import text_lines
from quant_pipeline.common.checked_arrow import open_checked, write_checked
from quant_pipeline.market import chinese_codes
from quant_pipeline.market.sources.files import FilesMarketParameters, instrument_names, parsing, reading_cache
from quant_pipeline.market.sources.files.reading_cache import ReadingCache
from tests.helpers.bar_texts import HEADER, rows

AUTO = FilesMarketParameters()
TEXT = "\n".join([HEADER, *rows()]).replace(",1003,", ',"1003",', 1) + "\n"
"""A text that is not plain: files that can be read together have no entry."""


@pytest.fixture
def files(tmp_path):
    folder = tmp_path / "market"
    folder.mkdir()
    made = [folder / f"{name}.csv" for name in ("AAA", "BBB", "CCC")]
    for file in made:
        file.write_text(TEXT)
    return made


def read(files, cache):
    kept = ReadingCache(cache)
    readings = list(kept.read_all(files, files[0].parent, AUTO))
    kept.prune()
    return readings


def require_as_without_a_cache(files, cache):
    for one, other in zip(read(files, cache), read(files, None), strict=True):
        assert (one.file, one.broken, one.problems) == (other.file, other.broken, other.problems)
        assert (one.rows is None) == (other.rows is None)
        if one.rows is not None:
            pd.testing.assert_frame_equal(one.rows, other.rows, check_exact=True)


def become_a_folder(file):
    file.unlink()
    file.mkdir()
    for number in range(200):
        (file / f"so that it is large {number}").touch()


def lead_to_itself(file):
    file.unlink()
    file.symlink_to(file)


@pytest.mark.parametrize("change", [os.remove, become_a_folder, lead_to_itself])
@pytest.mark.parametrize("is_known", [False, True])
def test_a_file_that_cannot_be_read_any_more_is_named_and_stops_no_other(tmp_path, files, change, is_known):
    if is_known:
        read(files, tmp_path / "cache")
    change(files[1])
    require_as_without_a_cache(files, tmp_path / "cache")
    assert "cannot be read" in read(files, tmp_path / "cache")[1].broken


def with_other_facts(entry, facts):
    with pa.OSFile(str(entry)) as source:
        table = open_checked(source).read_all()
    write_checked(entry, table.replace_schema_metadata(table.schema.metadata | {b"reading": facts}))


def with_other_bytes(entry, change):
    entry.write_bytes(change(entry.read_bytes()))


def become_unwritable(entry):
    entry.unlink()
    (entry / "a folder").mkdir(parents=True)


DAMAGE = {
    "empty": lambda entry: with_other_bytes(entry, lambda content: b""),
    "cut off": lambda entry: with_other_bytes(entry, lambda content: content[:-1]),
    "half of it zero": lambda entry: with_other_bytes(
        entry, lambda content: content[: len(content) // 4] + bytes(len(content) // 2) + content[-len(content) // 4 :]
    ),
    "every tenth byte other": lambda entry: with_other_bytes(
        entry, lambda content: bytes(byte ^ (255 * (place % 10 == 0)) for place, byte in enumerate(content))
    ),
    "no facts": lambda entry: with_other_facts(entry, b"{}"),
    "facts that cannot be read": lambda entry: with_other_facts(entry, b"{\0"),
    "facts of another kind": lambda entry: with_other_facts(entry, b"[]"),
    "a folder": become_unwritable,
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_entry_is_none(tmp_path, files, damage):
    read(files, tmp_path / "cache")
    for entry in (tmp_path / "cache").iterdir():
        damage(entry)
    require_as_without_a_cache(files, tmp_path / "cache")


def test_a_cache_that_cannot_be_written_is_said_once(tmp_path, files, caplog):
    (tmp_path / "cache").write_text("a file")
    require_as_without_a_cache(files, tmp_path / "cache")
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "files are read again the next time" in caplog.text


def test_a_correction_of_the_same_length_that_sets_the_time_back_is_read(tmp_path, files):
    cache = tmp_path / "cache"
    read(files, cache)
    status = files[0].stat()
    corrected = TEXT.replace(",99.5,", ",98.5,")
    assert len(corrected) == len(TEXT)
    files[0].write_text(corrected)
    os.utime(files[0], ns=(status.st_atime_ns, status.st_mtime_ns))
    other = tmp_path / "other.csv"
    other.write_text(corrected)
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    shutil.copy2(other, files[1])
    require_as_without_a_cache(files, cache)
    assert [set(reading.rows["low"]) for reading in read(files, cache)] == [{98.5}, {98.5}, {99.5}]


@pytest.fixture
def forget_versions():
    reading_cache.versions_of_reading.cache_clear()
    yield
    reading_cache.versions_of_reading.cache_clear()


@pytest.mark.parametrize("changed", ["digest_files", "version"])
def test_entries_of_other_code_or_libraries_are_not_used(tmp_path, files, forget_versions, monkeypatch, changed):
    cache = tmp_path / "cache"
    read(files, cache)
    before = set(cache.iterdir())
    reading_cache.versions_of_reading.cache_clear()
    monkeypatch.setattr(reading_cache, changed, lambda of: "of another one")
    require_as_without_a_cache(files, cache)
    after = set(cache.iterdir())
    assert len(after) == len(before) == len(files)
    assert after.isdisjoint(before)


def test_entries_are_of_every_module_that_reads_files(forget_versions, monkeypatch):
    digested = []
    monkeypatch.setattr(reading_cache, "digest_files", digested.extend)
    reading_cache.versions_of_reading()
    modules = (chinese_codes, instrument_names, parsing, reading_cache, text_lines)
    assert {Path(module.__file__) for module in modules} <= set(digested)
