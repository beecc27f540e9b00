"""The years of a panel as plain Parquet files, written and read without copies of the values.

Factors are float noise: compressing and counting them takes ten times as long as writing them. So a column of a year
lies in its file as it lies in memory, and a missing value is NaN there as it is in the panel; readers that know nulls
find none in these columns.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from quant_pipeline.datasets.point_in_time import cut_at

DAY, INSTRUMENT = "datetime", "instrument"
PLAIN: Final[dict[str, Any]] = {"compression": "none", "use_dictionary": [INSTRUMENT], "write_statistics": False}
ATTRIBUTES = b"PANDAS_ATTRS"
"""Under which pandas keeps the attributes of a table."""


def split_by_year(panel: pd.DataFrame) -> Iterator[tuple[int, pd.DataFrame]]:
    """Yield the rows of every year; those of a sorted panel are not copied."""
    years = panel.index.levels[0].year.to_numpy()[panel.index.codes[0]]
    first = np.flatnonzero(np.diff(years, prepend=-1))
    if len(np.unique(years[first])) < len(first):
        for year in np.unique(years):
            yield int(year), panel[years == year]
        return
    for start, end in zip(first, [*first, len(years)][1:], strict=True):
        yield int(years[start]), panel.iloc[start:end]


def schema_of(panel: pd.DataFrame) -> pa.Schema:
    """Return the columns of a panel as pandas would write them, with what it keeps of a table beside its values."""
    return pq.read_schema(io.BytesIO(panel.iloc[:0].to_parquet(None)))


def to_arrow(year: pd.DataFrame, schema: pa.Schema) -> pa.Table:
    """Lay rows out in the columns of their panel; missing values of float32 stay NaN, others become null."""
    is_single = (year.dtypes == np.float32).to_numpy()
    values = year.to_numpy() if is_single.all() else None
    columns = []
    for place, field in enumerate(schema):
        if place >= len(is_single):
            columns.append(_level(year.index, field))
        elif not is_single[place]:
            columns.append(pa.array(year.iloc[:, place], type=field.type, from_pandas=True))
        else:
            single = year.iloc[:, place].to_numpy() if values is None else values[:, place]
            columns.append(pa.array(np.ascontiguousarray(single)))
            schema = schema.set(place, field.with_nullable(False))
    return pa.Table.from_arrays(columns, schema=schema)


def digest_of(table: pa.Table) -> str:
    """Hash what a table holds: equal digests, equal files."""
    digest = hashlib.sha256(table.schema.serialize())
    for column in table.columns:
        for part in column.chunks:
            for buffer in part.buffers():
                digest.update(b"-" if buffer is None else buffer)
    return digest.hexdigest()


def write_plain(table: pa.Table, path: Path) -> None:
    """Write a table as it lies in memory."""
    pq.write_table(table, path, **PLAIN)


def read_years(files: Sequence[Path], as_of: str | None = None) -> pd.DataFrame:
    """Read years one after the other into their place: two copies of a panel are more than a machine may have.

    Parameters
    ----------
    files
        In the order of the years.
    as_of
        Last session that is read; None reads all.
    """
    schemas = [pq.read_schema(file) for file in files]
    names = [name for name in schemas[0].names if name not in (DAY, INSTRUMENT)]
    index = _read_index(files) if _lie_alike(schemas, names) else None
    if index is None:
        panel = pd.concat([pd.read_parquet(file) for file in files])
        return panel if as_of is None else cut_at(panel, as_of, DAY)
    if as_of is not None:
        known = index.levels[0].searchsorted(pd.Timestamp(as_of), side="right")
        index = index[: int(np.searchsorted(index.codes[0], known))].remove_unused_levels()
    values = np.empty((len(names), len(index)), dtype=np.float32)
    start = 0
    for file in files:
        if start == len(index):
            break
        start += _read_values(file, names, values[:, start:])
    panel = pd.DataFrame(values.T, index=index, columns=pd.Index(names, dtype="str"), copy=False)
    attributes = [json.loads((schema.metadata or {}).get(ATTRIBUTES, b"{}")) for schema in schemas]
    panel.attrs = attributes[0] if all(each == attributes[0] for each in attributes) else {}
    return panel


def _level(index: pd.MultiIndex, field: pa.Field) -> pa.Array:
    place = index.names.index(field.name)
    level = pa.array(index.levels[place], from_pandas=True).cast(field.type)
    return level.take(pa.array(index.codes[place]))


def _lie_alike(schemas: Sequence[pa.Schema], names: Sequence[str]) -> bool:
    """Return whether all files have the same columns, all of them float32."""
    return all(
        schema.names == schemas[0].names and all(schema.field(name).type == pa.float32() for name in names)
        for schema in schemas
    )


def _read_index(files: Sequence[Path]) -> pd.MultiIndex | None:
    """Read the index of all years; None when the sessions are not in their order."""
    days, coded = [], []
    for file in files:
        rows = pq.read_table(file, columns=[DAY, INSTRUMENT], read_dictionary=[INSTRUMENT]).combine_chunks()
        days.append(rows.column(DAY).to_numpy())
        coded.append(rows.column(INSTRUMENT).combine_chunks())
    every = np.concatenate(days)
    steps = np.diff(every)
    if (steps < np.timedelta64(0)).any():
        return None
    known = sorted(set().union(*(each.dictionary.to_pylist() for each in coded)))
    instruments = np.concatenate([_places(each, known) for each in coded])
    begins = np.concatenate([[True], steps > np.timedelta64(0)]) if len(every) else np.zeros(0, dtype=bool)
    return pd.MultiIndex(
        levels=[pd.DatetimeIndex(every[begins]), pd.Index(known, dtype="str")],
        codes=[np.cumsum(begins) - 1, instruments],
        names=[DAY, INSTRUMENT],
        verify_integrity=False,
    )


def _places(coded: pa.DictionaryArray, known: Sequence[str]) -> npt.NDArray[np.int64]:
    place = pc.index_in(coded.dictionary, pa.array(known, type=coded.dictionary.type)).to_numpy()
    return np.asarray(place)[coded.indices.to_numpy()]


def _read_values(file: Path, names: list[str], into: npt.NDArray[np.float32]) -> int:
    """Read the first rows of a year, as many as there is room for; return their number."""
    year = pq.read_table(file, columns=names, memory_map=True)
    rows = min(len(year), into.shape[1])
    for column, own in zip(into, year.columns, strict=True):
        column[:rows] = own.slice(0, rows).to_numpy()
    return rows
