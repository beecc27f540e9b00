"""Whether a file holds a table already; what it holds is read, as a digest beside it would not know of damage."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from quant_pipeline.common.cores import usable_cores

_PANDAS: Final = b"pandas"
"""Key under which pandas notes in Parquet what it needs to read the very table again, with its attributes."""


def holds(file: Path, table: pa.Table) -> bool:
    """Return whether a Parquet file holds a table, to the bit of every number; one that is damaged holds none."""
    # Without a map of its pages: each is read once, and to have it mapped can cost more than to have it copied.
    with suppress(OSError, pa.ArrowException), pq.ParquetFile(file) as stored:
        schema = stored.schema_arrow
        noted, given = (each.metadata or {} for each in (schema, table.schema))
        is_alike = schema.equals(table.schema) and noted.get(_PANDAS) == given.get(_PANDAS)
        return is_alike and stored.metadata.num_rows == table.num_rows and _has_rows_of(stored, table)
    return False


def _has_rows_of(file: pq.ParquetFile, table: pa.Table) -> bool:
    """Whether a file has the rows of a table of as many; it is read in parts, up to the first that differs."""
    start, divided = 0, usable_cores() > 1
    for part in range(file.num_row_groups):
        stored = file.read_row_group(part, use_threads=divided)
        if not all(map(_same_bits, stored.columns, table.slice(start, stored.num_rows).columns)):
            return False
        start += stored.num_rows
    return True


def _same_bits(one: pa.ChunkedArray, other: pa.ChunkedArray) -> bool:
    """Whether two columns of one type have the same values; numbers count as the same when their bits are."""
    if pa.types.is_floating(one.type):
        whole = {16: pa.int16(), 32: pa.int32(), 64: pa.int64()}[one.type.bit_width]
        one, other = (pa.chunked_array([chunk.view(whole) for chunk in each.chunks], whole) for each in (one, other))
    return bool(one.equals(other))
