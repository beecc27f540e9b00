"""Which layout a file has, and which of its columns is which."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import lru_cache

import numpy as np
import pandas as pd

from quant_pipeline.common.listing import first_of
from quant_pipeline.market.sources.files.column_names import (
    HUNDREDTHS,
    LOTS,
    MONEY,
    MULTIPLES,
    column_name,
)
from quant_pipeline.market.sources.files.layouts import (
    CANONICAL,
    FIELDS,
    KNOWN_UNUSED,
    LAYOUTS,
    OTHER_CLOSE,
    PLAIN,
    PLAIN_LAYOUT,
    PREVIOUS,
    REQUIRED,
    SUSPICIOUS,
    SUSPICIOUS_NAMES,
    SYNONYMS,
    Layout,
)
from quant_pipeline.market.sources.files.numbers import read_numbers
from quant_pipeline.market.sources.files.options import FilesMarketParameters

_PRICED = {"open", "high", "low", "close", "vendor_adjusted_close", "dividend", "previous_close"}
_CURRENCY = {"currency", "ccy", "curr", "currency_code", "货币", "币种", "währung", "devise", "moneda"}
_MAYBE_INSTRUMENTS = {"name", "id", "security", "company", "ric"}
_RANKS = {name: rank for names in SYNONYMS.values() for rank, name in enumerate(names)}
"""Place of a name among those of its field: of several in one file, such as Last and Close, the first one is taken."""
_KEY = {"date", "instrument"}
_IN_ROW = {"vendor_adjusted_close", "dividend", "split"}
_ACTIONS = {*SYNONYMS["split"], *SYNONYMS["dividend"]}
_OF_ACTIONS = re.compile(r"split|dividend|factor|(?<![a-z])actions?(?![a-z])")
_CAREFUL = _IN_ROW | {"instrument"}
_MAPPED = _CAREFUL | {"total_return", "traded_close"}


@dataclass(frozen=True)
class Recognised:
    """A layout, and the columns of a file by our names.

    Attributes
    ----------
    name, layout
        The layout.
    columns
        The file's name to ours.
    missing
        Why the file holds no bars: which columns it lacks.
    faults
        Why its bars cannot be read without another option.
    volume_unit
        Shares per unit of volume, by the option, the header or the layout.
    names_date
        Whether a name says which column is the date; else it is one without a name that holds dates, or the time.
    """

    name: str
    layout: Layout
    columns: dict[str, str]
    missing: str | None = None
    faults: tuple[str, ...] = ()
    volume_unit: float = 1.0
    names_date: bool = True

    @property
    def fields(self) -> set[str]:
        """Our names of the columns that are used."""
        return set(self.columns.values())


def layout_of(name: str) -> Layout:
    """Return a layout by its name."""
    return LAYOUTS.get(name, PLAIN_LAYOUT)


def recognise(table: pd.DataFrame, form: str | None, options: FilesMarketParameters) -> Recognised:
    """Recognise a table by its header and, where the header is open, by its content.

    Parameters
    ----------
    table
        A file as it is.
    form
        Layout that the form of the file names (lines of the header, no header).
    options
        Own columns and layout, which come first.
    """
    spelt = {str(column): column_name(str(column)) for column in table.columns}
    header = {column: named.name for column, named in spelt.items()}
    if {"T", "t"} <= set(header):
        # Polygon's grouped days: the ticker and the time differ by capital letters only.
        header["T"] = "ticker"
    own = {theirs: ours for ours, theirs in options.columns.items()}
    name, faults = _choose(set(header.values()), form, options, own)
    layout = layout_of(name)
    columns, names_date = _columns(table, header, layout, own)
    lacking = [field for field in REQUIRED if field not in columns.values()]
    missing = None
    others = [column for column in header if column not in columns]
    if len(lacking) == 5 and "date" in columns.values() and len(others) > 1 and _are_numbers(table[others[:20]]):
        missing = (
            "has one column per instrument and one price; open, high, low, close and volume are needed: a column for "
            "each, or a file for each, called open.csv, high.csv, low.csv, close.csv and volume.csv"
        )
    elif lacking:
        missing = (
            f"has no column for {first_of(lacking)}; it has {first_of(header, limit=40) or 'none'}. "
            "Map your names with `columns` of the market source"
        )
        if "volume" in lacking and "amount" in columns.values():
            missing += "; its volume is in money, and shares are needed"
    explained = {column: name for column, name in header.items() if layout.columns.get(name) != ""}
    faults += _unused(explained, columns, options) + _currencies(table, header, columns, options)
    units = {ours: spelt[column].unit for column, ours in columns.items() if spelt[column].unit}
    faults += _faults_of_units(units, options) + _said_twice(table, header, columns)
    unit = units.get("volume")
    stated = layout.volume_unit if unit is None else MULTIPLES.get(unit, 1.0)
    return Recognised(name, layout, columns, missing, tuple(faults), options.volume_unit or stated, names_date)


def recognise_header(names: Sequence[str], form: str | None, options: FilesMarketParameters) -> Recognised:
    """Recognise a table by its header alone; the same one again is not looked at twice.

    Parameters
    ----------
    names
        Columns of the file.
    form, options
        As for `recognise`.
    """
    return _of_header(_Header(tuple(names), form, repr(options.of_parsing()), options))


@dataclass(frozen=True)
class _Header:
    names: tuple[str, ...]
    form: str | None
    read_by: str
    options: FilesMarketParameters = field(compare=False)


@lru_cache(maxsize=256)
def _of_header(header: _Header) -> Recognised:
    return recognise(pd.DataFrame(columns=list(header.names), dtype="str"), header.form, header.options)


def needs_no_content(names: Iterable[str], found: Recognised) -> bool:
    """Whether `recognise` finds by a whole table what it has found by its header: nothing in it has to be looked at."""
    others = {column_name(name).name for name in names if name not in found.columns}
    if not found.names_date and any(map(_is_unnamed, others)):
        return False
    return found.missing is None and not found.faults and others.isdisjoint(_CURRENCY | _MAYBE_INSTRUMENTS)


def _are_numbers(table: pd.DataFrame) -> bool:
    return all(not read_numbers(table[column]).unreadable.any() for column in table)


def _faults_of_units(units: dict[str, str], options: FilesMarketParameters) -> list[str]:
    """Name units of the header that an option has to explain."""
    found = []
    money = {ours: unit for ours, unit in units.items() if ours in _PRICED and unit in MONEY | HUNDREDTHS}
    if len(set(money.values())) > 1:
        stated = ", ".join(f"{ours} in {unit}" for ours, unit in money.items())
        found.append(f"states {stated}: all prices and dividends have to be of one unit; map others with `columns`")
    elif set(money.values()) & HUNDREDTHS and options.price_unit is None:
        unit = next(iter(money.values()))
        found.append(
            f"states its prices in {unit}; set `price_unit: 0.01` to read them in the whole currency, or "
            "`price_unit: 1` to keep them"
        )
    if units.get("volume") in LOTS and options.volume_unit is None:
        found.append(f"states its volume in {units['volume']}; set `volume_unit` to the shares of one, such as 100")
    return found


def _currencies(
    table: pd.DataFrame, header: dict[str, str], columns: dict[str, str], options: FilesMarketParameters
) -> list[str]:
    """Name a column that states more than one currency of the prices."""
    found = []
    for column, name in header.items():
        if name in _CURRENCY and column not in columns and column not in options.ignored_columns:
            stated = set(table[column].dropna().astype("str").str.strip()) - {""}
            if len(stated) > 1:
                found.append(several_currencies(stated, column))
    return found


def several_currencies(stated: set[str], column: str) -> str:
    """Return what is wrong with prices of more than one currency."""
    return (
        f"states prices in {first_of(sorted(stated))} in its column '{column}', and one account adds them up; "
        f"convert them to one currency and name the column in `ignored_columns: [{column}]`"
    )


def currency_of(table: pd.DataFrame, options: FilesMarketParameters) -> tuple[str, str]:
    """Return the column that states one currency, and the currency; empty where none does."""
    for column in map(str, table.columns):
        if column_name(column).name in _CURRENCY and column not in options.ignored_columns:
            return column, next(iter(set(table[column].dropna().astype("str").str.strip()) - {""}), "")
    return "", ""


def _said_twice(table: pd.DataFrame, header: dict[str, str], columns: dict[str, str]) -> list[str]:
    """Name columns of the same name, of another unit or instrument, of which only one would be used.

    Dates and instruments may stand twice where both columns hold the same.
    """
    found = []
    for column, ours in columns.items():
        if ours in (*REQUIRED, *_CAREFUL) and CANONICAL.get(header[column]) == ours:
            again = [
                other
                for other, name in header.items()
                if re.sub(r"\.\d+$", "", name) == header[column] and other not in columns
            ]
            if again and not (ours in _KEY and len(table) and table[again[0]].equals(table[column])):
                found.append(f"has two columns for {ours}, '{column}' and '{again[0]}'; name one with `columns`")
    return found


def _choose(
    names: set[str], form: str | None, options: FilesMarketParameters, own: dict[str, str]
) -> tuple[str, list[str]]:
    if options.layout is not None:
        return options.layout, []
    if form is not None and not (form == "yahoo_download" and names & {"adj close", "dividends"}):
        return form, []
    fitting = {
        name: layout
        for name, layout in LAYOUTS.items()
        if layout.marks and layout.marks <= names and not layout.without & names
    }
    best = [
        name for name, layout in fitting.items() if not any(layout.marks < other.marks for other in fitting.values())
    ]
    if len(best) > 1:
        fault = (
            f"fits {' and '.join(best)}, which read it differently; name one with `layout` of the market source, such "
            f"as `layout: {best[0]}`"
        )
        return best[0], [fault]
    return (best[0] if best else PLAIN), []


def _columns(
    table: pd.DataFrame, header: dict[str, str], layout: Layout, own: dict[str, str]
) -> tuple[dict[str, str], bool]:
    """Return the file's names to ours, and whether the date is among those that a name says."""
    found: dict[str, str] = {}
    mapped = set(own.values())
    for names in (layout.columns, CANONICAL):
        for column, name in sorted(header.items(), key=lambda item: _RANKS.get(item[1], 0)):
            ours = own.get(column)
            if ours is None:
                ours = None if layout.columns.get(name) == "" else names.get(name)
                ours = None if ours in mapped else ours
            if ours and column not in found and ours not in found.values():
                found[column] = ours
    names_date = "date" in found.values()
    if not names_date:
        _find_date(table, header, found)
    if "instrument" not in found.values():
        _find_instrument(table, header, found)
    return {column: found[column] for column in header if column in found}, names_date


def _find_date(table: pd.DataFrame, header: dict[str, str], found: dict[str, str]) -> None:
    """Take a column without a name, or one of times, for the date where its content is dates."""
    for column, name in header.items():
        if (_is_unnamed(name) and column not in found and _holds_dates(table[column])) or found.get(column) == "time":
            found[column] = "date"
            return


def _is_unnamed(name: str) -> bool:
    return name in ("", "index", "level_0", "unnamed: 0", "0") or name.startswith("unnamed:")


def _find_instrument(table: pd.DataFrame, header: dict[str, str], found: dict[str, str]) -> None:
    """Take a column called name or id for the instrument where its content is short codes."""
    for column, name in header.items():
        if column in found or name not in _MAYBE_INSTRUMENTS:
            continue
        texts = table[column].dropna().astype("str").str.strip()
        if len(texts) and bool(texts.str.fullmatch(r"[A-Z0-9.^=_-]{1,12}").all()):
            found[column] = "instrument"
            return


def _holds_dates(column: pd.Series) -> bool:
    from quant_pipeline.market.sources.files.dates import read_dates

    if column.empty:
        return False
    dates = read_dates(column.iloc[:200])
    readable = ~dates.unreadable
    years = dates.values[readable].astype("datetime64[Y]").astype("int64") + 1970
    return bool(readable.mean() > 0.5 and np.all((years > 1850) & (years < 2200))) or dates.ambiguous


def holds_actions(stem: str, header: Iterable[str]) -> bool:
    """Whether a table without bars is one of splits, dividends or factors, by its name or its columns."""
    names = {column_name(column).name for column in header}
    return bool(names & _ACTIONS) or _OF_ACTIONS.search(stem.lower()) is not None


def _looks_like(name: str, columns: dict[str, str]) -> bool:
    """Whether a name is a slip of one that means splits, dividends, adjusted closes or the instrument."""
    if name in SUSPICIOUS_NAMES or any(word in name for word in SUSPICIOUS):
        return True
    if name not in CANONICAL and OTHER_CLOSE.search(name) and not PREVIOUS.search(name):
        return True
    wanted = [known for known, ours in CANONICAL.items() if ours in _CAREFUL and ours not in columns.values()]
    return len(name) > 3 and bool(get_close_matches(name, wanted, n=1, cutoff=0.8))


def _unused(header: dict[str, str], columns: dict[str, str], options: FilesMarketParameters) -> list[str]:
    """Name columns that look like splits, dividends, adjusted closes or instruments and are not used."""
    explained = _IN_ROW & set(columns.values())
    unused = [
        column
        for column, name in header.items()
        if column not in columns
        and column not in options.ignored_columns
        and _looks_like(name, columns)
        and not (name in KNOWN_UNUSED and explained)
    ]
    if not unused:
        return []
    names = first_of(f"'{name}'" for name in unused)
    return [
        f"has {names}, which may hold splits, dividends, adjusted closes or instruments, and would not use it. Map it "
        f"with `columns` ({', '.join(field for field in FIELDS if field in _MAPPED)}) or name it in `ignored_columns`"
    ]
