"""Exports of vendors that have no layout of their own: read to the last value, or refused with the reason."""

import json

import pandas as pd
import pytest

from quant_pipeline.market.quality import QualityParameters
from quant_pipeline.market.sources.files.checking import check_folder
from quant_pipeline.market.sources.files.options import FilesMarketParameters

DAYS = pd.DatetimeIndex(
    ["2024-01-02", "2024-01-03", "2024-01-04", "2024-01-05", "2024-01-08", "2024-01-09", "2024-01-10", "2024-01-11",
     "2024-01-12", "2024-01-16", "2024-01-17", "2024-01-18", "2024-01-19", "2024-01-22", "2024-01-23"]
)  # fmt: skip
CLOSES = [1361.3, 1372.55, 1368.1, 1370.4, 1381.2, 1379.9, 1390.05, 1388.8, 1401.35, 1399.6, 1405.25, 1410.7, 1402.45,
          1415.3, 1420.15]  # fmt: skip
VOLUMES = [2330000 + 1000 * number for number in range(15)]
ROWS = [(day, close - 2, close + 5, close - 6, close, volume)
        for day, close, volume in zip(DAYS, CLOSES, VOLUMES, strict=True)]  # fmt: skip
USUAL = "Date,Open,High,Low,Close,Volume"
CELLS = "{o},{h},{low},{c},{v}"


def table(header, row):
    """Write one line for each session; `row` names its parts: d, o, h, low, c, v, and places of time t, x."""
    lines = [header]
    for d, o, h, low, c, v in ROWS:
        t, x = int((d + pd.Timedelta(hours=14.5)).timestamp()), (d - pd.Timestamp("1899-12-30")).days
        lines.append(row.format(d=d, o=o, h=h, low=low, c=c, v=v, t=t, x=x, turnover=c * v))
    return "\n".join(lines) + "\n"


def check(folder):
    checked = check_folder(folder, FilesMarketParameters(), QualityParameters())
    json.dumps(checked.summary)
    return checked


BARCHART = table("Time,Open,High,Low,Last,Change,%Chg,Volume", "{d:%m/%d/%Y},{o},{h},{low},{c},0.1,0.10%,{v}")
BLOOMBERG = table("Dates,PX_OPEN,PX_HIGH,PX_LOW,PX_LAST,PX_VOLUME", "{d:%Y-%m-%d}," + CELLS)
FRENCH = table("date\touvert\thaut\tbas\tclot\tvol", "{d:%d/%m/%Y} 00:00\t{o:.2f}\t{h:.2f}\t{low:.2f}\t{c:.2f}\t{v}")
SWISS = table("Date;Open;High;Low;Close;Volume", "{d:%d.%m.%Y};{o:,.2f};{h:,.2f};{low:,.2f};{c:,.2f};{v:,}")
WIND = "代码,简称,日期,开盘价(元),最高价(元),最低价(元),收盘价(元),成交量(股),成交金额(元)"
BOMBAY = "Date,Open Price,High Price,Low Price,Close Price,WAP,No.of Shares,No. of Trades"
READ = {
    "Interactive Brokers": ("AAA.csv", table(USUAL + ",WAP,Count", "{d:%Y%m%d}," + CELLS + ",{c},9")),
    "MarketWatch": ("AAA.csv", table(USUAL, '{d:%m/%d/%Y},"{o:,.2f}","{h:,.2f}","{low:,.2f}","{c:,.2f}","{v:,}"')),
    "Wall Street Journal": ("AAA.csv", table(USUAL.replace(",", ", "), "{d:%m/%d/%y}, {o}, {h}, {low}, {c}, {v}")),
    "Barchart, with its footer": (
        "aaa_price-history-01-24-2024.csv", BARCHART + '"Downloaded from Barchart.com as of 01-24-2024 04:20pm CST"\n'
    ),
    "GOOGLEFINANCE": ("AAA.csv", table(USUAL, "{d.month}/{d.day}/{d.year} 16:00:00," + CELLS)),
    "Twelve Data": ("AAA.csv", table("datetime;open;high;low;close;volume", "{d:%Y-%m-%d};{o};{h};{low};{c};{v}")),
    "Dukascopy": ("AAA.csv", table("Gmt time,Open,High,Low,Close,Volume", "{d:%d.%m.%Y} 00:00:00.000," + CELLS)),
    "TradingView": ("AAA, 1D.csv", table("time,open,high,low,close,Volume", "{t}," + CELLS)),
    "Bloomberg, with lines before the header": ("AAA.csv", f"Security,AAA US Equity\nStart Date,x\n\n{BLOOMBERG}"),
    "French, tabs and decimal commas": ("AAA.txt", FRENCH.replace(".", ",")),
    "Swiss apostrophes": ("AAA.csv", SWISS.replace(",", "'")),
    "dollars in an ordinary header": (
        "AAA.csv", table(USUAL, '{d:%Y-%m-%d},"${o:,.2f}","${h:,.2f}","${low:,.2f}","${c:,.2f}",{v}')
    ),
    "Korean": ("AAA.csv", table("날짜,시가,고가,저가,종가,거래량,등락률", "{d:%Y-%m-%d}," + CELLS + ",0.1")),
    "Wind": ("any.csv", table(WIND, "AAA,甲,{d:%Y-%m-%d}," + CELLS + ",{turnover}")),
    "BSE of India": ("AAA.csv", table(BOMBAY, "{d.day}-{d:%B-%Y},{o},{h},{low},{c},{c},{v},9")),
    "days of Excel": ("AAA.csv", table(USUAL, "{x}," + CELLS)),
    "midnights in UTC": ("AAA.csv", table(USUAL.lower(), "{d:%Y-%m-%d}T00:00:00Z," + CELLS)),
    "comments before the header": ("AAA.csv", "# source: me\n# made in 2024\n" + table(USUAL, "{d:%Y-%m-%d}," + CELLS)),
    "columns in any order, quoted": (
        "AAA.csv", table("Volume,Close,Low,High,Open,Date", '"{v}","{c}","{low}","{h}","{o}","{d:%Y-%m-%d}"')
    ),
}  # fmt: skip


@pytest.mark.parametrize("vendor", READ)
def test_an_export_is_read_to_the_last_value(tmp_path, vendor):
    name, text = READ[vendor]
    (tmp_path / name).write_text(text, encoding="utf-8")
    checked = check(tmp_path)
    assert checked.summary["problems"] == []
    rows = checked.seen.rows
    assert set(rows["instrument"]) == {"AAA"}
    assert list(rows["date"]) == list(DAYS)
    assert rows["close"].tolist() == CLOSES
    assert rows["open"].round(2).tolist() == [round(close - 2, 2) for close in CLOSES]
    assert rows["volume"].tolist() == VOLUMES


def test_bhavcopies_of_the_nse_are_one_file_a_day_and_close_is_not_last(tmp_path):
    for day, o, h, low, c, volume in ROWS:
        (tmp_path / f"cm{day:%d%b%Y}bhav.csv").write_text(
            "SYMBOL,SERIES,OPEN,HIGH,LOW,CLOSE,LAST,PREVCLOSE,TOTTRDQTY,TOTTRDVAL,TIMESTAMP,TOTALTRADES,ISIN\n"
            f"AAA,EQ,{o},{h},{low},{c},{c + 1},{o},{volume},{volume * c},{day:%d-%b-%Y},100,INE002A01018\n"
        )
    checked = check(tmp_path)
    if checked.summary["ok"]:
        assert checked.seen.rows["close"].tolist() == CLOSES
    else:
        assert "CLOSE" in checked.summary["problems"][0]


REFUSED = {
    "Sharadar": ("ticker,date,open,high,low,close,volume,closeunadj", "AAA,{d},{cells},{h}", "'closeunadj'"),
    "Norgate": ("Symbol,Date,Open,High,Low,Close,Volume,Unadjusted Close", "AAA,{d},{cells},{h}", "'Unadjusted Close'"),
    "J-Quants": ("Date,Code,Open,High,Low,Close,Volume,AdjustmentFactor", "{d},AAA,{cells},0.5", "'AdjustmentFactor'"),
    "CRSP": ("PERMNO,date,TICKER,PRC,VOL,CFACPR", "1,{d},AAA,-{c},{v},2", "has no column for open, high, low, close"),
    "closes alone": ("Date,AAA,BBB,CCC", "{d},{c},{low},{h}", "one column per instrument and one price"),
    "two volumes": ("Date,Open,High,Low,Close,Volume BTC,Volume USDT", "{d},{cells},{v}", "no column for volume"),
    "bonus shares": (USUAL + ",bonus", "{d},{cells},1", "'bonus', which may hold splits"),
}  # fmt: skip


@pytest.mark.parametrize("vendor", REFUSED)
def test_what_would_change_returns_or_is_missing_is_named(tmp_path, vendor):
    header, row, words = REFUSED[vendor]
    row = row.replace("{d}", "{d:%Y-%m-%d}").replace("{cells}", CELLS)
    (tmp_path / "AAA.csv").write_text(table(header, row))
    summary = check(tmp_path).summary
    assert not summary["ok"]
    assert words in summary["problems"][0]


PRICES_IN_USD = "Open (USD),High (USD),Low (USD),Close (USD)"
UNITS = {
    "Date,Open (USD),High (USD),Low (USD),Close (USD),Volume": {},
    "timestamp,open_usd,high_usd,low_usd,close_usd,volume": {},
    "Date,Open [$],High [$],Low [$],Close [$],Volume [shares]": {},
    "Date,AAA Open (EUR),AAA High (EUR),AAA Low (EUR),AAA Close (EUR),AAA Volume (shares)": {},
    "Date,Open (INR),High (INR),Low (INR),Close (INR),Volume (shares)": {},
    "Date,Open,High,Low,Close,Volume ('000)": {"volume": 1000.0},
    "日期,开盘(元),最高(元),最低(元),收盘(元),成交量(手)": {"volume": 100.0},
}


@pytest.mark.parametrize("header", UNITS)
def test_units_of_a_header_are_no_instruments(tmp_path, header):
    (tmp_path / "AAA.csv").write_text(table(header, "{d:%Y-%m-%d}," + CELLS), encoding="utf-8")
    checked = check(tmp_path)
    assert checked.summary["problems"] == []
    rows = checked.seen.rows
    assert set(rows["instrument"]) == {"AAA"}
    assert rows["close"].tolist() == CLOSES
    assert rows["volume"].tolist() == [volume * UNITS[header].get("volume", 1.0) for volume in VOLUMES]


UNKNOWN_UNITS = {
    "pence": ("Date,Open (GBX),High (GBX),Low (GBX),Close (GBX),Volume", "states its prices in gbx; set `price_unit"),
    "lots": (f"Date,{PRICES_IN_USD},Volume (lots)", "states its volume in lots; set `volume_unit`"),
    "money": (f"Date,{PRICES_IN_USD},Volume (USD)", "its volume is in money, and shares are needed"),
    "two currencies": (
        f"Date,{PRICES_IN_USD.replace('Close (USD)', 'Close (EUR)')},Volume",
        "low in usd, close in eur",
    ),
    "a close of each": (f"Date,{PRICES_IN_USD},Close (EUR),Volume", "two columns for close, 'Close (USD)' and"),
}


@pytest.mark.parametrize("unit", UNKNOWN_UNITS)
def test_units_that_have_to_be_explained_are_named_with_the_option(tmp_path, unit):
    header, words = UNKNOWN_UNITS[unit]
    row = "{d:%Y-%m-%d}," + (CELLS if header.count(",") == 5 else "{o},{h},{low},{c},{c},{v}")
    (tmp_path / "AAA.csv").write_text(table(header, row))
    summary = check(tmp_path).summary
    assert not summary["ok"]
    assert words in summary["problems"][0]


def test_units_are_taken_from_options(tmp_path):
    header = "Date,Open (GBX),High (GBX),Low (GBX),Close (GBX),Volume (lots)"
    (tmp_path / "AAA.csv").write_text(table(header, "{d:%Y-%m-%d}," + CELLS))
    options = FilesMarketParameters(price_unit=0.01, volume_unit=10)
    rows = check_folder(tmp_path, options, QualityParameters()).seen.rows
    assert rows["close"].tolist() == pytest.approx([close / 100 for close in CLOSES])
    assert rows["volume"].tolist() == [10.0 * volume for volume in VOLUMES]


def test_of_several_names_of_a_field_the_plainest_is_taken(tmp_path):
    header = "Date,Last,Open,High,Low,Close,Vol,Volume"
    (tmp_path / "AAA.csv").write_text(table(header, "{d:%Y-%m-%d},1,{o},{h},{low},{c},2,{v}"))
    rows = check(tmp_path).seen.rows
    assert (rows["close"].tolist(), rows["volume"].tolist()) == (CLOSES, VOLUMES)


def sheet(factor=1.0):
    frame = pd.DataFrame(ROWS, columns=["Date", "Open", "High", "Low", "Close", "Volume"])
    return frame.assign(**{name: frame[name] * factor for name in ("Open", "High", "Low", "Close")})


def workbook(file, **sheets):
    with pd.ExcelWriter(file) as writer:
        for name, frame in sheets.items():
            frame.to_excel(writer, sheet_name=name, index=False)


def test_every_sheet_of_a_workbook_is_an_instrument(tmp_path):
    workbook(tmp_path / "book.xlsx", AAA=sheet(), BBB=sheet(0.5))
    rows = check(tmp_path).seen.rows
    assert rows[rows["instrument"] == "AAA"]["close"].tolist() == CLOSES
    assert rows[rows["instrument"] == "BBB"]["close"].tolist() == [close / 2 for close in CLOSES]


def test_a_sheet_of_notes_before_the_bars_is_no_table(tmp_path):
    workbook(tmp_path / "AAA.xlsx", Notes=pd.DataFrame({"Notes": ["mine"]}), Data=sheet())
    rows = check(tmp_path).seen.rows
    assert rows["close"].tolist() == CLOSES
    assert set(rows["instrument"]) == {"AAA"}


def test_sheets_of_different_columns_are_refused_with_their_names(tmp_path):
    workbook(tmp_path / "book.xlsx", AAA=sheet(), BBB=sheet().drop(columns="Open"))
    summary = check(tmp_path).summary
    assert not summary["ok"]
    assert "has 2 sheets with bars (AAA, BBB) of different columns; save each as a file" in summary["problems"][0]


@pytest.mark.parametrize(
    ("name", "instrument"),
    [
        ("NASDAQ_AAPL, 1D.csv", "NASDAQ_AAPL"),
        ("NASDAQ_AAPL, 1D_5f3a2.csv", "NASDAQ_AAPL"),
        ("aapl_daily_historical-data-01-24-2024.csv", "AAPL"),
        ("AAPL.USUSD_Candlestick_1_D_BID_01.01.2024-24.01.2024.csv", "AAPL.USUSD"),
        ("AAPL_full_1day_adjsplitdiv.txt", "AAPL"),
        ("BRK-B.csv", "BRK-B"),
    ],
)
def test_what_vendors_add_to_names_of_files_is_taken_off(tmp_path, name, instrument):
    (tmp_path / name).write_text(table(USUAL, "{d:%Y-%m-%d}," + CELLS))
    assert set(check(tmp_path).seen.rows["instrument"]) == {instrument}
