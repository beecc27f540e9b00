"""Exports in other languages, encodings and conventions: the reading that was written down first, or the reason."""

import io

import pandas as pd
import pytest

from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.market.quality import QualityParameters
from quant_pipeline.market.sources.files.checking import check_folder
from quant_pipeline.market.sources.files.options import FilesMarketParameters
from quant_pipeline.market.sources.files.parsing import read_file
from quant_pipeline.market.sources.files.reading_cache import ReadingCache

CLOSES = [1361.3, 1372.55, 1368.1, 1370.4, 1381.2, 1379.9, 1390.05, 1388.8, 1401.35, 1399.6, 1405.25, 1410.7, 1402.45,
          1415.3, 1420.15]  # fmt: skip
VOLUMES = [2_330_000 + 10_000 * number for number in range(15)]
SPLIT_ON = 7
BEFORE_SPLIT = [close * (2 if number < SPLIT_ON else 1) for number, close in enumerate(CLOSES)]
DAYS, SHANGHAI = (
    pd.DatetimeIndex(TradingCalendar.of(name, "2024-01-02", "2024-03-01").sessions[:15]).as_unit("ns")
    for name in ("XNYS", "XSHG")
)
USUAL = "Date,Open,High,Low,Close,Volume"
PLAIN = "{d:%Y-%m-%d},{o},{h},{low},{c},{v}"
SPANISH = "{d:%d.%m.%Y};{c};{o};{h};{low};{m}M;0,10%"


def comma(number, digits=2):
    """Write a number as in Germany: 1.361,30."""
    return f"{number:,.{digits}f}".translate(str.maketrans(",.", ".,"))


def table(header, row, days=DAYS, closes=CLOSES, write=float):
    """Write one line for each session: d, o, h, low, c, v, adj (of closes after the split), m (volume in millions)."""
    lines = [header]
    for number, (day, close, volume) in enumerate(zip(days, closes, VOLUMES, strict=True)):
        prices = {"o": close - 2, "h": close + 5, "low": close - 6, "c": close}
        shown = {name: write(round(value, 4)) for name, value in prices.items()}
        adjusted = close / 2 if closes is BEFORE_SPLIT and number < SPLIT_ON else close
        on_split = number == SPLIT_ON
        lines.append(
            row.format(
                d=day, v=volume, m=comma(volume / 1e6), adj=adjusted, amount=volume * close,
                split=2.0 if on_split else 1.0, half=0.5 if on_split else 1.0, div=5000 if on_split else 0, **shown,
            )
        )  # fmt: skip
    return "\n".join(lines) + "\n"


def check(folder, files, **options):
    for name, content in files.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return check_folder(folder, FilesMarketParameters(**options), QualityParameters())


def rows_of(folder, files, **options):
    checked = check(folder, files, **options)
    assert checked.summary["problems"] == []
    return checked.seen.rows


READ = {
    "Stooq in Polish": ("aaa.csv", table("Data,Otwarcie,Najwyzszy,Najnizszy,Zamkniecie,Wolumen", PLAIN)),
    "investing.com in Spanish": (
        "Datos históricos AAA.csv", table("Fecha;Último;Apertura;Máximo;Mínimo;Vol.;% var.", SPANISH, write=comma),
    ),
    "investing.com in German": (
        "AAA Historische Daten.csv", table("Datum;Zuletzt;Eröffn.;Hoch;Tief;Vol.;+/- %", SPANISH, write=comma),
    ),
    "investing.com in French": (
        "AAA - Données Historiques.csv",
        table("Date;Dernier;Ouv.; Plus Haut;Plus Bas;Vol.;Variation %", SPANISH, write=comma),
    ),
    "investing.com in Portuguese": (
        "AAA Dados Históricos.csv", table("Data;Último;Abertura;Máxima;Mínima;Vol.;Var%", SPANISH, write=comma),
    ),
    **{
        f"investing.com in {language}": (
            "AAA.csv", "\ufeff" + table(header, f"{date};{SPANISH.split(';', 1)[1]}", write=comma),
        )
        for language, header, date in (
            ("Polish", "Data;Ostatnio;Otwarcie;Max.;Min.;Wol.;Zmiana%", "{d:%d.%m.%Y}"),
            ("Turkish", "Tarih;Şimdi;Açılış;Yüksek;Düşük;Hac.;Fark %", "{d:%d.%m.%Y}"),
            ("Russian", "Дата;Цена;Откр.;Макс.;Мин.;Объём;Изм. %", "{d:%d.%m.%Y}"),
            ("Dutch", "Datum;Laatst;Open;Hoog;Laag;Vol.;Verschil %", "{d:%d-%m-%Y}"),
            ("Swedish", "Datum;Senaste;Öppen;Högst;Lägst;Vol.;+/- %", "{d:%Y-%m-%d}"),
            ("Indonesian", "Tanggal;Terakhir;Pembukaan;Tertinggi;Terendah;Vol.;Perubahan%", "{d:%d/%m/%Y}"),
            ("Chinese", "日期;收盘;开盘;高;低;交易量;涨跌幅", "{d:%Y年%m月%d日}"),
            ("Japanese", "日付け;終値;始値;高値;安値;出来高;変化率 %", "{d:%Y年%m月%d日}"),
            ("Korean", "날짜;종가;시가;고가;저가;거래량;변동 %", "{d:%Y- %m- %d}"),
        )
    },
    "Refinitiv": (
        "x.csv",
        table("RIC,Date,TRDPRC_1,OPEN_PRC,HIGH_1,LOW_1,ACVOL_UNS", "AAA,{d:%Y-%m-%d},{c},{o},{h},{low},{v}"),
    ),
    "Windows in German": (
        "AAA.csv",
        table("Datum;Eröffnung;Hoch;Tief;Schluss;Volumen;Währung", "{d:%d.%m.%Y};{o};{h};{low};{c};{v};€", write=comma)
        .encode("cp1252"),
    ),
    "Windows in Korean": ("AAA.csv", table("날짜,시가,고가,저가,종가,거래량", PLAIN).encode("cp949")),
    "Excel's line of the separator": ("AAA.csv", "sep=;\n" + table(USUAL, PLAIN).replace(",", ";")),
    "EODHD, with its count": (
        "AAA.csv",
        table("Date,Open,High,Low,Close,Adjusted_close,Volume", PLAIN.replace("{v}", "{c},{v}")) + "15\n",
    ),
    "Financial Modeling Prep": (
        "AAA.csv",
        table("date,open,high,low,close,adjClose,volume,unadjustedVolume", PLAIN.replace("{v}", "{c},{v},{v}")),
    ),
    "Alpaca": (
        "bars.csv",
        table("symbol,timestamp,open,high,low,close,volume,trade_count,vwap",
              "AAA,{d:%Y-%m-%d} 05:00:00+00:00,{o},{h},{low},{c},{v},900,{c}"),
    ),
    "a page of Yahoo": (
        "AAA.csv", table("Date,Open,High,Low,Close*,Adj Close**,Volume", PLAIN.replace("{v}", "{c},{v}")),
    ),
}  # fmt: skip


@pytest.mark.parametrize("vendor", READ)
def test_an_export_in_another_convention_is_read_to_the_last_value(tmp_path, vendor):
    rows = rows_of(tmp_path, dict([READ[vendor]]))
    assert set(rows["instrument"]) == {"AAA"}
    assert (rows["date"].tolist(), rows["close"].tolist()) == (list(DAYS), CLOSES)
    assert rows["volume"].tolist() == VOLUMES


WITH_SPLIT = {
    "Yahoo of Japan": ("日付,始値,高値,安値,終値,出来高,調整後終値*", PLAIN + ",{adj}"),
    "Naver of Korea": ("날짜,시가,고가,저가,종가,거래량,수정종가", PLAIN + ",{adj}"),
    "a Spanish broker": ("Fecha,Apertura,Máximo,Mínimo,Cierre,Volumen,Cierre ajustado", PLAIN + ",{adj}"),
    "Marketstack": (
        "date,open,high,low,close,volume,adj_close,split_factor,dividend,symbol", PLAIN + ",{adj},{split},0.0,AAA",
    ),
    "Intrinio": ("ticker,date,open,high,low,close,volume,adj_close,split_ratio", "AAA," + PLAIN + ",{adj},{split}"),
}  # fmt: skip


@pytest.mark.parametrize("vendor", WITH_SPLIT)
def test_a_split_that_a_vendor_states_in_its_way_leaves_no_return(tmp_path, vendor):
    rows = rows_of(tmp_path, {"AAA.csv": table(*WITH_SPLIT[vendor], closes=BEFORE_SPLIT)})
    assert rows["close"].tolist() == BEFORE_SPLIT
    assert rows["split"].tolist() == [1.0] * SPLIT_ON + [2.0] + [1.0] * 7


CHINESE = {
    "RiceQuant": (
        "order_book_id,date,open,close,high,low,total_turnover,volume",
        "600000.XSHG,{d:%Y-%m-%d},{o},{c},{h},{low},{amount},{v}",
    ),
    "CSMAR": (
        "Stkcd,Trddt,Opnprc,Hiprc,Loprc,Clsprc,Dnshrtrd,Dnvaltrd",
        "600000.XSHG,{d:%Y-%m-%d},{o},{h},{low},{c},{v},{amount}",
    ),
}


@pytest.mark.parametrize("vendor", CHINESE)
def test_research_databases_of_china_are_read(tmp_path, vendor):
    rows = rows_of(tmp_path, {"all.csv": table(*CHINESE[vendor], days=SHANGHAI)})
    assert set(rows["instrument"]) == {"600000.XSHG"}
    assert (rows["close"].tolist(), rows["volume"].tolist()) == (CLOSES, VOLUMES)


def test_a_grid_of_bloomberg_has_its_instruments_above_the_fields(tmp_path):
    fields = "PX_OPEN,PX_HIGH,PX_LOW,PX_LAST,PX_VOLUME"
    header = f",AAA US Equity,,,,,BBB US Equity,,,,\nDates,{fields},{fields}"
    rows = rows_of(tmp_path, {"grid.csv": table(header, PLAIN + ",{o},{h},{low},{c},7")})
    assert rows.groupby("instrument")["close"].agg(list).to_dict() == {
        "AAA US Equity": CLOSES, "BBB US Equity": CLOSES,
    }  # fmt: skip


AKSHARE = "日期,开盘,收盘,最高,最低,成交量,成交额"
REFUSED = {
    "columns of several instruments without names": (
        table(f"{USUAL},Open,High,Low,Close,Volume", PLAIN + ",1,1,1,1,1"), "two columns for open, 'Open' and 'Open.1'",
    ),
    "dividends in Chinese": (table(USUAL + ",派息", PLAIN + ",0"), "has '派息', which may hold splits, dividends"),
    "a split as old per new": (
        table(USUAL + ",Split", PLAIN + ",{half}", closes=BEFORE_SPLIT), "those of the inverse ratio",
    ),
    "a dividend above the price": (table(USUAL + ",Dividend", PLAIN + ",{div}"), "dividend 5000 is not below"),
    "a dividend as a line of text": (
        table(USUAL, PLAIN) + "2024-01-24,0.24 Dividend,,,,\n", "open '0.24 Dividend' is no positive price",
    ),
    "shares where the layout has lots": (
        table(AKSHARE, "{d:%Y-%m-%d},{o},{c},{h},{low},{v},{amount}", days=SHANGHAI),
        "volume times close is 100 times the traded amount",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_would_be_read_wrong_is_named(tmp_path, what):
    text, words = REFUSED[what]
    summary = check(tmp_path, {"AAA.csv": text}).summary
    assert not summary["ok"]
    assert words in summary["problems"][0]


def test_volumes_in_shares_are_read_where_the_user_says_so(tmp_path):
    text = table(AKSHARE, "{d:%Y-%m-%d},{o},{c},{h},{low},{v},{amount}", days=SHANGHAI)
    assert rows_of(tmp_path, {"sh600000.csv": text}, volume_unit=1)["volume"].tolist() == VOLUMES


def test_one_listing_under_two_names_is_a_finding(tmp_path):
    text = table(USUAL, PLAIN)
    checked = check(tmp_path, {"GOOG.csv": text, "GOOG.US.csv": text})
    assert checked.summary["findings"] == {"same_bars": 1}
    assert "15 bars are those of GOOG" in checked.seen.findings["detail"].iloc[0]


def halves():
    """Return the bars of one listing that changed its name on the eighth session, and those of another one."""
    lines = table(USUAL, PLAIN).splitlines()
    return {
        "FB.csv": "\n".join(lines[:8]) + "\n",
        "META.csv": "\n".join([lines[0], *lines[8:]]) + "\n",
        "KO.csv": table(USUAL, PLAIN.replace("{v}", "9")),
    }


def test_bars_that_go_on_under_another_name_are_a_finding(tmp_path):
    checked = check(tmp_path, halves())
    (found,) = checked.seen.findings.loc[checked.seen.findings["check"] == "possible_rename"].to_dict("records")
    assert (found["instrument"], found["date"]) == ("FB", DAYS[6])
    assert "end where those of META begin" in found["detail"]


RENAMES = {
    "with its date": f"old,new,date\nFB,META,{DAYS[7]:%Y-%m-%d}\n",
    "without a date": "former,symbol\nFB,META\n",
    "in two steps": f"Old Symbol,New Symbol,Date\nMVRS,META,{DAYS[7]:%Y-%m-%d}\nFB,MVRS,\n",
}


@pytest.mark.parametrize("stated", RENAMES)
def test_a_file_states_a_rename(tmp_path, stated):
    rows = rows_of(tmp_path, {**halves(), "renames.csv": RENAMES[stated]})
    assert set(rows["instrument"]) == {"META", "KO"}
    assert rows.loc[rows["instrument"] == "META", "close"].tolist() == CLOSES


def test_a_name_that_is_used_again_keeps_its_later_bars(tmp_path):
    later = table(USUAL, PLAIN).splitlines()
    files = {"FB.csv": "\n".join(later) + "\n", "renames.csv": f"old,new,date\nFB,META,{DAYS[7]:%Y-%m-%d}\n"}
    assert rows_of(tmp_path, files)["instrument"].value_counts().to_dict() == {"FB": 8, "META": 7}


@pytest.mark.parametrize(
    ("text", "words"),
    [("old,date\nFB,2024-01-11\n", "has no column new"), ("old,new,date\nFB,META,soon\n", "state old and new name")],
)
def test_a_rename_that_cannot_be_read_is_refused(tmp_path, text, words):
    summary = check(tmp_path, {**halves(), "renames.csv": text}).summary
    assert words in summary["problems"][0]


ADJUSTED_TITLES = (
    "600519 贵州茅台 日线 前复权", "AAA hfq", "AAA hfq,,,,,", '"Prices, AAA hfq"', "AAA（后复权）", "复权方式:后复权",
    "复权方式：后复权；单位：元", "贵州茅台后复权日线", "後復權", "AAA;QFQ", "'hfq'", "贵州茅台hfq日线",
    "[Total Return]", "x/hfq", "adj_split_div|AAA",
)  # fmt: skip
TITLES_AS_TRADED = (
    "600519 贵州茅台 日线 不复权", "复权方式：不复权", "当前复权方式：不复权", "上市以前复权",
    "见后复权因子表", "AAA bfq,,,", "xhfq", "qfq2", "hfqs",
)  # fmt: skip


@pytest.mark.parametrize("blank", ["", "\n"])
@pytest.mark.parametrize("title", ADJUSTED_TITLES + TITLES_AS_TRADED)
def test_a_title_says_that_prices_are_adjusted_as_a_name_does(tmp_path, title, blank):
    for name in ("SH600519.csv", "SH600518.csv"):
        (tmp_path / name).write_text(f"{title}\n{blank}" + table(USUAL, PLAIN, days=SHANGHAI))
    readings = ReadingCache(None).read_all(sorted(tmp_path.iterdir()), tmp_path, FilesMarketParameters())
    adjusted = "splits_and_dividends" if title in ADJUSTED_TITLES else "none"
    assert [(reading.adjusted, len(reading.rows)) for reading in readings] == [(adjusted, 15)] * 2


def test_an_adjusted_title_is_a_finding(tmp_path):
    text = "AAA（后复权）,,,\n" + table(USUAL, PLAIN, days=SHANGHAI)
    summary = check(tmp_path, {"SH600519.csv": text}).summary
    assert (summary["problems"], summary["findings"]) == ([], {"adjusted_by_name": 1})


def sheets(folder, **tables):
    """Write a workbook: of each sheet what stands above its table."""
    data = pd.read_csv(io.StringIO(table(USUAL, PLAIN)))
    with pd.ExcelWriter(folder / "AAA.xlsx") as book:
        for name, title in tables.items():
            data.to_excel(book, sheet_name=name, index=False, startrow=2)
            book.sheets[name].cell(1, 2, title)
    return read_file(folder / "AAA.xlsx", folder, FilesMarketParameters())


def test_titles_and_names_of_sheets_say_that_prices_are_adjusted(tmp_path):
    assert sheets(tmp_path, Sheet1="Prices").adjusted == "none"
    assert sheets(tmp_path, Sheet1="AAA (hfq)").adjusted == "splits_and_dividends"
    assert sheets(tmp_path, 后复权="Prices").adjusted == "splits_and_dividends"
    assert sheets(tmp_path, AAA="后复权", BBB="后复权").adjusted == "splits_and_dividends"
    assert "not all say the same adjustment" in sheets(tmp_path, 不复权="", 后复权="").broken


def test_own_names_of_columns_are_found_below_a_title_in_a_workbook(tmp_path):
    data = pd.read_csv(io.StringIO(table("Tag,A,B,C,D,E", PLAIN)))
    data.to_excel(tmp_path / "AAA.xlsx", index=False, startrow=3)
    with pd.ExcelWriter(tmp_path / "AAA.xlsx", mode="a", if_sheet_exists="overlay") as book:
        pd.DataFrame([["Prices"]]).to_excel(book, header=False, index=False)
    own = {"date": "Tag", "open": "A", "high": "B", "low": "C", "close": "D", "volume": "E"}
    reading = read_file(tmp_path / "AAA.xlsx", tmp_path, FilesMarketParameters(columns=own))
    assert reading.rows["close"].tolist() == CLOSES


def test_a_title_above_a_column_per_field_and_instrument_is_heard(tmp_path):
    data = table("Date,AAA_Open,AAA_High,AAA_Low,AAA_Close,AAA_Volume", PLAIN)
    (tmp_path / "wide.csv").write_text(f"Prices (hfq)\n{data}")
    reading = read_file(tmp_path / "wide.csv", tmp_path, FilesMarketParameters())
    assert (reading.adjusted, len(reading.rows)) == ("splits_and_dividends", 15)


@pytest.mark.parametrize(
    ("names", "one_share"),
    [
        (["600000.SH", "sh600000"], True),
        (["sh.600000", "600000"], True),
        (["000001.SZ", "XSHE.000001"], True),
        (["600000.SH", "000001.SZ"], False),
        # Shanghai's index has the digits of a share of Shenzhen.
        (["000001.SH", "000001.SZ"], False),
    ],
)
def test_one_chinese_share_in_two_spellings_is_refused_and_not_two_instruments(tmp_path, names, one_share):
    given = {f"{name}.csv": table(USUAL, PLAIN, SHANGHAI) for name in names}
    problems = check(tmp_path, given).summary["problems"]
    assert [("are one Chinese share; rename one" in str(each)) for each in problems] == [True] * one_share
