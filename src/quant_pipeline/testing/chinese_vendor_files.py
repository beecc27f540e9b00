"""A market written as the files of tushare, akshare and baostock."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from quant_pipeline.testing.market_to_write import PRICES, Written, save_per_instrument, without_actions


def write_tushare(folder: Path, bars: pd.DataFrame) -> Written:
    """Write tushare's daily bars of A-shares: lots, thousands of CNY, newest first."""
    flat = without_actions(bars)
    codes = {name: f"6000{index:02d}.SH" for index, name in enumerate(flat["instrument"].unique())}
    flat["instrument"] = flat["instrument"].map(codes)
    before = flat.groupby("instrument")["close"].shift().fillna(flat["close"])
    table = flat.assign(
        ts_code=flat["instrument"], trade_date=flat["date"].dt.strftime("%Y%m%d"), pre_close=before,
        change=flat["close"] - before, pct_chg=0.0, vol=flat["volume"] / 100,
        amount=flat["volume"] * flat["close"] / 1000,
    )  # fmt: skip
    order = ["ts_code", "trade_date", *PRICES, "pre_close", "change", "pct_chg", "vol", "amount"]
    save_per_instrument(folder, table, lambda rows: rows[order][::-1])
    return Written("tushare", flat)


def write_akshare(folder: Path, bars: pd.DataFrame) -> Written:
    """Write akshare's bars with Chinese names, in GBK."""
    flat = without_actions(bars)
    codes = {name: f"6000{index:02d}" for index, name in enumerate(flat["instrument"].unique())}
    flat["instrument"] = flat["instrument"].map(codes)
    for code, rows in flat.groupby("instrument"):
        table = pd.DataFrame(
            {
                "日期": rows["date"].dt.strftime("%Y-%m-%d"), "股票代码": code, "开盘": rows["open"],
                "收盘": rows["close"], "最高": rows["high"], "最低": rows["low"], "成交量": rows["volume"] / 100,
                "成交额": rows["volume"] * rows["close"], "振幅": 1.0, "涨跌幅": 0.1, "涨跌额": 0.1, "换手率": 0.3,
            }
        )  # fmt: skip
        table.to_csv(folder / f"sh{code}.csv", index=False, encoding="gbk")
    return Written("akshare", flat)


def write_baostock(folder: Path, bars: pd.DataFrame) -> Written:
    """Write baostock's bars: volume in shares, a flag of suspension."""
    flat = without_actions(bars)
    codes = {name: f"sh.6000{index:02d}" for index, name in enumerate(flat["instrument"].unique())}
    flat["instrument"] = flat["instrument"].map(codes)
    before = flat.groupby("instrument")["close"].shift().fillna(flat["close"])
    table = flat.rename(columns={"instrument": "code"}).assign(
        preclose=before,
        amount=flat["volume"] * flat["close"],
        adjustflag=3,
        turn=0.5,
        tradestatus=1,
        pctChg=0.1,
        isST=0,
    )
    order = [
        "date",
        "code",
        *PRICES,
        "preclose",
        "volume",
        "amount",
        "adjustflag",
        "turn",
        "tradestatus",
        "pctChg",
        "isST",
    ]
    save_per_instrument(folder, table.assign(instrument=flat["instrument"]), lambda rows: rows[order])
    return Written("baostock", flat)
