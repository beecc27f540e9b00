"""Parquet files whose first columns are float32 without nulls, written from where their values lie in memory.

Arrow copies each page before it writes it. Here the system takes the values from their place. Arrow writes the other
columns, and files without these values, whose footers are filled with the rows, sizes and places of all. So the bytes
are those that Arrow would write, and where a file of two rows would have others, Arrow is left to write all files.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from quant_pipeline.datasets.plain_pages import SIZE, page_head
from quant_pipeline.datasets.thrift import Value, fill, read_struct, structs, texts, whole_number

AT_ONCE: Final = 2**17
"""Bytes of a call. For more, the system looks for larger pieces of memory, which it has to make where files fill it."""
MOST_PIECES: Final = 1000
"""Of a call, of which systems take 1,024 (``IOV_MAX``)."""
_LEVELS: Final = 2
"""Columns of a panel behind those of values: session and instrument."""
MARK: Final = b"PAR1"
"""Begins and ends a file."""
FILE_ROWS, GROUPS = 3, 4
COLUMNS, GROUP_BYTES, ROWS, GROUP_PLACE, GROUP_SIZE = 1, 2, 3, 5, 6
COLUMN, NAME, VALUES, BYTES, COLUMN_SIZE, PAGE, DICTIONARY = 3, 3, 5, 6, 7, 9, 11
"""Numbers of fields in ``parquet.thrift``: of a file, of a group of rows, and of a column in it."""

Options = tuple[tuple[str, Any], ...]
Piece = bytes | memoryview


class _Footer(NamedTuple):
    """Footer of Arrow, cut where files have different numbers.

    Attributes
    ----------
    file
        At the number of rows, and the groups.
    group
        Of a group, at its columns, bytes, rows, place, and bytes once more.
    column
        Of a float32 column, at its name, number of values, bytes, bytes once more, and the place of its page.
    names
        Of the float32 columns.
    """

    file: list[bytes]
    group: list[bytes]
    column: list[bytes]
    names: list[bytes]


class _Group(NamedTuple):
    """The other columns of a group of rows, as Arrow has written them.

    Attributes
    ----------
    rows
        How many there are.
    start, pages
        Where the pages began in the file of Arrow, and their bytes.
    columns
        Of each column, what the footer says, cut at the places of its pages, and these places.
    """

    rows: int
    start: int
    pages: bytes
    columns: list[tuple[list[bytes], list[int]]]


def write_in_place(table: pa.Table, path: Path, options: Options) -> bool:
    """Write a table as `pyarrow.parquet.write_table` does.

    Returns
    -------
    bool
        False where nothing was written: the table begins with another column, has no other one, more others than
        these, or no rows, the system cannot write several pieces of memory at once, or this version of Arrow lays
        files out in another way. Options have to treat all float32 columns alike, and a group is one page.
    """
    if not _is_plain(table) or (footer := _footer_of(table.schema.serialize().to_pybytes(), options)) is None:
        return False
    at = 0
    with path.open("wb", buffering=0) as file:
        for pieces in _laid_out(table, footer, options):
            size = sum(map(len, pieces))
            with suppress(AttributeError, OSError):  # Where room cannot be set aside, it is found while it is filled.
                os.posix_fallocate(file.fileno(), at, size)
            for call in _calls(pieces, at):
                _write(file.fileno(), call)
            at += size
    return True


def _is_plain(table: pa.Table) -> bool:
    count = _leading(table.schema)
    is_known = sys.byteorder == "little" and hasattr(os, "writev")
    are_whole = all(column.num_chunks == 1 and not column.null_count for column in table.columns[:count])
    # Arrow keeps the others of a whole file in memory, so they must not be more.
    return is_known and are_whole and 0 < count < table.num_columns <= 2 * count + _LEVELS and table.num_rows > 0


def _leading(schema: pa.Schema) -> int:
    """Return how many columns are float32 without nulls before the first that is not."""
    plain = [field.type == pa.float32() and not field.nullable for field in schema]
    return [*plain, False].index(False)


def _laid_out(table: pa.Table, footer: _Footer, options: Options) -> Iterator[list[Piece]]:
    """Yield the bytes of a file, those of a group of rows at once."""
    count = len(footer.names)
    values = [_bytes_of(table.column(place).chunk(0)) for place in range(count)]
    said, at, first = [], len(MARK), 0
    yield [MARK]
    for group in _groups_of(table.select(range(count, table.num_columns)), options):
        head, last = page_head(group.rows), first + group.rows
        size = len(head) + SIZE * group.rows
        pages = (column[SIZE * first : SIZE * last] for column in values)
        yield [*(piece for page in pages for piece in (head, page)), group.pages]
        rows, in_page = whole_number(group.rows), whole_number(size)
        columns = [
            fill(footer.column, name, rows, in_page, in_page, whole_number(at + size * place))
            for place, name in enumerate(footer.names)
        ]
        moved = at + size * count - group.start
        columns += [fill(cuts, *(whole_number(page + moved) for page in pages)) for cuts, pages in group.columns]
        total = size * count + len(group.pages)
        in_group = whole_number(total)
        said.append(fill(footer.group, structs(columns), in_group, rows, whole_number(at), in_group))
        at, first = at + total, last
    end = fill(footer.file, whole_number(table.num_rows), structs(said))
    yield [end, len(end).to_bytes(4, "little"), MARK]


def _bytes_of(values: pa.Array) -> memoryview:
    start = SIZE * values.offset
    return memoryview(values.buffers()[1])[start : start + SIZE * len(values)]


def _calls(pieces: Iterable[Piece], at: int) -> Iterator[list[Piece]]:
    """Divide pieces among calls that write `AT_ONCE` bytes each, up to multiples of it, or fewer of small pieces."""
    call: list[Piece] = []
    room = AT_ONCE - at % AT_ONCE
    for piece in pieces:
        left = memoryview(piece)
        while len(left) >= room or len(call) == MOST_PIECES:
            yield [*call, left[:room]]
            call, room, left = [], AT_ONCE, left[room:]
        call.append(left)
        room -= len(left)
    yield call


def _write(descriptor: int, call: list[Piece]) -> None:
    written = os.writev(descriptor, call)
    if written < sum(map(len, call)):
        # A disk has room for no more, which the next call says, or a signal came in between.
        left = memoryview(b"".join(call))[written:]
        while left:
            left = left[os.write(descriptor, left) :]


def _groups_of(table: pa.Table, options: Options) -> Iterator[_Group]:
    content, footer = _file_of(table.replace_schema_metadata(None), options)
    start = len(MARK)
    for group in read_struct(footer).parts[GROUPS].parts.values():
        columns = []
        for column in group.parts[COLUMNS].parts.values():
            known = column.parts[COLUMN].parts
            places = [known[field] for field in (PAGE, DICTIONARY) if field in known]
            columns.append((column.cut(footer, *places), [place.number(footer) for place in places]))
        stop = start + group.parts[GROUP_SIZE].number(footer)
        yield _Group(group.parts[ROWS].number(footer), start, content[start:stop], columns)
        start = stop


@lru_cache(4)
def _footer_of(schema: bytes, options: Options) -> _Footer | None:
    """Return the footer of files; None where two rows, a group each, would not have the bytes that Arrow gives them."""
    known, of_each = pa.ipc.read_schema(pa.py_buffer(schema)), (*options, ("row_group_size", 1))
    names = known.names[: _leading(known)]
    few = [known.field(place) for place in (0, *range(len(names), len(known)))]
    with suppress(KeyError, pa.ArrowException):
        values = [pa.nulls(2, field.type) if field.nullable else pa.array([0, 0], field.type) for field in few]
        rows = pa.Table.from_arrays(values, schema=pa.schema(few))
        content, footer = _file_of(rows, of_each)
        file = read_struct(footer)
        group = file.parts[GROUPS].parts[0]
        column = group.parts[COLUMNS].parts[0]
        found = _Footer(
            _cut(footer, file, (FILE_ROWS, GROUPS)),
            _cut(footer, group, (COLUMNS, GROUP_BYTES, ROWS, GROUP_PLACE, GROUP_SIZE)),
            _cut(footer, column, (NAME, VALUES, BYTES, COLUMN_SIZE, PAGE), column.parts[COLUMN]),
            [texts(names[:1])],
        )
        if b"".join(chain.from_iterable(_laid_out(rows, found, of_each))) == content:
            empty = _footer_of_none(known, options)
            file = read_struct(empty)
            return found._replace(file=_cut(empty, file, (FILE_ROWS, GROUPS)), names=[texts([name]) for name in names])
    return None


def _cut(footer: bytes, value: Value, numbers: Sequence[int], within: Value | None = None) -> list[bytes]:
    """Cut a value at fields of it, or of one within it."""
    return value.cut(footer, *((within or value).parts[number] for number in numbers))


def _file_of(table: pa.Table, options: Options) -> tuple[bytes, bytes]:
    """Return a file of Arrow, and its footer."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, **dict(options))
    content = sink.getvalue().to_pybytes()
    return content, _footer_in(content)


def _footer_of_none(schema: pa.Schema, options: Options) -> bytes:
    """Return the footer of Arrow for a file without groups of rows."""
    sink = pa.BufferOutputStream()
    pq.write_metadata(schema, sink, **{name: value for name, value in options if name != "row_group_size"})
    return _footer_in(sink.getvalue().to_pybytes())


def _footer_in(content: bytes) -> bytes:
    end = len(content) - len(MARK) - 4
    return content[end - int.from_bytes(content[end : end + 4], "little") : end]
