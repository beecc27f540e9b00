"""Names of instruments, checked once; endings of files of tables, which are taken off names of files."""

from __future__ import annotations

import os
import re
import unicodedata
from contextlib import suppress
from pathlib import PurePath

import pandas as pd

from quant_pipeline.common.exceptions import MarketDataError
from quant_pipeline.market.chinese_codes import chinese_code
from quant_pipeline.market.sources.files.layouts import ALL, SPLITS

DATA_ENDINGS = (".csv", ".txt", ".tsv", ".dat", ".parquet", ".pq", ".xlsx", ".feather")
PACKED_ENDINGS = (".gz", ".bz2", ".xz", ".zip", ".zst")

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_PAIR = re.compile(r"[A-Za-z0-9._-]*[A-Za-z0-9](/[A-Za-z0-9]+)(:[A-Za-z0-9]+)?")
_CHINESE = "[前后後][复復][权權]"
_LATIN = r"(?<![a-z0-9])(?:{})(?![a-z0-9])"
_ADJUSTED_NAMES = (
    # Words such as 当前复权 (the present adjustment) and 复权因子 (its factor) say nothing of prices.
    (re.compile(rf"(?<![当目之以今]){_CHINESE}(?!因子)"), ALL),
    (re.compile(_LATIN.format(r"hfq|qfq|adj_?split_?div|total[\s_-]?return"), re.IGNORECASE), ALL),
    (re.compile(_LATIN.format(r"adj_?split"), re.IGNORECASE), SPLITS),
)
"""What names of files, folders and sheets, and titles, say that their prices are adjusted for."""
_ADDED_BY_VENDORS = (
    re.compile(rf"^[\W_]*(?:(?:hfq|qfq|bfq)[\W_]+|(?:{_CHINESE}|不[复復][权權])[\W_]*)", re.IGNORECASE),
    re.compile(rf"(?:[\W_]+(?:hfq|qfq|bfq)|[\W_]*(?:{_CHINESE}|不[复復][权權]))[\W_]*$", re.IGNORECASE),
    re.compile(
        r" (- ?)?(Historical Data|Stock Price History|Historical Prices|Historische Daten|Historische Kurse"
        r"|Données Historiques|Datos Históricos|Dados Históricos|Dati Storici)$",
        re.IGNORECASE,
    ),
    re.compile(r"^(Datos Históricos|Dados Históricos) (- ?)?", re.IGNORECASE),
    re.compile(r" ?\(\d+\)$"),
    re.compile(r", ?\d*[DWM]([_ ][0-9a-f]{5,6})?$"),
    re.compile(r"_(price-history|daily_historical-data|daily-nearby_historical-data)-\d\d-\d\d-\d{4}$", re.IGNORECASE),
    re.compile(r"_candlestick_\d+_[a-z]+_.*$", re.IGNORECASE),
    re.compile(r"_full_1day(_adj\w*|_unadjusted)?$", re.IGNORECASE),
    re.compile(r"-(\d+(s|m|h|d|w|mo))-\d{4}(-\d{2}){0,2}$"),
    re.compile(r"[_-]\d+(min|m|h|hour)$", re.IGNORECASE),
    re.compile(r"[_ -]\d{4}(-?\d{2}-?\d{2})?[-_]+(to[-_])?\d{4}(-?\d{2}-?\d{2})?$", re.IGNORECASE),
    re.compile(
        r"[_-](daily|data|1d|ohlcv|prices|history|historical|stock|stock_data|1day|day|adjusted)$", re.IGNORECASE
    ),
    re.compile(r"^(time_series_)?daily_(adjusted_)?", re.IGNORECASE),
)


def printable(name: str) -> str:
    r"""Return the name of a file as messages and tables hold it: bytes that are no UTF-8, or a control, as ``\xe9``."""
    text = os.fsencode(name).decode(errors="backslashreplace")
    return _UNPRINTABLE.sub(lambda sign: sign[0].encode("unicode_escape").decode(), text)


def stem_of(path: PurePath) -> str:
    """Return the name of a file without the endings of tables: ``aaa.us`` of ``aaa.us.txt.gz``."""
    name = path.name
    for endings in (PACKED_ENDINGS, DATA_ENDINGS):
        ending = next((ending for ending in endings if name.lower().endswith(ending)), "")
        name = name[: len(name) - len(ending)]
    return name


def instrument_of(path: PurePath, pattern: str | None) -> str:
    """Return the instrument that a file is named after, in capitals.

    Parameters
    ----------
    path
        The file.
    pattern
        Pattern with ``{symbol}``, for instance ``{symbol}_daily.csv``; without it what vendors add to names of files
        (``Historical Data``, ranges of years, ``(1)`` of a second download) is taken off.
    """
    if pattern is not None and "{symbol}" in pattern:
        before, after = (part.replace("\\*", ".*") for part in map(re.escape, pattern.split("{symbol}", 1)))
        found = re.fullmatch(f"(?:.*/)?{before}(.+?){after}", path.as_posix())
        if found is not None:
            return found[1].rpartition("/")[2].upper()
    name, longer = stem_of(path).strip(), ""
    if name.isascii() and name.isalnum():
        return name.upper()  # Latin words that vendors add are set apart by another sign.
    while name != longer:
        longer = name
        for addition in _ADDED_BY_VENDORS:
            name = addition.sub("", name).strip() or name
    return re.sub(r"_us_d$", ".US", name, flags=re.IGNORECASE).upper()


def adjustment_named(path: PurePath, title: str) -> tuple[str, str]:
    """Return what the name of a file, of a folder around it, or its title says that prices are adjusted for."""
    parts = (stem_of(path), *map(str, path.parent.parts), title)
    return next((said for said in map(adjustment_said, parts) if said[0]), ("", ""))


def adjustment_said(text: str) -> tuple[str, str]:
    """Return what a name or a title says that prices are adjusted for, and its word; empty where it says nothing."""
    for mark, adjusted in _ADJUSTED_NAMES:
        found = mark.search(text)
        if found is not None:
            return adjusted, found.group()
    return "", ""


def tidy_name(name: str) -> str:
    """Return the name by which an instrument is kept: without blanks around, a pair such as BTC/USDT as BTC-USDT."""
    name = unicodedata.normalize("NFC", name)
    name = "".join(sign for sign in name if unicodedata.category(sign) != "Cf").strip()
    return re.sub(r"[/:]", "-", name) if _PAIR.fullmatch(name) else name


def fault_of(name: str) -> str | None:
    """Return why a name cannot be one of an instrument; None when it can."""
    if not name:
        return "is empty"
    if re.search(r'[/\\\x00-\x1f<>"|?*]', name):
        return "holds a sign that names of files cannot have"
    if set(name) <= {"."}:
        return "is a path"
    return "is longer than 100 signs" if len(name) > 100 else None


def case_twins(names: pd.Index) -> list[list[str]]:
    """Return groups of names that differ by capital letters only, which one folder of files cannot hold."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(name.casefold(), []).append(name)
    return [sorted(group) for _, group in sorted(groups.items()) if len(group) > 1]


def share_twins(names: pd.Index) -> list[list[str]]:
    """Return groups of names that are one Chinese share in the spellings of several vendors."""
    groups: dict[str, list[str]] = {}
    for name in names:
        with suppress(MarketDataError):
            groups.setdefault(chinese_code(str(name)), []).append(str(name))
    return [sorted(group) for group in groups.values() if len({name.casefold() for name in group}) > 1]
