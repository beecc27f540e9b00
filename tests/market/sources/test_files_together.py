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
from quant_pipeline.market.sources.files.reading_together import TOGETHER, read_together
from quant_pipeline.market.sources.files.rooms import Rooms
from tests.helpers.bar_texts import HEADER, rows, texts

AUTO = FilesMarketParameters()
NAMES = ("AAA", "bbb", "CC.US", "sh600000")


def require_same(one, other, but=()):
    for field in dataclasses.fields(one):
        if field.name not in ("held", *but):
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


def read_files(files, folder, options=AUTO):
    return list(ReadingCache(None).read_all(files, folder, options))


def require_alone_and_together(files, folder, options=AUTO):
    by_kernels = read_together(files, folder, options, rooms=Rooms())
    for reading, file in zip(read_files(files, folder, options), files, strict=True):
        alone = read_file(file, folder, options)
        require_same(reading, alone, but=["head"])
        if file in by_kernels:
            require_same(by_kernels[file], alone, but=["head"])
        # Texts have no head: what was added to them is not read alone.
        require_same(alone, read_file(file, folder, options, as_text=True), but=["head"])


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


NO_ENDS = "\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
"""Signs at which `str.splitlines` cuts, and no reader of tables."""
QUOTED = PLAIN.replace("99.5", '"99.5"', 1)


@pytest.mark.parametrize("text", [PLAIN, QUOTED, PLAIN + "2024-05-06,1,1,1,1,1,1,0,1,9\n"])
@pytest.mark.parametrize(
    ("title", "n_lines"),
    [*((f"Prices{sign} of a vendor\n{sign}", 1) for sign in NO_ENDS), ('"Prices\nof a vendor"\n', 2), ("a\r\nb\n", 2)],
)
def test_no_bar_below_a_title_is_lost_whatever_signs_it_has(tmp_path, text, title, n_lines):
    files = write(tmp_path, [title + text] * 2)
    require_alone_and_together(files, tmp_path)
    for reading in read_files(files, tmp_path):
        assert reading.rows["line"].tolist() == list(range(n_lines + 2, n_lines + 2 + len(rows())))


def test_a_quotation_mark_in_a_title_takes_no_header_and_moves_no_column(tmp_path):
    lines = [",".join(f'"{name}"' for name in HEADER.split(",")), *rows()]
    for title in ('Prices, "of a vendor', '"Prices', 'Prices, "of a" vendor', '5" of, "3"'):
        files = write(tmp_path, [f"{title}\n" + "".join(f"{line},\n" for line in lines)] * 2)
        require_alone_and_together(files, tmp_path)
        for reading in read_files(files, tmp_path, AUTO):
            assert reading.rows["close"].tolist() == [float(line.split(",")[4]) for line in rows()]
            assert reading.rows["line"].iloc[0] == 3


@pytest.mark.parametrize(
    ("title", "said", "adjusted"),
    [
        ("", "", "none"),
        ("Prices\n", "Prices", "none"),
        ("600000 (hfq)\n", "600000 (hfq)", "splits_and_dividends"),
        ('"600000\n(hfq)"\n\n', '"600000 (hfq)" ', "splits_and_dividends"),
    ],
)
def test_a_header_of_several_lines_is_no_title(tmp_path, title, said, adjusted):
    header = '日期,开盘,最高,最低,收盘,收盘(后复权),"成交量\n(股)"'
    cells = (line.split(",") for line in rows())
    lines = [",".join([*line[:5], line[4], line[6]]) for line in cells]
    files = write(tmp_path, ["\n".join([title + header, *lines]) + "\n"] * 2)
    options = FilesMarketParameters(ignored_columns=["收盘(后复权)"])
    require_alone_and_together(files, tmp_path, options)
    for reading in read_files(files, tmp_path, options):
        assert (reading.title, reading.adjusted) == (said, adjusted)
        assert reading.rows["line"].iloc[0] == title.count("\n") + 3


def test_lines_of_an_old_mac_are_read_one_by_one_where_one_is_damaged(tmp_path):
    (file,) = write(tmp_path, [(PLAIN + "2024-05-06,1,1,1,1,1,1,0,1,9\n").replace("\n", "\r")])
    reading = read_file(file, tmp_path, AUTO)
    assert [problem.row for problem in reading.problems] == [len(rows()) + 2]
    assert len(reading.rows) == len(rows())


@pytest.mark.parametrize("text", [PLAIN, QUOTED, ODD["of an empty cell"]], ids=["plain", "quoted", "odd"])
@pytest.mark.parametrize("blank", ["\n", "\r\n", " \n\t\n", "\n" * 40, ",,,,,,,,\n\n"])
def test_blank_lines_below_the_header_take_no_bar(tmp_path, text, blank):
    text = text.replace("\n", f"\n{blank}", 1).replace("2024-01-10,", f"{blank}2024-01-10,")
    files = write(tmp_path, [text] * 2)
    require_alone_and_together(files, tmp_path)
    for reading in read_files(files, tmp_path):
        assert reading.rows["line"].iloc[0] == blank.count("\n") + 2
        assert len(reading.rows) == len(rows())


@pytest.mark.parametrize("end", ["\r\r\n", "\r\n\r\n", "\r\r", "\n\n", "\n\r"])
def test_lines_may_end_twice(tmp_path, end):
    files = write(tmp_path, [PLAIN.replace("\n", end)] * 2)
    require_alone_and_together(files, tmp_path)
    for reading in read_files(files, tmp_path):
        assert len(reading.rows) == len(rows())


WITH_NAMES = PLAIN.replace("\n", ",AAA\n").replace("split_coefficient,AAA", "split_coefficient,symbol")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_an_end_of_another_kind_cuts_no_name(tmp_path, end):
    odd = "\n" if end == "\r" else "\r"
    text = WITH_NAMES.replace("\n", end).replace(f"AAA{end}2024-01-10", f"A{odd}AA{end}2024-01-10")
    files = write(tmp_path, [text] * 2)
    require_alone_and_together(files, tmp_path)
    for reading in read_files(files, tmp_path):
        assert [(problem.row, problem.message[:40]) for problem in reading.problems] == [
            (7, "is cut by an end of line that the other "), (8, "is cut by an end of line that the other ")
        ]  # fmt: skip
        assert set(reading.rows["instrument"]) == {"AAA"}
        assert len(reading.rows) == len(rows()) - 1


@pytest.mark.parametrize("end", ["\r", "\r\n"])
def test_an_end_of_another_kind_may_stand_in_a_quoted_cell(tmp_path, end):
    text = f"{HEADER},note\n" + "".join(f'{line},"of a{end}vendor"\n' for line in rows())
    for content in (text, text.replace(end, "|").replace("\n", "\r").replace("|", "\n")):
        (file,) = write(tmp_path, [content])
        reading = read_file(file, tmp_path, AUTO)
        assert not reading.problems
        assert len(reading.rows) == len(rows())


@pytest.mark.parametrize("row", ['"{}"', "Source: a vendor"])
def test_a_file_of_which_no_row_is_a_bar_is_named(tmp_path, row):
    text = "\n".join([HEADER, *(row.format(line) for line in rows())]) + "\n"
    files = write(tmp_path, [text, PLAIN])
    require_alone_and_together(files, tmp_path)
    wrong, right = read_files(files, tmp_path)
    assert wrong.broken.startswith("has a header and no row that is a bar; row 2: '")
    assert len(right.rows) == len(rows())


@pytest.mark.parametrize("line", ["-", "----", "====", "..."])
def test_a_line_of_dashes_below_the_header_is_no_line_of_instruments(tmp_path, line):
    header = "date,open,high,low,close,volume"
    lines = [",".join([*each.split(",")[:5], "100"]) for each in rows()]
    (file,) = write(tmp_path, ["\n".join([header, ",".join([line] * 6), *lines])])
    reading = read_file(file, tmp_path, AUTO)
    assert set(reading.rows["instrument"]) == {"AAA"}
    assert reading.rows["date"].notna().sum() == len(rows())


@pytest.mark.parametrize("name", ["timestamp", "Timestamp"])
@pytest.mark.parametrize("of", ["alike", "different"])
def test_a_second_column_of_dates_is_refused_where_it_is_another(tmp_path, name, of):
    days = [line.split(",")[0] if of == "alike" else "2024-01-02" for line in rows()]
    lines = [f"{HEADER},{name}", *(f"{line},{day}" for line, day in zip(rows(), days, strict=True))]
    files = write(tmp_path, ["\n".join(lines)] * 2)
    require_alone_and_together(files, tmp_path)
    for reading in read_files(files, tmp_path):
        said = [problem.message for problem in reading.problems]
        assert said == [] if of == "alike" else "has two columns for date, 'timestamp' and '" in said[0]


@pytest.mark.parametrize(
    ("place", "column", "end", "final"),
    [
        (1, 0, "\n", True), (1, 9, "\r\n", True), (20, 4, "\r", True), (20, 9, "\n", False),
        (len(rows()) - 1, 0, "\n", True), (len(rows()) - 1, 4, "\n", False), (len(rows()) - 1, 9, "\r", False),
    ],
)  # fmt: skip
def test_a_quotation_mark_that_is_not_closed_takes_no_row_below(tmp_path, place, column, end, final):
    lines = [f"{line},of a vendor" for line in rows()]
    cells = lines[place].split(",")
    lines[place] = ",".join([*cells[:column], f'"{cells[column]}', *cells[column + 1 :]])
    files = write(tmp_path, [end.join([f"{HEADER},note", *lines]) + end * final] * 2)
    require_alone_and_together(files, tmp_path)
    for reading in read_files(files, tmp_path):
        (problem,) = reading.problems
        assert problem.row == place + 2
        assert problem.message.startswith("has a quotation mark that is not closed: '2024-")
        assert len(reading.rows) == len(rows()) - 1


def test_two_marks_that_are_not_closed_take_no_row_between(tmp_path):
    lines = [f'{line},"of a vendor' if place in (3, 30) else f"{line},x" for place, line in enumerate(rows())]
    (file,) = write(tmp_path, ["\n".join([f"{HEADER},note", *lines])])
    reading = read_file(file, tmp_path, AUTO)
    assert [problem.row for problem in reading.problems] == [5, 32]
    assert len(reading.rows) == len(rows()) - 2


def test_a_file_of_which_no_row_fits_its_header_says_which_does_not(tmp_path):
    (file,) = write(tmp_path, ["\n".join([HEADER, *(f"{line},1" for line in rows())])])
    reading = read_file(file, tmp_path, AUTO)
    assert "no rows that can be read; row 2: more cells than the header has columns: '2024-01-02," in reading.broken


@pytest.mark.parametrize("place", [1, 29, 30])
def test_a_line_of_more_names_is_the_header_beneath_a_known_one(tmp_path, place):
    own = ",".join(f"x{number}" for number in range(10))
    lines = [f"{HEADER},{own}", *(f"{line},1,2,3,4,5,6,7,8,9,0" for line in rows())]
    named = f"{rows()[0]},date,open,high,low,close,volume,split,dividend,adj close,ticker"
    contents = ["\n".join(each) + "\n" for each in (lines, [*lines[:place], named, *lines[place:]])]
    files = write(tmp_path, [contents[0], contents[1], contents[0]])
    require_alone_and_together(files, tmp_path)
    assert ("ticker" in read_files(files, tmp_path)[1].header) == (place < 30)


FIELDS = ("Open", "High", "Low", "Close", "Volume")
WIDE = {
    "two lines": "\n".join([",".join(["Price", *FIELDS, *FIELDS]), ",".join(["Ticker", *["AAA"] * 5, *["BBB"] * 5])]),
    "three lines": "\n".join(
        [",".join(["Price", *FIELDS, *FIELDS]), ",".join(["Ticker", *["AAA"] * 5, *["BBB"] * 5]), "Date" + "," * 10]
    ),
    "merged": ",".join(["", "AAA", *[""] * 4, "BBB", *[""] * 4]) + "\n" + ",".join(["Date", *FIELDS, *FIELDS]),
    "one line": ",".join(["Date", *(f"{name}_{field}" for name in ("AAA", "BBB") for field in FIELDS)]),
}
SHAPES = {
    "as it is": lambda lines: "\n".join(lines),
    "padded": lambda lines: "\n".join(f"{line},,," for line in lines),
    "lines that end twice": lambda lines: "\r\r\n".join(lines),
    "a title": lambda lines: "\n".join(["Prices", *lines]),
    "a padded title": lambda lines: "\n".join(["Prices" + "," * 13, "," * 13, *(f"{line},,," for line in lines)]),
    "blank lines": lambda lines: "\n\n" + "\n\n".join(lines),
}


@pytest.mark.parametrize("header", WIDE.values(), ids=WIDE)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_columns_of_several_instruments_are_found_whatever_stands_around_them(tmp_path, header, shape):
    cells = [",".join([*line.split(",")[1:5], line.split(",")[6]]) for line in rows()]
    days = [line.split(",")[0] for line in rows()]
    lines = [*header.split("\n"), *(f"{day},{cell},{cell}" for day, cell in zip(days, cells, strict=True))]
    (file,) = write(tmp_path, [shape(lines)])
    reading = read_file(file, tmp_path, AUTO)
    assert not reading.problems
    assert reading.rows["instrument"].tolist() == ["AAA"] * len(rows()) + ["BBB"] * len(rows())
    assert reading.rows["date"].dt.strftime("%Y-%m-%d").tolist() == days * 2
    assert reading.rows["close"].tolist() == [float(line.split(",")[4]) for line in rows()] * 2


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
