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
    table = pd.DataFrame({"symbol": ["AAA", None], "date": ["2024-01-05", None], "value": [1.5, None]})
    table.to_parquet(tmp_path / "typed.parquet")
    with pytest.raises(MarketDataError, match=r"the delisting of  has date '' and value ''"):
        read_delistings(tmp_path / "typed.parquet", None)
