"""Tables beside the bars are read in any encoding and format, and named where they are wrong."""

import pandas as pd
import pytest

from quant_pipeline.common.exceptions import MarketDataError
from quant_pipeline.market.sources.files.tables import read_delistings, read_renames, read_securities

LINES_END = {"Unix": "\n", "Windows": "\r\n", "an old Mac": "\r"}
SECURITIES = pd.DataFrame({"symbol": ["AAA", "BBB"], "name": ["浦发银行", "平安银行"], "sector": ["银行", ""]})
WRITTEN = {
    "in UTF-8.csv": lambda table, file: table.to_csv(file, index=False),
    "in GB18030.csv": lambda table, file: table.to_csv(file, index=False, encoding="gb18030"),
    "in UTF-16.txt": lambda table, file: table.to_csv(file, index=False, encoding="utf-16", sep="\t"),
    "packed.csv.gz": lambda table, file: table.to_csv(file, index=False),
    "typed.parquet": lambda table, file: table.to_parquet(file),
    "typed.feather": lambda table, file: table.to_feather(file),
    "a workbook.xlsx": lambda table, file: table.to_excel(file, index=False),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_securities_are_the_same_in_every_form(tmp_path, name):
    WRITTEN[name](SECURITIES, tmp_path / name)
    read = read_securities(tmp_path / name)
    assert read.astype(object).to_dict("list") == {
        "instrument": ["AAA", "BBB"], "name": ["浦发银行", "平安银行"], "sector": ["银行", "Unknown"],
    }  # fmt: skip


@pytest.mark.parametrize("end", LINES_END.values(), ids=LINES_END)
def test_tables_are_the_same_with_every_end_of_lines(tmp_path, end):
    def write(*lines):
        (tmp_path / "table.csv").write_bytes(end.join([*lines, ""]).encode())
        return tmp_path / "table.csv"

    securities = read_securities(write("symbol,name,sector", "AAA,Anna,Oil", "BBB,Bert,Gas"))
    assert securities["sector"].tolist() == ["Oil", "Gas"]
    delistings = read_delistings(write("symbol,date,value", "AAA,2024-01-31,1.25"), None)
    assert delistings["value"].tolist() == [1.25]
    assert read_renames(write("old,new", "AAA,BBB")) == [("AAA", "BBB", None)]


@pytest.mark.parametrize("name", WRITTEN)
@pytest.mark.parametrize("missing", [None, "", " "])
def test_an_instrument_without_a_name_is_called_by_its_symbol_in_every_form(tmp_path, name, missing):
    table = pd.DataFrame({"symbol": ["AAA", "BBB"], "name": ["Anna", missing], "sector": ["Oil", missing]})
    WRITTEN[name](table, tmp_path / name)
    read = read_securities(tmp_path / name)
    assert read["name"].tolist() == ["Anna", "BBB"]
    assert read["sector"].tolist() == ["Oil", "Unknown"]


def test_cells_that_a_line_lacks_are_empty(tmp_path):
    (tmp_path / "table.csv").write_text("symbol,name,sector,delisted,value\nAAA\nBBB,Bert,Gas,2024-01-31,1.25\n")
    read = read_securities(tmp_path / "table.csv")
    assert read.iloc[0].tolist() == ["AAA", "AAA", "Unknown", "", ""]
    assert read_delistings(None, read)["instrument"].tolist() == ["BBB"]


@pytest.mark.parametrize("name", [name for name in WRITTEN if "GB" not in name])
def test_delistings_are_the_same_in_every_form(tmp_path, name):
    dates = pd.to_datetime(["2024-01-05", "2024-02-06"])
    WRITTEN[name](pd.DataFrame({"symbol": ["AAA", "BBB"], "date": dates, "value": [1.5, 0.0]}), tmp_path / name)
    read = read_delistings(tmp_path / name, None)
    assert read["delisted"].tolist() == list(dates)
    assert read["value"].tolist() == [1.5, 0.0]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("empty.csv", b"", "is empty"),
        ("blank.csv", b"\n \n", "is empty"),
        ("wide.csv", b"symbol,date,value\nAAA,2024-01-05,1\nBBB,2024-01-05,1,2,3\n", "is damaged: Expected 3 fields"),
        ("quote.csv", b'symbol,date,value\n"AAA,2024-01-05,1\n', "is damaged"),
        ("signs.csv", b"symbol,date,value\n\0\0\0", "is no text"),
        ("damaged.parquet", b"PAR1 and no more", "is damaged"),
        ("damaged.xlsx", b"PK\x03\x04 and no more", "cannot be read"),
        ("locked.xlsx", bytes.fromhex("D0CF11E0A1B11AE1") + bytes(4096), "cannot be read"),
    ],
)
def test_a_table_that_cannot_be_read_is_named(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    for read in (read_securities, read_renames, lambda file: read_delistings(file, None)):
        with pytest.raises(MarketDataError, match=f"{name} {words}.*; correct it, or take it away"):
            read(tmp_path / name)


def test_a_table_that_is_gone_and_an_empty_cell_of_a_typed_one_are_named(tmp_path):
    with pytest.raises(MarketDataError, match=r"gone\.csv cannot be read"):
        read_renames(tmp_path / "gone.csv")
    table = pd.DataFrame({"symbol": ["AAA", "BBB"], "date": ["2024-01-05", None], "value": [1.5, None]})
    table.to_parquet(tmp_path / "typed.parquet")
    with pytest.raises(MarketDataError, match=r"the delisting of BBB has date '' and value ''"):
        read_delistings(tmp_path / "typed.parquet", None)


READERS = {
    "securities": (read_securities, "symbol,name,sector", "AAA,Anna,Oil"),
    "delistings": (lambda file: read_delistings(file, None), "symbol,date,value", "AAA,2024-01-31,1.25"),
    "renames": (lambda file: pd.DataFrame(read_renames(file)), "old,new,date", "AAA,BBB,2024-01-31"),
}
PADDED = {
    "a separator after each row": lambda header, row: f"{header}\n{row},\n",
    "separators after some rows": lambda header, row: f"{header}\n{row},,\n\n,,\n",
    "separators after the header": lambda header, row: f"{header},,\n{row},,\n",
    "blank rows": lambda header, row: f"\n{header}\n\n,,\n{row}\n , ,\n\n",
    "blanks around cells": lambda header, row: "\n".join(" , ".join(line.split(",")) + " " for line in (header, row)),
    "quoted cells": lambda header, row: "\n".join(
        ",".join(f'"{x}"' for x in line.split(",")) for line in (header, row)
    ),
    "lines that end twice": lambda header, row: f"{header}\r\r\n{row}\r\r\n",
    "a title": lambda header, row: f"Exported by a vendor\n\n{header}\n{row}\n",
    "a line of Excel": lambda header, row: f"sep=;\n{header}\n{row}\n".replace(",", ";"),
    "another separator": lambda header, row: f"{header}\n{row}\n".replace(",", "|"),
    "another column": lambda header, row: f"x,{header}\n1,{row}\n",
}


@pytest.mark.parametrize("table", READERS)
@pytest.mark.parametrize("padding", PADDED.values(), ids=PADDED)
def test_padding_moves_no_cell_and_adds_no_row(tmp_path, table, padding):
    read, header, row = READERS[table]
    file = tmp_path / "table.csv"
    file.write_text(f"{header}\n{row}\n")
    expected = read(file)
    assert len(expected) == 1
    file.write_bytes(padding(header, row).encode())
    pd.testing.assert_frame_equal(read(file), expected)


@pytest.mark.parametrize("table", READERS)
@pytest.mark.parametrize("row", ["{row},9", "{row}\n{row},9,\n", '{row}\n{row},"a\nb"\n'])
def test_a_row_of_more_cells_than_columns_is_named_and_not_cut_off(tmp_path, table, row):
    read, header, good = READERS[table]
    (tmp_path / "table.csv").write_text(f"{header}\n{row.format(row=good)}")
    with pytest.raises(MarketDataError, match=r"is damaged: Expected 3 fields in line \d, saw \d"):
        read(tmp_path / "table.csv")


@pytest.mark.parametrize("table", READERS)
@pytest.mark.parametrize(("end", "other"), [("\n", "\r"), ("\r\n", "\r"), ("\r", "\n")])
def test_an_end_of_another_kind_makes_no_row_out_of_half_a_name(tmp_path, table, end, other):
    read, header, row = READERS[table]
    file = tmp_path / "table.csv"
    content = end.join([header, row, row.replace("AAA", f"B{other}AA"), row.replace("AAA", "CCC"), ""])
    file.write_bytes(content.encode())
    with pytest.raises(MarketDataError, match=r"line 3 is cut by an end of line that the other lines do not have"):
        read(file)
    quoted = content.replace(f"B{other}AA", f'"B{other}BB"')
    file.write_bytes(quoted.encode())
    assert len(read(file)) == 3


@pytest.mark.parametrize("table", READERS)
def test_a_quotation_mark_that_is_not_closed_is_named_with_its_line(tmp_path, table):
    read, header, row = READERS[table]
    for lines in (
        [f'"{row}', row],
        [row, f'"{row}'],
        [f'"{row}', row, f'"{row}'],
        [row, row.replace(",", ',"', 1), row],
    ):
        (tmp_path / "table.csv").write_text("\n".join([header, *lines]))
        with pytest.raises(MarketDataError, match=r"is damaged: line \d has a quotation mark that is not closed"):
            read(tmp_path / "table.csv")


@pytest.mark.parametrize("form", [form for form in WRITTEN if "GB" not in form])
@pytest.mark.parametrize(
    ("table", "again", "both"),
    [
        ("securities", "Name", "for name, 'name' and 'Name'"),
        ("securities", "SYMBOL", "for instrument, 'symbol' and 'SYMBOL'"),
        ("securities", "sector ", "for sector, 'sector' and 'sector"),
        ("delistings", "delisted", "for delisted, 'date' and 'delisted'"),
        ("delistings", "price", "for value, 'value' and 'price'"),
        ("renames", "former", "for old, 'old' and 'former'"),
        ("renames", "Effective", "for date, 'date' and 'Effective'"),
        ("renames", "new", "for new, 'new' and 'new"),
    ],
)
def test_two_columns_for_one_of_ours_are_named(tmp_path, form, table, again, both):
    read, header, row = READERS[table]
    written = pd.DataFrame([[*row.split(","), "x"]], columns=[*header.split(","), again])
    if written.columns.is_unique or "typed" not in form:
        WRITTEN[form](written, tmp_path / form)
        with pytest.raises(MarketDataError, match=f"{form} has two columns {both}"):
            read(tmp_path / form)


def test_other_columns_may_have_one_name_and_the_first_of_several_symbols_counts(tmp_path):
    text = "code,ticker,name,note,Note,note,,,sector\n1,AAA,Anna,x,y,z,,,Oil\n"
    (tmp_path / "table.csv").write_text(text)
    assert read_securities(tmp_path / "table.csv").iloc[0].tolist() == ["AAA", "Anna", "Oil"]


@pytest.mark.parametrize("form", [form for form in WRITTEN if "GB" not in form])
def test_blank_rows_are_none_and_rows_without_a_symbol_are_named(tmp_path, form):
    table = pd.DataFrame({"symbol": [600000, None, 1], "name": ["Anna", None, "Bert"], "sector": ["Oil", "", "Gas"]})
    WRITTEN[form](table, tmp_path / form)
    if "csv" not in form and "txt" not in form:
        assert read_securities(tmp_path / form)["instrument"].tolist() == ["600000", "1"]
    table.loc[1, "name"] = "Carl"
    WRITTEN[form](table, tmp_path / form)
    with pytest.raises(MarketDataError, match="row 3, has no symbol beside 'Carl'; add it, or delete the row"):
        read_securities(tmp_path / form)


def test_names_of_renames_that_only_seem_to_be_there_are_none(tmp_path):
    (tmp_path / "renames.csv").write_text("old,new\n\u00a0,BBB\n", encoding="utf-8")
    with pytest.raises(MarketDataError, match="state old and new name"):
        read_renames(tmp_path / "renames.csv")


@pytest.mark.parametrize(("name", "fault"), [("../BBB", "holds a sign"), ("..", "is a path"), ("B" * 101, "is longer")])
def test_a_new_name_is_one_that_an_instrument_can_have(tmp_path, name, fault):
    (tmp_path / "renames.csv").write_text(f"old,new\nAAA,{name}\n")
    with pytest.raises(MarketDataError, match=f"states the new name .*, which {fault}"):
        read_renames(tmp_path / "renames.csv")
