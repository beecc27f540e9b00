"""The years of a panel as plain Parquet files, written without copies of the values.

Factors are float noise: compressing and counting them takes ten times as long as writing them. So a column of a year
lies in its file as it lies in memory, and a missing value is NaN there as it is in the panel; readers that know nulls
find none in these columns.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from inspect import signature
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from quant_pipeline.common.exceptions import MarketDataError, ModelError
from quant_pipeline.datasets.plain_writer import write_in_place
from quant_pipeline.factors.label_lookup import require_rows

DAY, INSTRUMENT = "datetime", "instrument"
GROUP_ROWS: Final = 2**16
"""Rows of a group; it is read whole, however few of its rows are wanted."""
PLAIN: Final[dict[str, Any]] = {
    "compression": "none",
    "use_dictionary": (INSTRUMENT,),
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
        to = "str.decode('utf-8')" if kind == "bytes" else "astype('str')"
        raise MarketDataError(f"instruments of a panel are names; these are {kind}. Convert them: {to}")
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
        Rows in the order of the file. A session with a time zone is the day that begins then in this zone.

    Raises
    ------
    MarketDataError
        When a row has no session or no instrument, two rows are of the same, sessions with a time zone begin no day of
        it, or the index is none of a panel.
    """
    try:
        table = require_index(_in_days(_with_index(_read(file))))
        require_rows(table.index, "row")
    except (MarketDataError, ModelError) as error:
        raise MarketDataError(f"{file} is no year of a panel: {error.message}") from error
    return table


def read_years(files: Sequence[Path]) -> pd.DataFrame:
    """Read years by pandas, see `read_year`, and sort their rows.

    Raises
    ------
    MarketDataError
        When a file is no year of a panel, or two files have a row of the same session and instrument.
    """
    table = pd.concat([read_year(file) for file in files])
    try:
        require_rows(table.index, "row")
    except ModelError as error:
        raise MarketDataError(f"files of the panel in {files[0].parent} overlap: {error.message}") from error
    return table if table.index.is_monotonic_increasing else table.sort_index()


def _read(file: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(file)
    except KeyError as error:
        # So do libraries of time zones, and none of a table.
        raise MarketDataError(
            f"it has times of a zone that is not known here, {error}; write dates, or times of a zone of the IANA"
        ) from error


def _with_index(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table by sessions and instruments, wherever they stand in it."""
    levels = [name for name in table.index.names if name is not None]
    if levels == [DAY, INSTRUMENT] or not {DAY, INSTRUMENT} <= {*levels, *table.columns}:
        return table
    if twice := [name for name in levels if name in table.columns]:
        raise MarketDataError(f"{twice[0]} is a level of the index and a column; take one of the two away")
    return table.reset_index(level=levels).set_index([DAY, INSTRUMENT])


def _in_days(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose sessions have no time zone; other indexes are left as they are."""
    if list(table.index.names) != [DAY, INSTRUMENT]:
        return table
    days = table.index.levels[0]
    if pd.api.types.infer_dtype(days) in ("date", "empty"):
        # Days as polars and DuckDB write them.
        return table.set_axis(table.index.set_levels(pd.DatetimeIndex(days), level=0))
    if not isinstance(days, pd.DatetimeIndex) or days.tz is None:
        return table
    local = days.tz_localize(None).normalize()
    # Where clocks go forward at midnight, a day begins at one.
    begins = local.tz_localize(days.tz, ambiguous=np.ones(len(days), dtype=bool), nonexistent="shift_forward")
    if (is_within := days != begins).any():
        # Midnights of Shanghai, in UTC, are afternoons of the days before.
        raise MarketDataError(
            f"{is_within.sum()} of its {len(days)} sessions begin no day of their zone, {days.tz}, such as "
            f"{days[is_within][0]}: times that were turned to another zone. Write dates, or times of the zone of the "
            "exchange (tz_convert)"
        )
    return table.set_axis(table.index.set_levels(local, level=0))


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
    # `DataFrame.to_parquet` asks every column for attributes, which a column with sessions looks up among them.
    schema = pa.Schema.from_pandas(panel.iloc[:0])
    if panel.attrs:
        schema = schema.with_metadata({**schema.metadata, ATTRIBUTES: json.dumps(panel.attrs)})
    file = pa.BufferOutputStream()
    pq.write_metadata(schema, file)
    return pq.read_schema(file.getvalue())


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
    if not write_in_place(table, path, tuple(PLAIN.items())):
        pq.write_table(table, path, **PLAIN)


def _level(index: pd.MultiIndex, field: pa.Field) -> pa.Array:
    place = index.names.index(field.name)
    level = pa.array(index.levels[place], from_pandas=True).cast(field.type)
    return level.take(pa.array(index.codes[place]))
