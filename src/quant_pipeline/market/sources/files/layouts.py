"""The layouts of vendors: names of columns, what prices are adjusted for, units. Data, no code.

A layout fits when all its ``marks`` are in the header. Sources are the vendors' own descriptions of their exports.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

FIELDS = (
    "date", "time", "instrument", "open", "high", "low", "close", "volume", "amount", "vendor_adjusted_close",
    "dividend", "split", "capital_gain", "previous_close", "suspended", "adjust_flag", "total_return", "traded_close",
)  # fmt: skip
REQUIRED = ("date", "open", "high", "low", "close", "volume")
NUMBERS = (
    "open", "high", "low", "close", "volume", "amount", "vendor_adjusted_close", "dividend", "capital_gain",
    "previous_close", "total_return", "traded_close",
)  # fmt: skip
"""Fields of numbers; a split is a ratio, which has forms of its own."""
NONE, SPLITS, ALL = "none", "splits", "splits_and_dividends"


@dataclass(frozen=True)
class Layout:
    """How one vendor writes bars.

    Attributes
    ----------
    title
        What people call it.
    marks
        Names of columns, in small letters, that identify the layout.
    without
        Names that must not be there.
    columns
        Names of this vendor to ours, in addition to `SYNONYMS`, which they overrule.
    adjusted
        What the prices are adjusted for: ``none`` (as traded), ``splits``, ``splits_and_dividends``.
    volume_unit, amount_unit
        Shares per unit of volume, currency per unit of traded amount.
    fixed_point
        What one unit of a price is where prices are whole numbers beyond a million.
    quotes_are_negative
        Whether a close below zero is the mean of bid and ask of a session without a trade.
    two_header_lines
        Whether the file has a line of fields and a line of instruments.
    order
        Columns of a file without header, in order.
    """

    title: str
    marks: frozenset[str] = frozenset()
    without: frozenset[str] = frozenset()
    columns: Mapping[str, str] = field(default_factory=dict)
    adjusted: str = NONE
    volume_unit: float = 1.0
    amount_unit: float = 1.0
    fixed_point: float = 1.0
    quotes_are_negative: bool = False
    two_header_lines: bool = False
    order: tuple[str, ...] = ()

    @property
    def rows_stand_alone(self) -> bool:
        """Whether a row means the same whatever the others are; all of them say whether prices are fixed points."""
        return self.fixed_point == 1.0


def _layout(title: str, marks: str = "", without: str = "", **more: object) -> Layout:
    return Layout(title, frozenset(_names(marks)), frozenset(_names(without)), **more)  # type: ignore[arg-type]


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split("|") if name.strip()]


def _of_crsp(names: str) -> dict[str, str]:
    """Return columns that total returns explain, and that are not used."""
    return dict.fromkeys(names.split(), "")


_BINANCE = (
    "open_time", "open", "high", "low", "close", "volume", "close_time", "quote_volume", "count",
    "taker_buy_volume", "taker_buy_quote_volume", "ignore",
)  # fmt: skip

LAYOUTS: Mapping[str, Layout] = MappingProxyType(
    {
        "alpha_vantage_adjusted": _layout(
            "Alpha Vantage TIME_SERIES_DAILY_ADJUSTED", "dividend_amount | split_coefficient"
        ),
        "alpha_vantage_adjusted_numbered": _layout(
            "Alpha Vantage TIME_SERIES_DAILY_ADJUSTED, numbered", "7. dividend amount | 8. split coefficient"
        ),
        "alpha_vantage_numbered": _layout(
            "Alpha Vantage TIME_SERIES_DAILY, numbered", "1. open | 4. close", "8. split coefficient"
        ),
        "yahoo_history": _layout(
            "Yahoo, with adjusted close and actions (auto_adjust=False)",
            "adj close | dividends | stock splits",
            adjusted=SPLITS,
        ),
        "yahoo_history_adjusted": _layout(
            "Yahoo Ticker.history(), adjusted closes with actions", "dividends | stock splits", "adj close",
            adjusted=ALL,
        ),
        "yahoo": _layout(
            "Yahoo, with adjusted close", "adj close",
            "dividends | stock splits | ex-dividend | split_ratio | divcash | splitfactor | split_coefficient"
            " | split_factor | split | splits | dividend | div",
            adjusted=SPLITS,
        ),
        "yahoo_download": _layout("Yahoo download(), adjusted closes", adjusted=ALL, two_header_lines=True),
        "stooq": _layout("Stooq ASCII", "<date> | <close> | <vol>", "<tickvol>", adjusted=ALL),
        "metatrader": _layout(
            "MetaTrader", "<date> | <close> | <tickvol>", columns={"<tickvol>": "volume", "<vol>": ""}
        ),
        "tiingo": _layout("Tiingo", "divcash | splitfactor"),
        "quandl_wiki": _layout("Quandl WIKI Prices", "ex-dividend | split_ratio"),
        "polygon_flat_file": _layout(
            "Polygon flat file", "window_start | transactions", columns={"window_start": "date"}
        ),
        "polygon_aggregates": _layout(
            "Polygon aggregates", "t | o | h | l | c | v",
            columns={"t": "date", "o": "open", "h": "high", "l": "low", "c": "close", "v": "volume"},
            adjusted=SPLITS,
        ),
        "nasdaq": _layout("nasdaq.com", "close/last", columns={"close/last": "close"}, adjusted=SPLITS),
        "investing": _layout(
            "investing.com", "price | vol. | change %", columns={"price": "close"}, adjusted=SPLITS
        ),
        "binance": _layout(
            "Binance klines", "open_time | close_time", columns={"open_time": "date", "ignore": ""}, order=_BINANCE
        ),
        "kaggle_all_stocks_5yr": _layout(
            "Kaggle S&P 500, five years", "date | open | high | low | close | volume | name", "symbol | ticker",
            columns={"name": "instrument"}, adjusted=SPLITS,
        ),
        "kaggle_huge_stock_market": _layout(
            "Kaggle Huge Stock Market", "openint", "<date>", adjusted=ALL
        ),
        "eodhd": _layout(
            "EODHD, adjusted close beside closes as traded", "adjusted_close",
            "dividend_amount | split_coefficient",
        ),
        "sharadar": _layout(
            "Sharadar SEP, adjusted for splits beside closes as traded and for dividends", "closeadj | closeunadj",
            columns={"closeunadj": "traded_close"}, adjusted=SPLITS,
        ),
        "crsp": _layout(
            "CRSP daily stock file", "permno | prc | ret | openprc | askhi | bidlo",
            columns={"permno": "instrument", "prc": "close", "openprc": "open", "askhi": "high", "bidlo": "low",
                     "vol": "volume", "ret": "total_return"}
            | _of_crsp("ticker cfacpr cfacshr facpr facshr divamt"),
            quotes_are_negative=True,
        ),
        "crsp_ciz": _layout(
            "CRSP daily stock file, format 2", "permno | dlycaldt | dlyprc | dlyret | dlyopen",
            columns={"permno": "instrument", "dlycaldt": "date", "dlyprc": "close", "dlyopen": "open",
                     "dlyhigh": "high", "dlylow": "low", "dlyvol": "volume", "dlyret": "total_return"}
            | _of_crsp("ticker dlyclose dlycumfacpr dlycumfacshr dlyfacprc dlyorddivamt dlynonorddivamt disfacpr"
                       " disfacshr"),
            quotes_are_negative=True,
        ),
        "databento": _layout(
            "Databento OHLCV", "ts_event | rtype | open | close", columns={"ts_event": "date"}, fixed_point=1e-9,
        ),
        "tushare": _layout(
            "tushare daily", "ts_code | trade_date", columns={"vol": "volume", "pre_close": "previous_close"},
            volume_unit=100.0, amount_unit=1000.0,
        ),
        "akshare": _layout(
            "akshare stock_zh_a_hist", "日期 | 开盘 | 收盘 | 成交量", volume_unit=100.0,
        ),
        "baostock": _layout(
            "baostock", "preclose | adjustflag | tradestatus",
            columns={"preclose": "previous_close", "tradestatus": "suspended", "adjustflag": "adjust_flag"},
        ),
    }
)  # fmt: skip

PLAIN = "plain"
PLAIN_LAYOUT = Layout("bars as traded")

SYNONYMS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "date": (
            "date", "timestamp", "datetime", "day", "trade_date", "tradedate", "trading_date", "trade date",
            "session", "<date>", "日期", "交易日期", "open_time", "dt", "trading day", "date/time", "gmt time",
            "local time", "exchange date", "<dtyyyymmdd>", "traddt", "trade_time", "时间",
            "dates", "datum", "fecha", "data", "날짜", "日付", "日付け", "trddt", "tarih", "дата", "tanggal",
        ),
        "time": ("<time>", "time"),
        "instrument": (
            "instrument", "symbol", "ticker", "<ticker>", "ts_code", "code", "stock_code", "stock", "asset", "sid",
            "股票代码", "证券代码", "代码", "symbols", "tickers", "act_symbol", "secucode", "order_book_id", "stkcd",
            "wind_code", "tckrsymb",
        ),
        "open": ("open", "<open>", "1. open", "open_price", "openprice", "open price", "开盘", "开盘价",
                 "开盘价(元)", "px_open", "opnpric", "ouvert", "ouverture", "eröffnung", "eröffn.", "ouv.", "apertura",
                 "abertura", "otwarcie", "시가", "始値", "open_prc", "opnprc",
                 "açılış", "откр.", "öppen", "pembukaan"),  # noqa: RUF001
        "high": ("high", "<high>", "2. high", "high_price", "highprice", "high price", "最高", "最高价",
                 "最高价(元)", "px_high", "hghpric", "haut", "plus haut", "hoch", "máximo",
                 "maximo", "máxima", "maxima", "massimo", "najwyzszy", "고가", "高値", "high_1", "hiprc", "高", "max.",
                 "yüksek", "макс.", "hoog", "högst", "tertinggi"),
        "low": ("low", "<low>", "3. low", "low_price", "lowprice", "low price", "最低", "最低价", "最低价(元)",
                "px_low", "lwpric",
                "bas", "plus bas", "tief", "mínimo", "minimo", "mínima", "minima", "najnizszy", "저가",
                "安値", "low_1", "loprc", "低", "min.", "düşük", "мин.", "laag", "lägst", "terendah"),
        "close": ("close", "<close>", "4. close", "close_price", "closeprice", "close price", "last", "收盘", "收盘价",
                  "收盘价(元)", "px_last", "clspric",
                  "clot", "clôture", "cloture", "schluss", "schlusskurs", "cierre", "종가",
                  "終値", "zuletzt", "dernier", "último", "ultimo", "fechamento", "chiusura", "zamkniecie",
                  "trdprc_1", "clsprc", "ostatnio", "şimdi", "цена", "laatst", "senaste", "terakhir"),
        "volume": (
            "volume", "<vol>", "5. volume", "6. volume", "vol", "vol.", "shares traded", "total volume", "成交量",
            "成交量(股)", "px_volume", "volumen", "stück", "stuecke", "no.of shares", "no. of shares", "tottrdqty",
            "ttltradgvol", "거래량", "出来高", "wolumen", "acvol_uns", "acvol_1", "dnshrtrd", "交易量",
            "wol.", "hac.", "объём",
        ),
        "amount": ("amount", "成交额", "quote_volume", "quote_asset_volume", "traded_value", "money", "成交金额",
                   "total_turnover", "dnvaltrd", "ttltrfval"),
        "vendor_adjusted_close": (
            "vendor_adjusted_close", "adjusted_close", "adj close", "adj_close", "adjclose", "5. adjusted close",
            "adjusted close", "adj. close", "close_adj", "closeadj", "調整後終値", "수정종가",
            "cierre ajustado", "fechamento ajustado", "clôture ajustée",
        ),
        "dividend": (
            "dividend", "dividends", "dividend_amount", "7. dividend amount", "divcash", "ex-dividend",
            "cash_dividend", "div", "divs", "ex_dividend", "dividend amount",
        ),
        "split": (
            "split", "splits", "stock splits", "split_coefficient", "8. split coefficient", "splitfactor",
            "split_ratio", "split_factor", "split ratio", "split factor", "split coefficient",
        ),
        "capital_gain": ("capital gains", "capital_gains"),
        "adjust_flag": ("adjustflag", "adjust_flag", "adjust", "adjust_type", "复权", "复权类型", "复权方式"),
    }
)  # fmt: skip
CANONICAL = {name: ours for ours, names in SYNONYMS.items() for name in names}

VARIANTS = MappingProxyType(
    {"stock_splits": "stock splits", "stocksplits": "stock splits", "adj_close": "adj close", "adjclose": "adj close"}
)
"""Spellings of Yahoo's columns in packages that rename them."""

KNOWN_UNUSED = frozenset(
    _names(
        "adj_open | adj_high | adj_low | adj_volume | adjopen | adjhigh | adjlow | adjvolume | adj_factor"
        " | adj open | adj high | adj low | adj volume | unadjustedvolume"
    )
)
"""Columns that repeat what splits and dividends of the same row say."""

SUSPICIOUS = (
    "split", "div", "adj", "factor", "ajex", "cfac", "trfd", "bonus",
    "payout", "distribution", "total return", "total_return", "tot_return", "dvd", "dlret",
    "ex_date", "ex-date", "exdate", "ex date", "cash_amount", "record_date", "pay_date", "payment_date",
    "raw close", "raw_close", "close_raw",
    "rights", "capital gain", "reverse", "consolid", "nominal", "spinoff", "spin_off", "spin-off", "scrip",
    "corporate", "capital_change", "as_traded", "ajust", "bereinigt", "desdob", "frazion", "rettific",
    "复权", "分红", "拆", "派息", "派现", "送股", "转增", "股息", "红利", "除权",
    "調整", "配当", "分割", "수정", "배당", "액면",
)  # fmt: skip
"""Words of columns that change returns when they are not used."""

SUSPICIOUS_NAMES = frozenset(
    _names("ratio | action | actions | event | events | coef | coefficient | tri | cash | cumret")
)
"""Whole names that may mean the same."""

OTHER_CLOSE = re.compile(
    r"clos(?!.*(?:time|date|chang|chg|pct|%|bid|ask|ratio|log|ret|diff|lag|shift|sma|ema|mean|std|rsi|\d))",
    re.IGNORECASE,
)
"""A second close: of two, one may be as traded and the other adjusted."""
PREVIOUS = re.compile(r"prev|pre_?clos|prior|yesterday|last_clos|昨")
