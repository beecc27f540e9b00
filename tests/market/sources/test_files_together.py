"""Files that are read together, on one core or on two, are what each of them is alone."""

import os

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant_pipeline.market.sources.files import FilesMarketParameters, reading_together
from quant_pipeline.market.sources.files.parsing import read_file
from quant_pipeline.market.sources.files.reading_cache import ReadingCache
from quant_pipeline.market.sources.files.reading_together import TOGETHER, read_together
from tests.helpers.bar_texts import HEADER, rows, texts
from tests.helpers.files_together import AUTO, PLAIN, read_files, require_alone_and_together, require_same, write


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
    "of a date in another age": PLAIN.replace("2024-01-10", "9999-01-10", 1),
    "of a negative volume": PLAIN.replace(",1003,", ",-1003,", 1),
    "of a negative price": PLAIN.replace(",99.5,", ",-99.5,", 1),
    "of an empty cell": PLAIN.replace(",99.5,", ",,", 1),
    "of a blank line": f"{PLAIN}\n",
    "of columns of one name": "\n".join([f"{HEADER},x.1,x,x", *(f"{line},1,2,3" for line in rows())]) + "\n",
    "of a header alone": f"{HEADER}\n",
    "of a header without an end": HEADER,
    "empty": "",
    "a web page": "<html>",
    "of another column more": "\n".join([f"{HEADER},ticker", *(f"{line},ZZZ" for line in rows())]),
    "of a currency": "\n".join([f"{HEADER},currency", *(f"{line},USD" for line in rows())]),
    "packed by name": b"PK\x03\x04" + PLAIN.encode(),
    "of half a last end of line": PLAIN[:-1] + "\r",
    "of a cell without an end": PLAIN.replace("timestamp", "x" * 140_000, 1),
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_a_file_unlike_the_others_changes_none_of_them(tmp_path, odd):
    require_alone_and_together(write(tmp_path, [PLAIN, odd, PLAIN, odd]), tmp_path)


DAYS = pd.bdate_range("2024-01-01", periods=40)


def databento(price):
    """Return a text of Databento, of which all prices together say whether they are billionths."""
    lines = (
        f"{day:%Y-%m-%d},35,1,1,{price(100 + k)},{price(101 + k)},{price(99)},{price(100)},{k},AAA"
        for k, day in enumerate(DAYS)
    )
    return "\n".join(["ts_event,rtype,publisher_id,instrument_id,open,high,low,close,volume,symbol", *lines]) + "\n"


def with_times(first, name=""):
    """Return a text without a column of that name: a column without one, and times of the day after."""
    lines = (f"{first(day, k)},{day + pd.Timedelta(days=1):%Y-%m-%d},9,9,9,9,{k}" for k, day in enumerate(DAYS))
    return "\n".join([f"{name},time,open,high,low,close,volume", *lines]) + "\n"


BY_CONTENT = {
    "billionths": databento(lambda price: int(price * 1e9)),
    "decimals": databento(lambda price: price + 0.25),
    "whole numbers": databento(int),
    "large whole numbers": databento(lambda price: int(price * 1e5)),
    "dates without a name": with_times(lambda day, k: f"{day:%Y-%m-%d}"),
    "compact dates without a name": with_times(lambda day, k: f"{day:%Y%m%d}", "index"),
    "numbers without a name": with_times(lambda day, k: k),
    "codes or names": "\n".join([f"{HEADER},name", *(f"{line},ZZZ" for line in rows())]) + "\n",
    "plain": PLAIN,
    "plain of another price": PLAIN.replace("99.5", "98.5"),
}
FOLDERS = ("", "", "", "split=train", "split=2", "dividend=x", "vwap=1", "amount=3", "ticker=ZZZ", "date=2024-01-05")


@given(drawn=st.lists(st.tuples(st.sampled_from(sorted(BY_CONTENT)), st.sampled_from(FOLDERS)), min_size=2, max_size=6))
def test_what_is_judged_by_values_is_judged_of_each_file(tmp_path_factory, drawn):
    folder = tmp_path_factory.mktemp("judged")
    files = []
    for number, (name, inner) in enumerate(drawn):
        files += write(folder / inner / f"part {number}", [BY_CONTENT[name]])
    require_alone_and_together(files, folder)


@pytest.mark.parametrize(
    ("theirs", "ours"), [("x,x", ["x", "x.1"]), ("x.1,x,x", ["x.1", "x", "x.2"]), ("x,x,x.1", ["x", "x.2", "x.1"])]
)
def test_columns_of_one_name_are_told_apart_by_names_that_no_other_has(tmp_path, theirs, ours):
    more = ",1" * len(ours)
    text = "\n".join([f"{HEADER},{theirs}", *(line + more for line in rows())]) + "\n"
    for reading in read_files(write(tmp_path, [text] * 2), tmp_path, AUTO):
        assert list(reading.header) == [*HEADER.split(","), *ours]
        assert len(reading.rows) == len(rows())


def test_what_a_group_cannot_be_read_for_stops_none_of_its_files(tmp_path, monkeypatch):
    def fail(*arguments):
        raise TypeError("an oddity that nothing foresees")

    files = write(tmp_path, [PLAIN] * 3)
    monkeypatch.setattr(reading_together, "plain_cells", fail)
    assert [len(reading.rows) for reading in read_files(files, tmp_path, AUTO)] == [len(rows())] * 3


def test_decimals_beside_billionths_stay_what_they_are(tmp_path):
    files = write(tmp_path, [BY_CONTENT["billionths"], BY_CONTENT["whole numbers"], BY_CONTENT["billionths"]])
    for reading in read_files(files, tmp_path):
        assert set(reading.rows["close"]) == {100.0}, reading.file


def test_a_column_without_a_name_that_holds_dates_comes_before_times(tmp_path):
    (reading,) = read_files(write(tmp_path, [BY_CONTENT["dates without a name"]]), tmp_path)
    assert reading.fields[0] == "date"
    assert (reading.rows["date"].dt.normalize() == DAYS).all()


def test_a_folder_that_is_no_split_stops_no_other(tmp_path):
    files = write(tmp_path / "split=train", [PLAIN.replace("split_coefficient", "x")]) + write(tmp_path, [PLAIN])
    odd, good = read_files(files, tmp_path)
    assert "is no split ratio" in odd.problems[0].message
    assert len(good.rows) == len(rows())


def test_no_more_bytes_are_held_together_than_are_said(tmp_path, monkeypatch):
    monkeypatch.setattr(reading_together, "LARGEST_GROUP", 2 * len(PLAIN) + 1)
    held = []
    parse = reading_together.plain_cells
    monkeypatch.setattr(
        reading_together, "plain_cells", lambda text, *more: held.append(len(text)) or parse(text, *more)
    )
    files = write(tmp_path, [PLAIN, PLAIN, 3 * PLAIN, PLAIN, PLAIN, PLAIN])
    require_alone_and_together(files, tmp_path)
    assert len(held) == 2
    assert max(held) <= 2 * len(PLAIN)


def test_folders_that_say_something_of_their_files_are_heard(tmp_path):
    files = write(tmp_path / "ticker=ZZZ", [PLAIN, PLAIN]) + write(tmp_path / "plain", [PLAIN, PLAIN])
    require_alone_and_together(files, tmp_path)


@pytest.mark.parametrize(
    "options", [{"decimal": "."}, {"separator": ","}, {"volume_unit": 100}, {"columns": {"close": "adjusted_close"}}]
)
def test_options_mean_the_same(tmp_path, options):
    files = write(tmp_path, [PLAIN, PLAIN])
    require_alone_and_together(files, tmp_path, FilesMarketParameters(**options))


def test_plain_files_are_parsed_at_once(tmp_path):
    files = write(tmp_path, [PLAIN] * 5)
    assert [len(reading.rows) for reading in read_together(files, tmp_path, AUTO).values()] == [len(rows())] * 5


def test_one_odd_file_lets_most_of_its_group_be_parsed_at_once(tmp_path):
    files = write(tmp_path, [PLAIN] * 5 + [PLAIN.replace(",99.5,", ",,", 1)] + [PLAIN] * 2)
    assert list(read_together(files, tmp_path, AUTO)) == files[:4] + files[6:]


def test_of_files_that_are_parsed_at_once_nothing_is_kept_and_corrections_are_seen(tmp_path):
    market, kept = tmp_path / "market", tmp_path / "kept"
    odd = PLAIN.replace(",99.5,", ",,", 1)
    files = write(market, [PLAIN, PLAIN, odd, PLAIN])
    list(ReadingCache(kept).read_all(files, market, AUTO))
    assert len(list(kept.iterdir())) == 2  # The odd one, and the one that no other plain one is beside.
    write(market, [PLAIN, PLAIN.replace("99.5", "98.5", 3), odd.replace("99.5", "97.5", 2), PLAIN])
    for reading, file in zip(ReadingCache(kept).read_all(files, market, AUTO), files, strict=True):
        require_same(reading, read_file(file, market, AUTO), but=["head", "header"])


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
