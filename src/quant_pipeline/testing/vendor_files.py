"""A market written as every layout of the table of vendors, with what has to be read back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from quant_pipeline.testing import chinese_vendor_files, plain_files
from quant_pipeline.testing.market_to_write import (
    NUMBERS,
    PRICES,
    Written,
    dividend_factor,
    plain_columns,
    save_per_instrument,
    split_adjusted,
    total_return,
    without_actions,
)

Writer = Callable[[Path, pd.DataFrame], Written]


def _yahoo_columns(bars: pd.DataFrame) -> pd.DataFrame:
    table = split_adjusted(bars)
    return pd.DataFrame(
        {
            "Date": table["date"].dt.strftime("%Y-%m-%d"), "Open": table["open"], "High": table["high"],
            "Low": table["low"], "Close": table["close"], "Adj Close": table["close"] * dividend_factor(bars),
            "Volume": table["volume"], "Dividends": table["dividend"], "Stock Splits": bars["split"].replace(1.0, 0.0),
        }
    )  # fmt: skip


def write_alpha_vantage_adjusted(folder: Path, bars: pd.DataFrame) -> Written:
    """Write Alpha Vantage's daily adjusted CSV, newest row first."""
    factor = dividend_factor(bars)
    later = bars.groupby("instrument")["split"].transform(lambda ratio: ratio[::-1].cumprod()[::-1] / ratio)
    table = bars.assign(adjusted_close=bars["close"] / later * factor)
    names = {"date": "timestamp", "dividend": "dividend_amount", "split": "split_coefficient"}
    order = ["date", *PRICES, "adjusted_close", "volume", "dividend", "split"]
    save_per_instrument(folder, table, lambda rows: rows[order][::-1].rename(columns=names))
    return Written("alpha_vantage_adjusted", bars)


def write_alpha_vantage_adjusted_numbered(folder: Path, bars: pd.DataFrame) -> Written:
    """Write the same with the numbered names of the JSON."""
    names = [
        "date",
        "1. open",
        "2. high",
        "3. low",
        "4. close",
        "6. volume",
        "7. dividend amount",
        "8. split coefficient",
    ]
    order = ["date", *NUMBERS, "dividend", "split"]
    save_per_instrument(folder, bars, lambda rows: rows[order].set_axis(names, axis=1))
    return Written("alpha_vantage_adjusted_numbered", bars)


def write_alpha_vantage_numbered(folder: Path, bars: pd.DataFrame) -> Written:
    """Write the numbered daily CSV."""
    flat = without_actions(bars)
    names = ["date", "1. open", "2. high", "3. low", "4. close", "5. volume"]
    save_per_instrument(folder, flat, lambda rows: rows[["date", *NUMBERS]].set_axis(names, axis=1))
    return Written("alpha_vantage_numbered", flat)


def write_yahoo_history(folder: Path, bars: pd.DataFrame) -> Written:
    """Write ``Ticker.history(auto_adjust=False)``."""
    save_per_instrument(folder, bars, _yahoo_columns)
    return Written("yahoo_history", bars)


def write_yahoo_history_adjusted(folder: Path, bars: pd.DataFrame) -> Written:
    """Write ``Ticker.history()``: adjusted prices, dates with the offset of New York."""

    def table(rows: pd.DataFrame) -> pd.DataFrame:
        columns, factor = _yahoo_columns(rows), dividend_factor(rows)
        for name in ("Open", "High", "Low", "Close"):
            columns[name] *= factor
        columns["Date"] = rows["date"].dt.tz_localize("America/New_York").map(str)
        return columns.drop(columns="Adj Close")

    save_per_instrument(folder, bars, table)
    return Written("yahoo_history_adjusted", bars)


def write_yahoo(folder: Path, bars: pd.DataFrame) -> Written:
    """Write the classic download: no actions; dividends are in the adjusted close."""
    save_per_instrument(folder, bars, lambda rows: _yahoo_columns(rows).iloc[:, :7])
    return Written("yahoo", split_adjusted(bars).assign(split=1.0))


def write_yahoo_download(folder: Path, bars: pd.DataFrame) -> Written:
    """Write ``download()`` of many tickers: two lines of header and one with the name of the index."""
    table = total_return(bars)
    wide = table.pivot(index="date", columns="instrument", values=NUMBERS)
    wide.columns = pd.MultiIndex.from_tuples(
        [(field.title(), instrument) for field, instrument in wide.columns], names=["Price", "Ticker"]
    )
    wide.index.name = "Date"
    wide.to_csv(folder / "prices.csv")
    return Written("yahoo_download", table)


def write_stooq(folder: Path, bars: pd.DataFrame) -> Written:
    """Write Stooq's ASCII files."""
    table = total_return(bars)

    def columns(rows: pd.DataFrame) -> pd.DataFrame:
        fixed = {
            "<TICKER>": rows["instrument"],
            "<PER>": "D",
            "<DATE>": rows["date"].dt.strftime("%Y%m%d"),
            "<TIME>": "000000",
        }
        numbers = {f"<{name.upper()}>": rows[name] for name in PRICES}
        return pd.DataFrame(fixed | numbers | {"<VOL>": rows["volume"], "<OPENINT>": 0})

    save_per_instrument(folder, table, columns, "{}.txt")
    return Written("stooq", table)


def write_metatrader(folder: Path, bars: pd.DataFrame) -> Written:
    """Write the history of MetaTrader, separated by tabs."""
    flat = without_actions(bars)
    for instrument, rows in flat.groupby("instrument"):
        table = pd.DataFrame({"<DATE>": rows["date"].dt.strftime("%Y.%m.%d")})
        for name in PRICES:
            table[f"<{name.upper()}>"] = rows[name]
        table = table.assign(**{"<TICKVOL>": rows["volume"], "<VOL>": 0, "<SPREAD>": 1})
        table.to_csv(folder / f"{instrument}.csv", index=False, sep="\t")
    return Written("metatrader", flat)


def write_tiingo(folder: Path, bars: pd.DataFrame) -> Written:
    """Write Tiingo's end-of-day CSV."""
    adjusted, factor = split_adjusted(bars), dividend_factor(bars)
    table = bars.assign(
        adjClose=adjusted["close"] * factor, adjHigh=adjusted["high"] * factor, adjLow=adjusted["low"] * factor,
        adjOpen=adjusted["open"] * factor, adjVolume=adjusted["volume"],
    ).rename(columns={"dividend": "divCash", "split": "splitFactor"})  # fmt: skip
    order = ["date", "close", "high", "low", "open", "volume", "adjClose", "adjHigh", "adjLow", "adjOpen", "adjVolume",
             "divCash", "splitFactor"]  # fmt: skip
    save_per_instrument(
        folder, table, lambda rows: rows[order].assign(date=rows["date"].dt.strftime("%Y-%m-%dT00:00:00.000Z"))
    )
    return Written("tiingo", bars)


def write_quandl_wiki(folder: Path, bars: pd.DataFrame) -> Written:
    """Write the table of WIKI Prices."""
    adjusted, factor = split_adjusted(bars), dividend_factor(bars)
    table = bars.rename(columns={"instrument": "ticker", "dividend": "ex-dividend", "split": "split_ratio"})
    order = ["ticker", "date", *NUMBERS, "ex-dividend", "split_ratio"]
    table = table[order].assign(**{f"adj_{name}": adjusted[name] * factor for name in PRICES})
    table.assign(adj_volume=adjusted["volume"]).to_csv(folder / "WIKI_PRICES.csv", index=False)
    return Written("quandl_wiki", bars)


def write_polygon_flat_file(folder: Path, bars: pd.DataFrame) -> Written:
    """Write one file a day, with nanoseconds since 1970 of New York's midnight."""
    flat = without_actions(bars)
    for date, rows in flat.groupby("date"):
        start = rows["date"].dt.tz_localize("America/New_York").astype("int64")
        table = rows.rename(columns={"instrument": "ticker"}).assign(window_start=start, transactions=1000)
        order = ["ticker", "volume", "open", "close", "high", "low", "window_start", "transactions"]
        table[order].to_csv(folder / f"{date:%Y-%m-%d}.csv.gz", index=False)
    return Written("polygon_flat_file", flat)


def write_polygon_aggregates(folder: Path, bars: pd.DataFrame) -> Written:
    """Write the aggregates of the interface, with milliseconds."""
    table = split_adjusted(bars).assign(dividend=0.0, split=1.0)

    def columns(rows: pd.DataFrame) -> pd.DataFrame:
        start = rows["date"].dt.tz_localize("America/New_York").astype("int64") // 10**6
        letters = {"v": rows["volume"], "o": rows["open"], "c": rows["close"], "h": rows["high"], "l": rows["low"]}
        return pd.DataFrame(letters | {"t": start, "n": 7})

    save_per_instrument(folder, table, columns)
    return Written("polygon_aggregates", table)


def write_nasdaq(folder: Path, bars: pd.DataFrame) -> Written:
    """Write nasdaq.com's CSV: dollars, month first, newest first."""
    flat = without_actions(bars)

    def columns(rows: pd.DataFrame) -> pd.DataFrame:
        money = {name: rows[name].map("${:,.2f}".format) for name in PRICES}
        return pd.DataFrame(
            {
                "Date": rows["date"].dt.strftime("%m/%d/%Y"), "Close/Last": money["close"],
                "Volume": rows["volume"].map("{:.0f}".format), "Open": money["open"], "High": money["high"],
                "Low": money["low"],
            }
        )[::-1]  # fmt: skip

    save_per_instrument(folder, flat, columns)
    return Written("nasdaq", flat)


def write_investing(folder: Path, bars: pd.DataFrame) -> Written:
    """Write investing.com's CSV: a byte order mark, quotes, thousands, volume in millions."""
    flat = without_actions(bars)
    for instrument, rows in flat.groupby("instrument"):
        table = pd.DataFrame({"Date": rows["date"].dt.strftime("%m/%d/%Y")})
        for theirs, ours in (("Price", "close"), ("Open", "open"), ("High", "high"), ("Low", "low")):
            table[theirs] = rows[ours].map("{:,.2f}".format)
        table["Vol."] = (rows["volume"] / 1e6).map("{:.2f}M".format)
        table["Change %"] = "0.10%"
        file = folder / f"{instrument} Historical Data.csv"
        table[::-1].to_csv(file, index=False, quoting=1, encoding="utf-8-sig")
    return Written("investing", flat)


def write_binance(folder: Path, bars: pd.DataFrame) -> Written:
    """Write klines without a header, on days that include weekends."""
    flat = without_actions(bars)
    days = pd.date_range("2024-01-01", periods=bars["date"].nunique()).as_unit("ns")
    flat["date"] = np.tile(days, bars["instrument"].nunique())
    for instrument, rows in flat.groupby("instrument"):
        start = rows["date"].astype("int64") // 10**6
        table = pd.DataFrame({"start": start, **{name: rows[name] for name in NUMBERS}, "end": start + 86_399_999})
        table = table.assign(quote=rows["volume"] * rows["close"], count=1000, base=1, taker=1, ignore=0)
        table.to_csv(folder / f"{instrument}-1d-2024.csv", index=False, header=False)
    return Written("binance", flat)


def write_kaggle_all_stocks_5yr(folder: Path, bars: pd.DataFrame) -> Written:
    """Write the table of Kaggle's S&P 500 set."""
    table = split_adjusted(bars).assign(dividend=0.0, split=1.0)
    order = ["date", *NUMBERS, "instrument"]
    table[order].rename(columns={"instrument": "Name"}).to_csv(folder / "all_stocks_5yr.csv", index=False)
    return Written("kaggle_all_stocks_5yr", table)


def write_kaggle_huge_stock_market(folder: Path, bars: pd.DataFrame) -> Written:
    """Write one text file per stock."""
    table = total_return(bars)
    save_per_instrument(folder, table, lambda rows: plain_columns(rows).assign(OpenInt=0), "{}.txt")
    return Written("kaggle_huge_stock_market", table)


def write_eodhd(folder: Path, bars: pd.DataFrame) -> Written:
    """Write closes as traded beside an adjusted close, from which splits and dividends follow."""
    adjusted = split_adjusted(bars)["close"] * dividend_factor(bars)
    table = bars.assign(Adjusted_close=adjusted)
    save_per_instrument(folder, table, lambda rows: plain_columns(rows).assign(Adjusted_close=rows["Adjusted_close"]))
    return Written("eodhd", bars)


def _as_permnos(bars: pd.DataFrame) -> pd.DataFrame:
    numbers = {name: str(10001 + index) for index, name in enumerate(bars["instrument"].unique())}
    return bars.assign(instrument=bars["instrument"].map(numbers))


def _returns(bars: pd.DataFrame) -> pd.Series:
    before = bars.groupby("instrument")["close"].shift()
    return (bars["close"] + bars["dividend"]) * bars["split"] / before - 1


def write_crsp(folder: Path, bars: pd.DataFrame) -> Written:
    """Write CRSP's daily stock file: total returns, a letter for the first, a minus before means of bid and ask."""
    table = _as_permnos(bars)
    later = bars.groupby("instrument")["split"].transform(lambda ratio: ratio[::-1].cumprod()[::-1] / ratio)
    sign = np.where(np.arange(len(bars)) % 17 == 5, -1.0, 1.0)
    names = {"instrument": "PERMNO", "low": "BIDLO", "high": "ASKHI", "open": "OPENPRC", "volume": "VOL"}
    shown = table.assign(
        TICKER=bars["instrument"], PRC=bars["close"] * sign, RET=_returns(bars).map(repr).replace("nan", "C"),
        SHROUT=1000, CFACPR=later, CFACSHR=later,
    ).rename(columns=names)  # fmt: skip
    shown.drop(columns=["close", "dividend", "split"]).to_csv(folder / "dsf.csv", index=False)
    return Written("crsp", table)


def write_crsp_ciz(folder: Path, bars: pd.DataFrame) -> Written:
    """Write CRSP's daily stock file of format 2, one file a month."""
    table = _as_permnos(bars)
    names = {"instrument": "PERMNO", "date": "DlyCalDt", "low": "DlyLow", "high": "DlyHigh", "open": "DlyOpen"}
    shown = table.assign(DlyPrc=bars["close"], DlyClose=bars["close"], DlyRet=_returns(bars), Ticker=bars["instrument"])
    shown = shown.rename(columns=names | {"volume": "DlyVol"}).drop(columns=["close", "dividend", "split"])
    for month, rows in shown.groupby(bars["date"].dt.month):
        rows.to_csv(folder / f"ciz_{month:02d}.csv", index=False)
    return Written("crsp_ciz", table)


def write_sharadar(folder: Path, bars: pd.DataFrame) -> Written:
    """Write the table SEP: adjusted for splits, with closes adjusted for dividends too and closes as traded."""
    adjusted = split_adjusted(bars)
    table = adjusted.assign(closeadj=adjusted["close"] * dividend_factor(bars), closeunadj=bars["close"])
    table = table.rename(columns={"instrument": "ticker"})[["ticker", "date", *NUMBERS, "closeadj", "closeunadj"]]
    table.assign(lastupdated="2024-05-01").to_csv(folder / "SHARADAR_SEP.csv", index=False)
    return Written("sharadar", bars)


def write_databento(folder: Path, bars: pd.DataFrame) -> Written:
    """Write daily bars of Databento: nanoseconds since 1970, prices in billionths."""
    flat = without_actions(bars)
    fixed = {name: (flat[name] * 1e9).round().astype("int64") for name in PRICES}
    table = pd.DataFrame({"ts_event": flat["date"].astype("int64"), "rtype": 35, "publisher_id": 2, "instrument_id": 7})
    table = table.assign(**fixed, volume=flat["volume"].astype("int64"), symbol=flat["instrument"])
    table.to_csv(folder / "xnas-itch-20240102.ohlcv-1d.csv", index=False)
    return Written("databento", flat)


def _writers(module: Mapping[str, Any], calendar: str) -> dict[str, tuple[Writer, str]]:
    return {
        name.removeprefix("write_"): (function, calendar)
        for name, function in module.items()
        if name.startswith("write_")
    }


WRITERS = (
    _writers(vars(plain_files), "XNYS")
    | _writers(dict(globals()), "XNYS")
    | _writers(vars(chinese_vendor_files), "XSHG")
)
"""Name of a writer to it and to the calendar of its market."""
