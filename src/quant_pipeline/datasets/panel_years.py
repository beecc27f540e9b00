"""The years of a panel as plain Parquet files, written without copies of the values.

Factors are float noise: compressing and counting them takes ten times as long as writing them. So a column of a year
lies in its file as it lies in memory, and a missing value is NaN there as it is in the panel; readers that know nulls
find none in these columns.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from inspect import signature
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from quant_pipeline.common.exceptions import MarketDataError

DAY, INSTRUMENT = "datetime", "instrument"
GROUP_ROWS: Final = 2**16
"""Rows of a group; it is read whole, however few of its rows are wanted."""
PLAIN: Final[dict[str, Any]] = {
    "compression": "none",
    "use_dictionary": [INSTRUMENT],
    "write_statistics": False,
    "row_group_size": GROUP_ROWS,
}
_KNOWS_ROWS_OF_PAGES: Final = "max_rows_per_page" in signature(pq.write_table).parameters
if _KNOWS_ROWS_OF_PAGES:  # Versions of Arrow that do begin a page every 20,000 rows, which takes a quarter longer.
    PLAIN["max_rows_per_page"] = GROUP_ROWS
ATTRIBUTES = b"PANDAS_ATTRS"
"""Under which pandas keeps the attributes of a table."""


def require_index(panel: pd.DataFrame) -> pd.DataFrame:
    """Return a panel whose instruments are texts for Parquet, too, also where pandas keeps them as objects.

    Raises
    ------
    MarketDataError
        When the index is not ``(datetime, instrument)``, the sessions are no dates, or of a time zone, which files do
        not keep, instruments are no names, or either is missing in a row.
    """
    index = panel.index
    if list(index.names) != [DAY, INSTRUMENT]:
        raise MarketDataError(
            f"the index of a panel is ({DAY}, {INSTRUMENT}); this one is ({', '.join(map(str, index.names))}). "
            "Put its levels in this order (swaplevel) and name them so (set_names)"
        )
    days, instruments = index.levels
    if not isinstance(days, pd.DatetimeIndex):
        kind = pd.api.types.infer_dtype(days)
        raise MarketDataError(f"sessions of a panel are dates; these are {kind}. Convert them: pandas.to_datetime")
    if days.tz is not None:
        raise MarketDataError(f"sessions of a panel are dates, and have no time zone; these are of {days.tz}")
    for name, codes in zip(index.names, index.codes, strict=True):
        if (codes < 0).any():
            raise MarketDataError(f"{(codes < 0).sum()} rows of a panel have no {name}; leave them out")
    if instruments.dtype == "str":
        return panel
    if (kind := pd.api.types.infer_dtype(instruments.astype(object))) not in ("string", "empty"):
        raise MarketDataError(f"instruments of a panel are names; these are {kind}. Convert them: astype('str')")
    return panel.set_axis(index.set_levels(instruments.astype("str"), level=1))


def has_plain_index(schema: pa.Schema) -> bool:
    """Return whether the rows of a file have days without a time zone, and names."""
    if not {DAY, INSTRUMENT} <= set(schema.names):
        return False
    day, name = schema.field(DAY).type, schema.field(INSTRUMENT).type
    is_day = pa.types.is_date(day) or (pa.types.is_timestamp(day) and day.tz is None)
    name = name.value_type if pa.types.is_dictionary(name) else name
    return is_day and (pa.types.is_string(name) or pa.types.is_large_string(name) or pa.types.is_string_view(name))


def read_year(file: Path) -> pd.DataFrame:
    """Read a year by pandas, which another program may have written.

    Returns
    -------
    pandas.DataFrame
        Rows in the order of the file. A session with a time zone is the day that the zone has then.

    Raises
    ------
    MarketDataError
        When a row has no session or no instrument, two rows are of the same, or the index is none of a panel.
    """
    table = pd.read_parquet(file)
    levels = [name for name in table.index.names if name is not None]
    if levels != [DAY, INSTRUMENT] and {DAY, INSTRUMENT} <= {*levels, *table.columns}:
        table = table.reset_index(level=levels).set_index([DAY, INSTRUMENT])
    try:
        return require_index(_in_days(table))
    except MarketDataError as error:
        raise MarketDataError(f"{file} is no year of a panel: {error.message}") from error


def _in_days(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose sessions have no time zone; other indexes are left as they are."""
    if list(table.index.names) != [DAY, INSTRUMENT]:
        return table
    days = table.index.levels[0]
    if pd.api.types.infer_dtype(days) == "date":
        # Days as polars and DuckDB write them.
        return table.set_axis(table.index.set_levels(pd.DatetimeIndex(days), level=0))
    if not isinstance(days, pd.DatetimeIndex) or days.tz is None:
        return table
    local = table.index.get_level_values(0).tz_localize(None).normalize()
    table = table.set_axis(pd.MultiIndex.from_arrays([local, table.index.get_level_values(1)], names=[DAY, INSTRUMENT]))
    if (again := table.index.duplicated()).any():
        day, instrument = table.index[again][0]
        raise MarketDataError(
            f"{again.sum()} rows of a panel are of an instrument that has another one on the same day of {days.tz}, "
            f"such as {instrument} on {day:%Y-%m-%d}; keep one of them"
        )
    return table


def rows_by_year(panel: pd.DataFrame) -> Iterator[tuple[int, slice | npt.NDArray[np.intp]]]:
    """Yield the places of the rows of every year; in a sorted panel they are a slice, which copies nothing."""
    years = panel.index.levels[0].year.to_numpy()[panel.index.codes[0]]
    first = np.flatnonzero(np.diff(years, prepend=-1))
    if len(np.unique(years[first])) < len(first):
        for year in np.unique(years):
            yield int(year), np.flatnonzero(years == year)
        return
    for start, end in zip(first, [*first, len(years)][1:], strict=True):
        yield int(years[start]), slice(start, end)


def schema_of(panel: pd.DataFrame) -> pa.Schema:
    """Return the columns of a panel as pandas would write them, with what it keeps of a table beside its values."""
    return pq.read_schema(io.BytesIO(panel.iloc[:0].to_parquet(None)))


def to_arrow(year: pd.DataFrame, schema: pa.Schema) -> pa.Table:
    """Lay rows out in the columns of their panel; missing values of float32 stay NaN, others become null."""
    is_single = (year.dtypes == np.float32).to_numpy()
    values = year.to_numpy() if is_single.all() else None
    columns, fields = [], []
    for place, field in enumerate(schema):
        if place >= len(is_single):
            columns.append(_level(year.index, field))
        elif not is_single[place]:
            columns.append(pa.array(year.iloc[:, place], type=field.type, from_pandas=True))
        else:
            single = year.iloc[:, place].to_numpy() if values is None else values[:, place]
            columns.append(pa.array(np.ascontiguousarray(single)))
            field = field.with_nullable(False)
        fields.append(field)
    return pa.Table.from_arrays(columns, schema=pa.schema(fields, schema.metadata))


def write_plain(table: pa.Table, path: Path) -> None:
    """Write a table as it lies in memory."""
    pq.write_table(table, path, **PLAIN)


def _level(index: pd.MultiIndex, field: pa.Field) -> pa.Array:
    place = index.names.index(field.name)
    level = pa.array(index.levels[place], from_pandas=True).cast(field.type)
    return level.take(pa.array(index.codes[place]))
