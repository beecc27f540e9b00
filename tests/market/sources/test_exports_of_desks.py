"""Exports of research desks and bulk downloads: read to the last return, or refused with the reason."""

import zipfile

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.market.quality import QualityParameters
from quant_pipeline.market.sources.files.checking import check_folder
from quant_pipeline.market.sources.files.options import FilesMarketParameters
from quant_pipeline.testing.market_to_write import dividend_factor, random_market, split_adjusted, without_actions
from quant_pipeline.testing.vendor_files import write_crsp, write_databento, write_sharadar

MARKET = random_market(9)
FLAT = without_actions(MARKET)
PRICES = ["open", "high", "low", "close"]
NUMBERS = [*PRICES, "volume"]


def check(folder, **options):
    return check_folder(folder, FilesMarketParameters(**options), QualityParameters())


def assert_reads(folder, truth, **names):
    checked = check(folder)
    assert checked.ok, checked.summary["problems"]
    read = checked.seen.rows.set_index(["instrument", "date"]).sort_index()
    right = truth.replace({"instrument": names}).set_index(["instrument", "date"]).sort_index()
    assert read.index.equals(right.index)
    for name in NUMBERS:
        np.testing.assert_allclose(read[name], right[name], rtol=1e-9)


def per_instrument(folder, table_of, name="{}.csv", bars=FLAT):
    for instrument, rows in bars.groupby("instrument"):
        table_of(rows.reset_index(drop=True)).to_csv(folder / name.format(instrument), index=False)


def workbook(folder, head, columns, extra=()):
    for name, rows in FLAT.groupby("instrument"):
        body = rows[["date", *columns]].assign(**dict.fromkeys(extra, 100.0)).to_numpy().tolist()
        pd.DataFrame([*head, *body]).to_excel(folder / f"{name}.xlsx", index=False, header=False)


def test_a_workbook_of_refinitiv_with_a_block_above_its_header(tmp_path):
    head = [["AAA.O"], ["History"], [None], ["Exchange Date", "Close", "Open", "Low", "High", "Volume"]]
    workbook(tmp_path, head, ["close", "open", "low", "high", "volume"])
    assert_reads(tmp_path, FLAT)


def test_total_returns_of_bloomberg_beside_prices_are_an_error(tmp_path):
    fields = ["Date", "PX_OPEN", "PX_HIGH", "PX_LOW", "PX_LAST", "PX_VOLUME"]
    workbook(tmp_path, [["Security", "AAA US Equity"], [None], fields], NUMBERS)
    assert_reads(tmp_path, FLAT)
    workbook(tmp_path, [[None], [*fields, "TOT_RETURN_INDEX_GROSS_DVDS"]], NUMBERS, ["total"])
    assert "'TOT_RETURN_INDEX_GROSS_DVDS', which may hold" in check(tmp_path).summary["problems"][0]


def test_a_list_of_symbols_above_the_folders_of_bars_hides_none_of_them(tmp_path):
    (tmp_path / "symbols_valid_meta.csv").write_text("Symbol,Security Name,ETF\nAAA,Alpha,N\n")
    for folder in ("stocks", "etfs"):
        (tmp_path / folder).mkdir()
    per_instrument(tmp_path / "stocks", lambda rows: rows[["date", *NUMBERS]], bars=FLAT[FLAT["instrument"] != "CCC"])
    per_instrument(tmp_path / "etfs", lambda rows: rows[["date", *NUMBERS]], bars=FLAT[FLAT["instrument"] == "CCC"])
    assert_reads(tmp_path, FLAT)


def test_names_of_ccxt_end_before_the_length_of_bars(tmp_path):
    days = np.tile(pd.date_range("2024-01-01", periods=40).as_unit("ns"), 3)
    bars = FLAT.assign(date=days)
    milliseconds = bars["date"].astype("int64") // 10**6
    per_instrument(
        tmp_path, lambda rows: rows[["timestamp", *NUMBERS]], "{}_USDT-1d.csv", bars.assign(timestamp=milliseconds)
    )
    assert_reads(tmp_path, bars, AAA="AAA_USDT", BBB="BBB_USDT", CCC="CCC_USDT")


def test_metastock_calls_the_date_by_its_format(tmp_path):
    def table(rows):
        start = {"<TICKER>": rows["instrument"], "<PER>": "D", "<DTYYYYMMDD>": rows["date"].dt.strftime("%Y%m%d")}
        numbers = {f"<{name.upper()}>": rows[name] for name in PRICES}
        return pd.DataFrame(start | {"<TIME>": "000000"} | numbers | {"<VOL>": rows["volume"]})

    per_instrument(tmp_path, table, "{}.txt")
    assert_reads(tmp_path, FLAT)


def test_bhavcopies_of_the_nse_since_2024(tmp_path):
    names = ["OpnPric", "HghPric", "LwPric", "ClsPric", "TtlTradgVol"]
    for day, rows in FLAT.groupby("date"):
        table = rows[NUMBERS].set_axis(names, axis=1).assign(LastPric=1.0, TtlTrfVal=rows["volume"] * rows["close"])
        table.assign(TradDt=f"{day:%Y-%m-%d}", SctySrs="EQ", TckrSymb=rows["instrument"]).to_csv(
            tmp_path / f"BhavCopy_NSE_CM_0_0_0_{day:%Y%m%d}_F_0000.csv", index=False
        )
    assert_reads(tmp_path, FLAT)


def test_prices_of_databento_in_decimals_are_no_billionths(tmp_path):
    write_databento(tmp_path, MARKET)
    file = next(tmp_path.iterdir())
    table = pd.read_csv(file)
    pretty = {name: (table[name] / 1e9).map("{:.9f}".format) for name in PRICES}
    stamps = pd.to_datetime(table["ts_event"]).dt.strftime("%Y-%m-%dT00:00:00.000000000Z")
    table.assign(ts_event=stamps, **pretty).to_csv(file, index=False)
    assert_reads(tmp_path, FLAT)


def test_a_zip_of_one_file_is_read_and_one_of_many_names_what_to_do(tmp_path):
    text = FLAT[FLAT["instrument"] == "AAA"][["date", *NUMBERS]].to_csv(index=False)
    with zipfile.ZipFile(tmp_path / "AAA.zip", "w") as packed:
        packed.writestr("AAA.csv", text)
    assert_reads(tmp_path, FLAT[FLAT["instrument"] == "AAA"])
    with zipfile.ZipFile(tmp_path / "AAA.zip", "w") as packed:
        packed.writestr("data/aaa.us.txt", text)
        packed.writestr("data/bbb.us.txt", text)
    assert "is an archive of 2 files; unpack it" in check(tmp_path).summary["problems"][0]


@pytest.fixture
def crsp(tmp_path):
    write_crsp(tmp_path, MARKET)
    return pd.read_csv(tmp_path / "dsf.csv", dtype={"RET": "str"}), tmp_path / "dsf.csv"


def test_a_mean_of_bid_and_ask_is_a_close_without_an_open(crsp):
    table, file = crsp
    quoted = table["PRC"] < 0
    table.loc[quoted, ["OPENPRC", "VOL"]] = [np.nan, 0]
    table.to_csv(file, index=False)
    checked = check(file.parent)
    assert checked.ok, checked.summary["problems"]
    rows = checked.seen.rows[quoted.to_numpy()]
    assert (rows["open"] == rows["close"]).all()
    assert (rows["close"] > 0).all()
    assert checked.summary["findings"]["zero_volume"] == quoted.sum()


def test_a_return_that_crsp_does_not_know_is_no_dividend(crsp):
    table, file = crsp
    table.loc[20, "RET"] = "B"
    table.to_csv(file, index=False)
    checked = check(file.parent)
    assert checked.summary["actions"] == {"cash_dividend": 6, "split": 3}
    assert checked.summary["findings"]["no_adjusted_close"] == 1


def test_delisting_returns_that_nothing_uses_are_an_error(crsp):
    table, file = crsp
    table.assign(DLRET=np.nan).to_csv(file, index=False)
    assert "'DLRET', which may hold" in check(file.parent).summary["problems"][0]


def test_rounded_closes_of_sharadar_become_prices_as_traded(tmp_path):
    write_sharadar(tmp_path, MARKET)
    file = tmp_path / "SHARADAR_SEP.csv"
    table = pd.read_csv(file)
    table[[*PRICES, "closeadj"]] = table[[*PRICES, "closeadj"]].round(3)
    table.to_csv(file, index=False)
    checked = check(tmp_path)
    assert checked.summary["actions"] == {"cash_dividend": 6, "split": 3}
    assert checked.seen.rows["split"].tolist() == MARKET["split"].tolist()
    np.testing.assert_allclose(checked.seen.rows["close"], MARKET["close"], rtol=1e-3)


def test_a_download_of_many_tickers_by_ticker_pays_its_dividends(tmp_path):
    adjusted, paid = split_adjusted(MARKET), MARKET["split"].replace(1.0, 0.0)
    fields = {"Open": adjusted["open"], "High": adjusted["high"], "Low": adjusted["low"], "Close": adjusted["close"],
              "Adj Close": adjusted["close"] * dividend_factor(MARKET), "Volume": adjusted["volume"],
              "Dividends": adjusted["dividend"], "Stock Splits": paid}  # fmt: skip
    own = {name: (MARKET["instrument"] == name).to_numpy() for name in ("AAA", "BBB", "CCC")}
    wide = pd.DataFrame(
        {(name, field): values[rows].to_numpy() for name, rows in own.items() for field, values in fields.items()},
        index=pd.Index(MARKET["date"][own["AAA"]], name="Date"),
    )
    wide.rename_axis(columns=["Ticker", "Price"]).to_csv(tmp_path / "prices.csv")
    assert_reads(tmp_path, MARKET)
    assert check(tmp_path).summary["actions"] == {"cash_dividend": 6, "split": 3}


def test_an_archive_beside_what_was_in_it_is_named_and_refuses_nothing(tmp_path):
    per_instrument(tmp_path, lambda rows: rows[["date", *NUMBERS]], bars=FLAT[FLAT["instrument"] == "AAA"])
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as packed:
        packed.write(tmp_path / "AAA.csv", "AAA.csv")
    checked = check(tmp_path)
    assert checked.ok
    assert checked.summary["findings"] == {"file_left_out": 1}


def test_a_close_as_traded_is_used_where_the_user_maps_it(tmp_path):
    table = split_adjusted(MARKET).drop(columns=["dividend", "split"]).assign(nominal_close=MARKET["close"])
    table.to_csv(tmp_path / "bars.csv", index=False)
    checked = check(tmp_path, columns={"traded_close": "nominal_close"}, adjusted="splits")
    assert checked.seen.rows["split"].tolist() == MARKET["split"].tolist()
    np.testing.assert_allclose(checked.seen.rows["close"], MARKET["close"], rtol=1e-9)


def test_grouped_days_of_polygon_have_a_ticker_and_a_time_of_one_letter(tmp_path):
    letters = {"instrument": "T", "volume": "v", "open": "o", "close": "c", "high": "h", "low": "l"}
    for day, rows in FLAT.groupby("date"):
        closes = day.tz_localize("America/New_York") + pd.Timedelta(hours=16)
        table = rows[list(letters)].rename(columns=letters).assign(t=closes.value // 10**6, n=9)
        table.to_csv(tmp_path / f"grouped_{day:%Y-%m-%d}.csv", index=False)
    assert_reads(tmp_path, FLAT)
