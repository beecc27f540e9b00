"""Factors computed elsewhere, given as a Parquet file: checked before they count."""

from __future__ import annotations

import datetime
import logging
from typing import Any

import numpy as np
import pandas as pd

from quant_pipeline.common.exceptions import FactorError, StaleDataError
from quant_pipeline.common.listing import first_of
from quant_pipeline.factors.sorted_panel import PANEL_INDEX

logger = logging.getLogger(__name__)

SESSION_COLUMNS = ("datetime", "date")
INSTRUMENT_COLUMNS = ("instrument", "symbol", "ticker")
REMEDY = "Write one row per (datetime, instrument) and one numeric column per factor."


def check_precomputed(table: pd.DataFrame, sessions: pd.DatetimeIndex, instruments: pd.Index) -> pd.DataFrame:
    """Check a table of factors and bring it into the form of a panel.

    Parameters
    ----------
    table
        Index, or columns, ``datetime`` (or ``date``) and ``instrument`` (or ``symbol``, ``ticker``); every other column
        is a factor, also one called ``("feature", name)``, as RD-Agent and Qlib's handlers write it. A value at a
        session must have been known at its close: no check can see that, only who computed it knows.
    sessions
        The trading calendar.
    instruments
        Instruments of the market.

    Returns
    -------
    pandas.DataFrame
        Panel ``(datetime, instrument) × factor``, float32, sorted; infinite values are missing. Rows of instruments
        that the market does not have are left out, and counted in the log.

    Raises
    ------
    FactorError
        When the index, a type or a value does not fit; the message names the first such row.
    """
    table = _with_index(table)
    _check_columns(table)
    _check_sessions(table.index.get_level_values(0), sessions)
    duplicated = table.index.duplicated()
    if duplicated.any():
        day, instrument = table.index[duplicated][0]
        raise FactorError(
            f"the factor file has {int(duplicated.sum())} duplicate rows, the first for {instrument} on "
            f"{day:%Y-%m-%d}. {REMEDY}"
        )
    known = table.index.get_level_values(1).isin(instruments)
    if not known.any():
        raise FactorError(
            f"no instrument of the factor file is in the market, for example '{table.index[0][1]}'; the market has "
            f"names like '{instruments[0]}'. Rename the instruments of the file."
        )
    if not known.all():
        others = table.index[~known].get_level_values(1)
        logger.warning(
            "%d rows of the factor file are of %d instruments outside the market: %s",
            len(others), others.nunique(), first_of(others.unique()),
        )  # fmt: skip
    finite = table[known].astype("float64").replace([np.inf, -np.inf], np.nan)
    _check_sizes(finite)
    return finite.astype("float32").sort_index()


def check_file_factors(
    table: pd.DataFrame, names: list[str], sessions: pd.DatetimeIndex, instruments: pd.Index, file: str
) -> pd.DataFrame:
    """Check the factors that are taken of a file.

    Parameters
    ----------
    table
        The file, see `check_precomputed`; rows after the last session are not looked at.
    names
        Factors to take.
    sessions
        The trading calendar up to the session at which the market is known.
    instruments
        Instruments of the market.
    file
        Name of the file, for messages.

    Returns
    -------
    pandas.DataFrame
        Panel ``(datetime, instrument) × factor``, float32, sorted; see `join_file_factors`.

    Raises
    ------
    FactorError
        When the file is no table of factors, lacks a factor, or has none of its rows up to the last session.
    """
    table = _with_index(table)
    absent = sorted(set(names) - set(table.columns))
    if absent:
        raise FactorError(
            f"the factor file '{file}' has no factors {first_of(absent)}; it has {first_of(table.columns)}. Correct "
            "`file_factors` of the feature set."
        )
    known = table.loc[table.index.get_level_values(0) <= sessions[-1], names]
    if known.empty:
        raise FactorError(
            f"the factor file '{file}' begins on {table.index.get_level_values(0).min():%Y-%m-%d}, after "
            f"{sessions[-1]:%Y-%m-%d}. Bring its earlier rows."
        )
    return check_precomputed(known, sessions, instruments)


def join_file_factors(panel: pd.DataFrame, checked: pd.DataFrame) -> pd.DataFrame:
    """Append factors of a file to a panel of computed ones, point in time: session by session, nothing filled on.

    Parameters
    ----------
    panel
        ``(datetime, instrument) × factor``.
    checked
        What `check_file_factors` returns.

    Returns
    -------
    pandas.DataFrame
        The rows of the panel, float32; a row that the file does not have is missing.
    """
    return pd.concat([panel, checked.reindex(panel.index)], axis=1)


def require_session(table: pd.DataFrame, session: pd.Timestamp, file: str) -> None:
    """Refuse a file that does not reach the session to score: its factors would all be missing.

    Raises
    ------
    StaleDataError
        When the file has no row of the session.
    """
    days = _with_index(table).index.get_level_values(0)
    if not (days == session).any():
        before = days[days <= session]
        newest = f"its newest row up to then is of {before.max():%Y-%m-%d}" if len(before) else "nor any before it"
        raise StaleDataError(
            f"the factor file '{file}' has no row of {session:%Y-%m-%d}, {newest}. Compute its factors of that session "
            "first, by what was known at its close."
        )


def _factor_name(column: Any) -> str:
    """Return the name of a factor: the last part of a column of several levels, a number as text."""
    parts = [str(part) for part in column if str(part)] if isinstance(column, tuple) else [str(column)]
    return parts[-1] if parts else ""


def _with_stamps(day: pd.Series) -> pd.Series:
    """Return dates without time of day, as polars and DuckDB write them, as time stamps."""
    kinds = {type(value) for value in day.dropna()} if day.dtype == object else set()
    return pd.to_datetime(day) if kinds == {datetime.date} else day


def _in_nanoseconds(day: pd.Series) -> pd.Series:
    """Return time stamps in the unit of sessions; refuse days that it cannot hold, such as a 9999-12-31 for "open"."""
    beyond = (day.dt.year < pd.Timestamp.min.year + 1) | (day.dt.year > pd.Timestamp.max.year - 1)
    if beyond.any():
        raise FactorError(
            f"{int(beyond.sum())} rows of the factor file are dated beyond any session, the first "
            f"{day[beyond].iloc[0]:%Y-%m-%d}. Leave them out, or correct their dates."
        )
    return day.dt.as_unit("ns")


def _with_index(table: pd.DataFrame) -> pd.DataFrame:
    if table.empty:
        raise FactorError(f"the factor file has no rows. {REMEDY}")
    further = set(table.index.names) - {None, *SESSION_COLUMNS, *INSTRUMENT_COLUMNS}
    if isinstance(table.index, pd.MultiIndex) or table.index.name is not None:
        table = table.reset_index()
    table = table.set_axis(pd.Index([_factor_name(column) for column in table.columns]), axis=1)
    also = [name for name in INSTRUMENT_COLUMNS if name in table.columns]
    if len(also) == 1:
        table = table.rename(columns={also[0]: "instrument"})
    named = [name for name in SESSION_COLUMNS if name in table.columns]
    if len(named) != 1 or "instrument" not in table.columns:
        raise FactorError(
            f"the factor file needs 'datetime' and 'instrument' as index or columns, it has {first_of(table.columns)}. "
            f"{REMEDY}"
        )
    if further:
        raise FactorError(
            f"the index of the factor file holds '{min(map(str, further))}' beside session and instrument, which is no "
            "factor. Drop that level, or make it a column."
        )
    day, instrument = _with_stamps(table[named[0]]), table["instrument"]
    if not pd.api.types.is_datetime64_any_dtype(day):
        raise FactorError(
            f"'{named[0]}' of the factor file holds {day.dtype}, for example {day.iloc[0]!r}, not timestamps. "
            "Convert it with pandas.to_datetime before you write the file."
        )
    if day.dt.tz is not None:
        raise FactorError(
            f"'{named[0]}' of the factor file has time zone {day.dt.tz}. Write session dates without one."
        )
    if not pd.api.types.is_string_dtype(instrument) or instrument.isna().any() or day.isna().any():
        raise FactorError(f"the factor file has missing sessions or instruments that are no text. {REMEDY}")
    index = pd.MultiIndex.from_arrays([_in_nanoseconds(day), instrument.astype("str")], names=PANEL_INDEX)
    return table.drop(columns=[named[0], "instrument"]).set_axis(index)


def _check_columns(table: pd.DataFrame) -> None:
    if table.columns.empty:
        raise FactorError(f"the factor file has no factor beside its index. {REMEDY}")
    repeated = table.columns[table.columns.duplicated()]
    if len(repeated):
        raise FactorError(f"the factor file names '{repeated[0]}' twice. Give every factor a name of its own.")
    for name, kind in table.dtypes.items():
        if not (pd.api.types.is_float_dtype(kind) or pd.api.types.is_integer_dtype(kind)):
            raise FactorError(
                f"factor '{name}' of the factor file holds {kind}, not numbers. Remove the column or convert it."
            )


def _check_sizes(table: pd.DataFrame) -> None:
    """Refuse numbers that float32 cannot hold, and name factors that have none at all."""
    largest = table.abs().max()
    beyond = largest[largest > float(np.finfo("float32").max)]
    if len(beyond):
        raise FactorError(
            f"factor '{beyond.index[0]}' of the factor file reaches {beyond.iloc[0]:g}, more than the float32 of "
            "panels holds. Scale it, for example by its logarithm."
        )
    empty = largest.index[largest.isna()]
    if len(empty):
        logger.warning("%d factors of the factor file are without any value: %s", len(empty), first_of(empty))


def _check_sessions(days: pd.Index, sessions: pd.DatetimeIndex) -> None:
    foreign = ~days.isin(sessions)
    if foreign.any():
        first = days[foreign][0]
        raise FactorError(
            f"{int(foreign.sum())} rows of the factor file are not on sessions up to "
            f"{sessions[-1]:%Y-%m-%d}, the first on {first}. Use the sessions of the market, at midnight."
        )
