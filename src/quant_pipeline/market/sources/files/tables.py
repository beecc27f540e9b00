"""Tables beside the bars: securities, delistings."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from quant_pipeline.common.exceptions import MarketDataError
from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.market.data import SourceProblem
from quant_pipeline.market.price_adjustment import DELISTING
from quant_pipeline.market.sources.files.dates import read_dates
from quant_pipeline.market.sources.files.decoding import decoded, unpacked
from quant_pipeline.market.sources.files.faults import naming_faults
from quant_pipeline.market.sources.files.instrument_names import tidy_name
from quant_pipeline.market.sources.files.numbers import read_numbers
from quant_pipeline.market.sources.files.opening import open_table
from quant_pipeline.market.sources.files.options import FilesMarketParameters
from quant_pipeline.market.sources.files.raw_table import UnreadableFileError

_RENAMED = {
    "from": "old", "former": "old", "old_symbol": "old", "old symbol": "old", "old_ticker": "old", "old ticker": "old",
    "to": "new", "new_symbol": "new", "new symbol": "new", "new_ticker": "new", "new ticker": "new",
    "change_date": "date", "effective": "date", "effective date": "date",
}  # fmt: skip
_TYPED = (".parquet", ".pq", ".feather", ".xlsx")
_SYMBOLS = ("instrument", "symbol", "ticker", "code")
SECURITIES = frozenset({"name", "sector"})


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
    table = _read(file)
    missing = sorted({"instrument", "name", "sector"} - set(table.columns))
    if missing:
        raise MarketDataError(f"{file} has no column {', '.join(missing)}; it needs symbol, name and sector")
    table["name"] = table["name"].mask(_is_blank(table["name"]), table["instrument"])
    table["sector"] = table["sector"].mask(_is_blank(table["sector"]), "Unknown")
    twice = table["instrument"].duplicated()
    if twice.any():
        raise MarketDataError(f"{file} lists {table.loc[twice, 'instrument'].iloc[0]} twice; delete one line")
    return table[[name for name in ("instrument", "name", "sector", "company", "delisted", "value") if name in table]]


def _is_blank(cells: pd.Series) -> pd.Series:
    return cells.str.strip() == ""


def _read(file: Path) -> pd.DataFrame:
    """Read the cells of a table as texts, empty ones as such.

    Raises
    ------
    MarketDataError
        When it is no table.
    """
    try:
        with naming_faults():
            table = _cells_of(file).fillna("")
    except UnreadableFileError as error:
        raise MarketDataError(f"{file} {error}; correct it, or take it away") from error
    table.columns = pd.Index([str(column).strip().lower().removeprefix("\ufeff") for column in table.columns])
    symbol = next((name for name in _SYMBOLS if name in table), None)
    if symbol is not None:
        table = table.rename(columns={symbol: "instrument"})
        table["instrument"] = table["instrument"].map(tidy_name).astype("str")
    return table


def _cells_of(file: Path) -> pd.DataFrame:
    if file.name.lower().endswith(_TYPED):
        return open_table(file, file.parent, FilesMarketParameters()).table.astype("str")
    text = decoded(unpacked(file.read_bytes(), file.name.lower()), None)
    if not text.strip():
        raise UnreadableFileError("is empty")
    # A line may end with a carriage return alone.
    lines = io.StringIO(text, newline="")
    return pd.read_csv(lines, dtype="str", keep_default_na=False, skipinitialspace=True, sep=None, engine="python")


def read_delistings(file: Path | None, securities: pd.DataFrame | None) -> pd.DataFrame:
    """Read what files state about ended listings: ``instrument``, ``delisted`` (its date) and ``value``.

    Raises
    ------
    MarketDataError
        When a date or value is missing or cannot be read: unknown is not zero.
    """
    tables = []
    if securities is not None and "delisted" in securities:
        stated = securities[~securities["delisted"].str.strip().str.lower().isin({"", "nat", "nan", "none"})]
        tables.append(stated.assign(value=stated.get("value", pd.Series("", index=stated.index))))
    if file is not None:
        table = _read(file)
        table = table.rename(columns={"date": "delisted", "last_value": "value", "price": "value"})
        missing = sorted({"instrument", "delisted", "value"} - set(table.columns))
        if missing:
            raise MarketDataError(f"{file} has no column {', '.join(missing)}; it needs symbol, date and value")
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
    table = _read(file).rename(columns=_RENAMED)
    table = table.rename(columns={"instrument": "new"}) if "new" not in table else table
    missing = sorted({"old", "new"} - set(table.columns))
    if missing:
        raise MarketDataError(f"{file} has no column {', '.join(missing)}; it needs old, new and, if wanted, date")
    stated = table.get("date", pd.Series("", index=table.index)).astype("str").str.strip()
    dates = read_dates(stated)
    wrong = (table["old"] == "") | (table["new"] == "") | (dates.unreadable & (stated != "").to_numpy())
    if wrong.any():
        row = table[wrong].iloc[0].to_dict()
        raise MarketDataError(f"{file} holds {row}; state old and new name, and the date as YYYY-MM-DD or not at all")
    names = zip(table["old"].map(tidy_name), table["new"].map(tidy_name), pd.Series(dates.values), strict=True)
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
