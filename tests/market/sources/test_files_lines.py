"""Titles, headers, ends of lines and quotation marks of market files: no bar is lost and no cell moves."""

import pytest

from quant_pipeline.market.sources.files import FilesMarketParameters
from quant_pipeline.market.sources.files.parsing import read_file
from tests.helpers.bar_texts import HEADER, rows
from tests.helpers.files_together import AUTO, PLAIN, read_files, require_alone_and_together, write

NO_ENDS = "\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
"""Signs at which `str.splitlines` cuts, and no reader of tables."""
QUOTED = PLAIN.replace("99.5", '"99.5"', 1)
EMPTY_CELL = PLAIN.replace(",99.5,", ",,", 1)


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


@pytest.mark.parametrize("text", [PLAIN, QUOTED, EMPTY_CELL], ids=["plain", "quoted", "odd"])
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
