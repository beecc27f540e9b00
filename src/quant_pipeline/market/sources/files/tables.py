"""Tables beside the bars: securities, delistings, renames."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from quant_pipeline.common.exceptions import MarketDataError
from quant_pipeline.common.listing import first_of
from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.market.data import SourceProblem
from quant_pipeline.market.price_adjustment import DELISTING
from quant_pipeline.market.sources.files.dates import read_dates
from quant_pipeline.market.sources.files.instrument_names import fault_of, tidy_name
from quant_pipeline.market.sources.files.numbers import read_numbers
from quant_pipeline.market.sources.files.texts_beside import read_texts

_SYMBOLS = ("instrument", "symbol", "ticker", "code")
SECURITIES = frozenset({"name", "sector"})
_OF_SECURITIES = (*SECURITIES, "company", "delisted", "value")
_OF_INSTRUMENT = dict.fromkeys(_SYMBOLS, "instrument")
_OF_DELISTINGS = {
    **_OF_INSTRUMENT, "delisted": "delisted", "date": "delisted",
    "value": "value", "last_value": "value", "price": "value",
}  # fmt: skip
_OF_RENAMES = {
    **_OF_INSTRUMENT,
    **dict.fromkeys(("old", "from", "former", "old_symbol", "old symbol", "old_ticker", "old ticker"), "old"),
    **dict.fromkeys(("new", "to", "new_symbol", "new symbol", "new_ticker", "new ticker"), "new"),
    **dict.fromkeys(("date", "change_date", "effective", "effective date"), "date"),
}


def is_securities(header: Iterable[str]) -> bool:
    """Whether a header is that of a table of securities."""
    names = {column.strip().lower() for column in header}
    return bool(names >= SECURITIES and names & set(_SYMBOLS))


def read_securities(file: Path) -> pd.DataFrame:
    """Read ``instrument``, ``name``, ``sector`` and, where stated, ``company``, ``delisted`` and ``value``.

    An instrument without a name is called by its symbol, one without a sector is in sector ``Unknown``.

    Raises
    ------
    MarketDataError
        When a column is missing, or an instrument is listed twice.
    """
    table = _read(file, _OF_INSTRUMENT | {name: name for name in _OF_SECURITIES})
    missing = sorted({"instrument", "name", "sector"} - set(table.columns))
    if missing:
        raise MarketDataError(f"{file} has no column {first_of(missing)}; it needs symbol, name and sector")
    table["name"] = table["name"].mask(table["name"] == "", table["instrument"])
    table["sector"] = table["sector"].mask(table["sector"] == "", "Unknown")
    twice = table["instrument"].duplicated()
    if twice.any():
        raise MarketDataError(f"{file} lists {table.loc[twice, 'instrument'].iloc[0]} twice; delete one line")
    named = [name for name in ("instrument", "name", "sector", "company", "delisted", "value") if name in table]
    return table[named].reset_index(drop=True)


def _read(file: Path, names: Mapping[str, str]) -> pd.DataFrame:
    """Read the cells of a table as texts, and check its symbols.

    Raises
    ------
    MarketDataError
        When it is no table, or a row has no symbol where there is a column of them.
    """
    table = read_texts(file, names, _SYMBOLS)
    if "instrument" in table:
        table["instrument"] = table["instrument"].map(tidy_name).astype("str")
        lacking = table.index[table["instrument"] == ""]
        if len(lacking):
            stated = ", ".join(cell for cell in table.loc[lacking[0]] if cell)
            raise MarketDataError(
                f"{file}, row {lacking[0]}, has no symbol beside {stated!r}; add it, or delete the row"
            )
    return table


def read_delistings(file: Path | None, securities: pd.DataFrame | None) -> pd.DataFrame:
    """Read what files state about ended listings: ``instrument``, ``delisted`` (its date) and ``value``.

    Raises
    ------
    MarketDataError
        When a date or value is missing or cannot be read: unknown is not zero.
    """
    tables = []
    if securities is not None and "delisted" in securities:
        stated = securities[~securities["delisted"].str.lower().isin({"", "nat", "nan", "none"})]
        tables.append(stated.assign(value=stated.get("value", pd.Series("", index=stated.index))))
    if file is not None:
        table = _read(file, _OF_DELISTINGS)
        missing = sorted({"instrument", "delisted", "value"} - set(table.columns))
        if missing:
            raise MarketDataError(f"{file} has no column {first_of(missing)}; it needs symbol, date and value")
        tables.append(table)
    if not tables:
        return pd.DataFrame({"instrument": [], "delisted": [], "value": []}).astype(
            {"instrument": "str", "delisted": "datetime64[ns]", "value": "float64"}
        )
    stated = pd.concat([table[["instrument", "delisted", "value"]] for table in tables], ignore_index=True)
    dates, values = read_dates(stated["delisted"]), read_numbers(stated["value"])
    wrong = dates.unreadable | values.unreadable | ~(values.values >= 0)
    if wrong.any():
        row = stated[wrong].iloc[0]
        raise MarketDataError(
            f"the delisting of {row['instrument']} has date {row['delisted']!r} and value {row['value']!r}; state the "
            "day and what a share then brought, 0 when nothing"
        )
    return stated.assign(delisted=dates.values, value=values.values)


def read_renames(file: Path | None) -> list[tuple[str, str, pd.Timestamp | None]]:
    """Read former and present names with the first session of the new name, None where no date is stated; by date.

    Raises
    ------
    MarketDataError
        When a column is missing, or a name or date cannot be read.
    """
    if file is None:
        return []
    table = _read(file, _OF_RENAMES)
    table = table.rename(columns={"instrument": "new"}) if "new" not in table else table
    missing = sorted({"old", "new"} - set(table.columns))
    if missing:
        raise MarketDataError(f"{file} has no column {first_of(missing)}; it needs old, new and, if wanted, date")
    old, new = (table[name].map(tidy_name) for name in ("old", "new"))
    stated = table.get("date", pd.Series("", index=table.index))
    dates = read_dates(stated)
    wrong = (old == "") | (new == "") | (dates.unreadable & (stated != "").to_numpy())
    if wrong.any():
        row = table[wrong].iloc[0].to_dict()
        raise MarketDataError(f"{file} holds {row}; state old and new name, and the date as YYYY-MM-DD or not at all")
    for name in new:
        if (fault := fault_of(name)) is not None:
            raise MarketDataError(f"{file} states the new name {name!r}, which {fault}; correct it")
    names = zip(old, new, pd.Series(dates.values), strict=True)
    found = [(old, new, None if pd.isna(date) else date) for old, new, date in names]
    return sorted(found, key=lambda rename: (rename[2] is not None, rename[2] or pd.Timestamp.min))


def slips(stated: pd.Series, present: pd.Series) -> dict[str, str]:
    """Return names that are no instrument of the bars but for capital letters, and what they should be."""
    if stated.empty:
        return {}
    right = {name.casefold(): name for name in present.unique()}
    unknown = sorted(set(stated) - set(right.values()))
    return {name: right[name.casefold()] for name in unknown if name.casefold() in right}


def delisting_actions(
    stated: pd.DataFrame, bars: pd.DataFrame, calendar: str, problems: list[SourceProblem]
) -> pd.DataFrame:
    """Return delistings as corporate actions: on the stated day, or on the session after a last bar of that day."""
    # Of millions of bars few are of a name that has ended.
    bars = bars if len(stated) else bars.iloc[:0]
    last = bars[bars["instrument"].isin(stated["instrument"])].groupby("instrument")["date"].max()
    known = stated[stated["instrument"].isin(last.index)]
    dates = []
    for row in known.itertuples():
        end = last[row.instrument]
        if row.delisted < end:
            text = f"is delisted on {row.delisted:%Y-%m-%d}, but has bars up to {end:%Y-%m-%d}; correct one of the two"
            problems.append(SourceProblem("delistings", None, row.instrument, text))
        trading = TradingCalendar.of(calendar, end, max(row.delisted, end))
        sessions = trading.between(max(row.delisted, end), max(row.delisted, end) + pd.Timedelta(days=15))
        dates.append(next((day for day in sessions if day > end), row.delisted))
    return pd.DataFrame(
        {
            "date": np.array(dates, dtype="datetime64[ns]"),
            "instrument": known["instrument"].astype("str").to_numpy(),
            "kind": pd.array([DELISTING] * len(known), dtype="str"),
            "value": known["value"].to_numpy(dtype=np.float64),
        }
    ).astype({"instrument": "str"})
