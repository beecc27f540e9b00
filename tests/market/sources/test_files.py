"""Markets from files: vendors' headers, problems with file and row, the cache, and real data."""

import pandas as pd
import pytest

from quant_pipeline.common.exceptions import MarketDataError
from quant_pipeline.exchange.rules import MarketRules
from quant_pipeline.market.delistings import EndedBars
from quant_pipeline.market.quality import compare_with_vendor
from quant_pipeline.market.schemas import BARS_SCHEMA, CORPORATE_ACTIONS_SCHEMA, INSTRUMENTS_SCHEMA
from quant_pipeline.market.sources.files import FilesMarketParameters, read_market_files
from quant_pipeline.market.universe import UniverseParameters
from quant_pipeline.pipelines.ingestion.nodes import read_market

ALPHA_VANTAGE = """timestamp,open,high,low,close,adjusted_close,volume,dividend_amount,split_coefficient
2020-01-03,25.0,26.0,24.5,25.5,25.5,4000,0.0,4.0
2020-01-02,100.0,101.0,99.0,100.0,25.0,1000,0.0,1.0
2020-01-06,25.5,26.5,25.0,26.0,26.0,4100,0.26,1.0
"""
YAHOO = """Date,Open,High,Low,Close,Adj Close,Volume,Dividends,Stock Splits
2020-01-02,25.0,25.25,24.75,25.0,24.8,4000,0.0,0.0
2020-01-03,25.0,26.0,24.5,25.5,25.3,4000,0.0,4.0
"""
STOOQ = """<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>
BBB.US,D,20200102,000000,10,11,9,10.5,500,0
BBB.US,D,20200103,000000,10.5,11,10,10.75,600,0
"""


def write(folder, **files):
    for name, text in files.items():
        (folder / f"{name}.csv").write_text(text)
    return folder


def read(folder, as_of="latest", cache=None, **parameters):
    return read_market_files(folder, FilesMarketParameters(**parameters), as_of, cache)


def test_alpha_vantage_exports_give_traded_bars_and_actions(tmp_path):
    market = read(write(tmp_path, AAA=ALPHA_VANTAGE))
    assert market.bars["instrument"].unique().tolist() == ["AAA"]
    assert market.bars["close"].tolist() == [100.0, 25.5, 26.0]
    actions = market.corporate_actions[["kind", "value"]].to_numpy().tolist()
    assert actions == [["split", 4.0], ["cash_dividend", 0.26]]
    for schema, table in (
        (BARS_SCHEMA, market.bars),
        (CORPORATE_ACTIONS_SCHEMA, market.corporate_actions),
        (INSTRUMENTS_SCHEMA, market.instruments),
    ):
        schema.validate(table)


def test_yahoo_prices_are_restored_to_what_was_traded(tmp_path):
    market = read(write(tmp_path, AAA=YAHOO))
    assert market.bars["close"].tolist() == [100.0, 25.5]
    assert market.bars["volume"].tolist() == [1000.0, 4000.0]
    assert market.corporate_actions[["kind", "value"]].to_numpy().tolist() == [["split", 4.0]]


def test_stooq_exports_carry_their_own_instrument_and_compact_dates(tmp_path):
    market = read(write(tmp_path, anything=STOOQ))
    assert market.bars["instrument"].unique().tolist() == ["BBB.US"]
    assert market.bars["date"].tolist() == [pd.Timestamp("2020-01-02"), pd.Timestamp("2020-01-03")]


def test_any_other_header_is_mapped(tmp_path):
    text = ALPHA_VANTAGE.replace("timestamp", "Handelstag").replace("volume", "Stueck")
    with pytest.raises(MarketDataError, match="no column for date, volume"):
        read(write(tmp_path, AAA=text))
    market = read(tmp_path, columns={"date": "Handelstag", "volume": "Stueck"})
    assert len(market.bars) == 3


def test_every_problem_of_every_file_is_reported_with_its_row(tmp_path):
    bad_price = ALPHA_VANTAGE.replace("100.0,101.0", "abc,101.0")
    bad_date = ALPHA_VANTAGE.replace("2020-01-06", "yesterday")
    far_date = ALPHA_VANTAGE.replace("2020-01-06", "9999-01-06")
    write(tmp_path, GOOD=ALPHA_VANTAGE, PRICE=bad_price, DATE=bad_date, FAR=far_date, EMPTY="", HEADER="a,b\n1,2\n")
    with pytest.raises(MarketDataError) as failure:
        read(tmp_path)
    message = str(failure.value)
    assert "PRICE.csv, row 3, PRICE: open 'abc' is no positive price" in message
    assert "DATE.csv, row 4, DATE: date 'yesterday' is no date" in message
    assert "FAR.csv, row 4, FAR: date '9999-01-06' is no date" in message
    assert "EMPTY.csv: is empty" in message
    assert "HEADER.csv: has no column for date" in message
    assert "GOOD" not in message


def test_a_doubled_session_is_an_error(tmp_path):
    text = ALPHA_VANTAGE + "2020-01-06,25.5,26.5,25.0,26.0,26.0,4100,0.0,1.0\n"
    with pytest.raises(MarketDataError, match=r"AAA\.csv, row 5, AAA: date '2020-01-06' stands twice"):
        read(write(tmp_path, AAA=text))


def test_an_instrument_that_the_securities_do_not_list_is_an_error(tmp_path):
    write(tmp_path, AAA=ALPHA_VANTAGE, CCC=ALPHA_VANTAGE)
    (tmp_path / "securities.txt").write_text("symbol,name,sector\nAAA,First,Energy\n")
    with pytest.raises(MarketDataError, match="CCC: has bars but is not listed"):
        read(tmp_path, securities="securities.txt")


def test_nothing_after_as_of_is_seen(tmp_path):
    market = read(write(tmp_path, AAA=ALPHA_VANTAGE), as_of="2020-01-03")
    assert market.bars["date"].max() == pd.Timestamp("2020-01-03")
    assert market.corporate_actions["kind"].tolist() == ["split"]


def test_only_changed_files_are_read_again(tmp_path):
    folder, cache = tmp_path / "in", tmp_path / "cache"
    folder.mkdir()
    # Of files that are not plain, which are kept.
    quoted = ALPHA_VANTAGE.replace("timestamp", '"timestamp"')
    write(folder, AAA=quoted, BBB=quoted)
    first = read(folder, cache=cache)
    before = {file.name: file.stat().st_mtime_ns for file in cache.iterdir()}
    (cache / "former.parquet").write_bytes(b"PAR1")
    write(folder, BBB=quoted + "2020-01-07,26.0,26.5,25.0,26.5,26.5,4100,0.0,1.0\n")
    second = read(folder, cache=cache)
    assert len(second.bars) == len(first.bars) + 1
    after = {file.name: file.stat().st_mtime_ns for file in cache.iterdir()}
    assert after.keys() == before.keys()
    assert len(after.items() & before.items()) == 1


def test_a_missing_folder_or_pattern_names_the_remedy(tmp_path):
    with pytest.raises(MarketDataError, match="--params market_folder"):
        read(tmp_path / "nowhere")
    with pytest.raises(MarketDataError, match="bars: us\\.parquet"):
        read(tmp_path, bars="us.parquet")


def test_without_a_benchmark_the_mean_of_all_instruments_serves(tmp_path):
    market = read(write(tmp_path, AAA=ALPHA_VANTAGE))
    assert market.benchmark is None
    level = read_market(market, UniverseParameters(), EndedBars(), MarketRules(), "2020-01-06")["benchmark"]
    growth = level["total_return_close"] / level["total_return_close"].iloc[0]
    assert growth.tolist() == pytest.approx([1.0, 1.02, 1.02 * (26.0 * 1.01) / 25.5])


REAL = {"bars": "us_daily.parquet", "benchmark": "us_benchmark_daily.parquet", "securities": "us_securities.csv"}


def test_real_files_are_read_whole(real_market):
    market = read(real_market, as_of="2020-06-30", **REAL)
    BARS_SCHEMA.validate(market.bars)
    assert market.bars["instrument"].nunique() == 119
    assert len(market.bars) == 544_439
    assert market.benchmark["date"].max() == pd.Timestamp("2020-06-30")


def test_recomputed_adjusted_close_agrees_with_the_vendor_where_its_series_is_sound(real_market):
    market = read(real_market, as_of="2020-06-30", **REAL)
    compared = compare_with_vendor(market.bars, market.corporate_actions).set_index("instrument")
    unsound = compared[compared["largest_difference"] > 0.001]
    assert unsound.index.tolist() == ["TRMB"]
    assert compared.drop(index="TRMB")["largest_difference"].max() < 0.0001


def test_a_real_folder_of_csv_files_gives_the_bars_of_the_table(real_market):
    table = read(real_market, as_of="2020-06-30", **REAL).bars
    folder = read(real_market, as_of="2020-06-30", bars="us_daily_csv").bars
    assert folder["instrument"].nunique() == 20
    since = table[table["instrument"].isin(folder["instrument"].unique()) & (table["date"] >= folder["date"].min())]
    pd.testing.assert_frame_equal(
        folder[["date", "instrument", "close", "volume"]],
        since[["date", "instrument", "close", "volume"]].reset_index(drop=True),
    )
