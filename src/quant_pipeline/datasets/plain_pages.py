"""Columns that lie in a Parquet file as they lie in memory, read from there into their place.

A column of a group of rows that `panel_years.write_plain` writes is one page: a head of two dozen bytes, and then the
values. A reader of Parquet copies them twice, from the file and into their place, and reads groups whole; here the
system copies them once, and only the rows that are wanted. Each head is compared with the one that such a page has,
byte for byte, so that any other layout is left to the reader of Parquet.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from quant_pipeline.datasets.thrift import whole_number

Floats = npt.NDArray[np.float32]
SIZE = 4
"""Bytes of a value."""


@dataclass(frozen=True)
class PlainPages:
    """Where the values of the first columns of a file lie, which are float32 without nulls.

    Attributes
    ----------
    columns
        Numbers of these columns in the file, by their names.
    begins
        Per group of rows, where the page of its first column begins.
    sizes
        Per group, its rows.
    """

    columns: Mapping[str, int]
    begins: tuple[int, ...]
    sizes: tuple[int, ...]

    @classmethod
    def of(cls, layout: pq.FileMetaData) -> PlainPages | None:
        """Find the pages by what a file says of its layout; None where columns are anything else than one of these."""
        fields = (layout.schema.column(number) for number in range(layout.num_columns))
        columns = {field.path: number for number, field in enumerate(_first_plain(fields))}
        groups = [layout.row_group(group) for group in range(layout.num_row_groups)]
        sizes = tuple(group.num_rows for group in groups)
        if not columns or sys.byteorder != "little" or not hasattr(os, "preadv"):
            return None
        for group, rows in zip(groups, sizes, strict=True):
            size = len(page_head(rows)) + SIZE * rows
            first, last = group.column(0), group.column(len(columns) - 1)
            whole = all(c.compression == "UNCOMPRESSED" and c.total_compressed_size == size for c in (first, last))
            if not whole or last.data_page_offset != first.data_page_offset + (len(columns) - 1) * size:
                return None
        return cls(columns, tuple(group.column(0).data_page_offset for group in groups), sizes)

    def read(self, file: Path, names: Sequence[str], rows: slice, into: Floats) -> bool:
        """Read rows of columns; return whether all of them lie in such pages.

        Parameters
        ----------
        file
            To which the layout belongs.
        names
            Of the columns.
        rows
            The stretch of its rows.
        into
            Where they are wanted, ``(column, row)``, each column in one piece; what is there afterwards counts only
            when the pages were right.
        """
        columns = [self.columns.get(name, -1) for name in names]
        if -1 in columns:
            return False
        descriptor = os.open(file, os.O_RDONLY)
        try:
            return all(
                _read_page(descriptor, begin + column * (len(page_head(size)) + SIZE * size), size, part, out[number])
                for begin, size, part, out in self._parts(rows, into)
                for number, column in enumerate(columns)
            )
        finally:
            os.close(descriptor)

    def _parts(self, rows: slice, into: Floats) -> Iterator[tuple[int, int, slice, Floats]]:
        """Yield groups that have any of some rows: begin and size, which of its rows, and where they are wanted."""
        before = 0
        for begin, size in zip(self.begins, self.sizes, strict=True):
            first, last = max(rows.start, before), min(rows.stop, before + size)
            if first < last:
                wanted = into[:, first - rows.start : last - rows.start]
                yield begin, size, slice(first - before, last - before), wanted
            before += size


def _first_plain(fields: Iterator[pq.ColumnSchema]) -> Iterator[pq.ColumnSchema]:
    for field in fields:
        if field.physical_type != "FLOAT" or field.max_definition_level or field.max_repetition_level:
            return
        yield field


def _read_page(descriptor: int, begin: int, size: int, rows: slice, out: Floats) -> bool:
    """Read rows of a page; return whether its head is that of a plain page of its size."""
    expected = page_head(size)
    head, values = bytearray(len(expected)), out.data
    if rows.start:
        is_read = os.preadv(descriptor, [head], begin) == len(head)
        is_read &= os.preadv(descriptor, [values], begin + len(head) + SIZE * rows.start) == values.nbytes
    else:
        is_read = os.preadv(descriptor, [head, values], begin) == len(head) + values.nbytes
    return is_read and head == expected


@cache
def page_head(rows: int) -> bytes:
    """Return the head of a page of float32 values, in the compact protocol of Thrift (Parquet's ``PageHeader``).

    Of a data page (0): its bytes, uncompressed and compressed; of its header (5): number of values, encodings of
    values (plain, 0) and of levels (RLE, 3), which there are none of, and empty statistics.
    """
    size = whole_number(SIZE * rows)
    begin = b"\x15\x00\x15" + size + b"\x15" + size
    return begin + b"\x2c\x15" + whole_number(rows) + b"\x15\x00\x15\x06\x15\x06\x1c" + bytes(3)
