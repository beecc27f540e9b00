"""A panel in files, one for each year, of which only the years and columns are read that are asked for."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import cached_property, partial
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from quant_pipeline.common.cores import each_on_cores, map_on_cores, usable_cores
from quant_pipeline.common.exceptions import MarketDataError
from quant_pipeline.common.json_files import parse_object
from quant_pipeline.common.listing import first_of
from quant_pipeline.datasets.file_stamps import Stamp, require_unchanged, stamp_of
from quant_pipeline.datasets.kept_digests import kept_beside
from quant_pipeline.datasets.panel_years import ATTRIBUTES, DAY, INSTRUMENT, has_plain_index
from quant_pipeline.datasets.plain_pages import PlainPages
from quant_pipeline.models import panels
from quant_pipeline.models.panels import Digests, MakeDigests, MemoryPanel, Places, are_files_in_sight, session_starts


class _Year(NamedTuple):
    """A file, the first of its rows as a place in the panel, and how it was when the panel was opened.

    What the file says of its layout is kept: of a whole market it is read in milliseconds, and a panel is read in
    thousands of pieces.
    """

    file: Path
    first: int
    stamp: Stamp
    layout: pq.FileMetaData
    pages: PlainPages | None


class StoredPanel:
    """A panel ``(datetime, instrument) × column``, float32, whose values stay in their files until they are read.

    Attributes
    ----------
    index
        Of all rows, sorted.
    columns
        Names of the columns.
    attrs
        What pandas keeps of a table beside its values.
    seams
        Places at which the rows of another year begin.
    """

    def __init__(
        self,
        years: Sequence[_Year],
        index: pd.MultiIndex,
        names: Sequence[str],
        attributes: dict[str, Any],
        as_of: str | None = None,
    ) -> None:
        self._opened = [(year.file, year.stamp) for year in years], as_of
        self._years = [year for year in years if year.first < len(index)]
        self.index, self.attrs = index, attributes
        self.columns = pd.Index(names, dtype="str")
        self.seams = [year.first for year in self._years[1:]]

    @classmethod
    def open(cls, files: Sequence[Path], as_of: str | None = None) -> StoredPanel | None:
        """Read the index of all years.

        Parameters
        ----------
        files
            In the order of the years.
        as_of
            Last session that belongs to the panel; None: all do.

        Returns
        -------
        StoredPanel or None
            None where the years differ in their columns, hold other values than float32, are not sorted or have a row
            twice, and where sessions or instruments are not as this project writes them, see `panel_years.read_year`.

        Raises
        ------
        MarketDataError
            When the notes of a year are damaged.
        """
        stamps = [stamp_of(file) for file in files]
        layouts = [pq.read_metadata(file) for file in files]
        schemas = [layout.schema.to_arrow_schema() for layout in layouts]
        names = [name for name in schemas[0].names if name not in (DAY, INSTRUMENT)]
        indexed = _read_index(files) if _lie_alike(schemas, names) else None
        if indexed is None:
            return None
        index, firsts = indexed
        if as_of is not None:
            known = index.levels[0].searchsorted(pd.Timestamp(as_of), side="right")
            index = index[: int(np.searchsorted(index.codes[0], known))].remove_unused_levels()
        attributes = [_attributes(schema, file) for schema, file in zip(schemas, files, strict=True)]
        said = attributes[0] if all(each == attributes[0] for each in attributes) else {}
        pages = map(PlainPages.of, layouts)
        years = [_Year(*year) for year in zip(files, firsts, stamps, layouts, pages, strict=True)]
        return cls(years, index, names, said, as_of)

    @cached_property
    def starts(self) -> Places | None:
        """Places at which each session begins."""
        return session_starts(self.index)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.index)

    def __repr__(self) -> str:
        """Say what it holds, and how it is read."""
        return f"<StoredPanel of {len(self.index):,} rows and {len(self.columns)} columns; `.read()` makes it a table>"

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel as a table, unless the other process sees the files: it then opens them itself."""
        if are_files_in_sight():
            return _open_again, self._opened
        return MemoryPanel, (self.read(),)

    def digests(self, rows: slice, names: Sequence[str | None], make: MakeDigests) -> Digests:
        """Return digests, which are kept beside the file of their year; see `FeaturePanel.digests`.

        Raises
        ------
        MarketDataError
            When the panel was written again since it was opened.
        """
        place = bisect_right(self._years, rows.start, key=attrgetter("first")) - 1
        year, end = self._years[place], [*self.seams, len(self.index)][place]
        if rows.stop > end:
            return make(names)
        require_unchanged(year.file, year.stamp)
        within = slice(rows.start - year.first, rows.stop - year.first)
        return kept_beside(year.file).of(within, names, make)

    def read(self, rows: slice | None = None, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Read rows and columns into a table.

        Parameters
        ----------
        rows
            Stretch of rows by their places; None reads all.
        columns
            Names, in the order that they are wanted in; None reads all.

        Raises
        ------
        KeyError
            When there is no such column.
        MarketDataError
            When the panel was written again since it was opened.
        """
        names = list(self.columns if columns is None else columns)
        if unknown := [name for name in names if name not in self.columns]:
            raise KeyError(f"the panel has no columns {first_of(unknown)}")
        start, stop, _ = (slice(None) if rows is None else rows).indices(len(self.index))
        values = np.empty((len(names), max(stop - start, 0)), dtype=np.float32)
        ends = [*self.seams, len(self.index)][: len(self._years)]
        for year, end in zip(self._years, ends, strict=True):
            first, last = max(start, year.first), min(stop, end)
            if first < last:
                require_unchanged(year.file, year.stamp)
                wanted = slice(first - year.first, last - year.first)
                try:
                    _read_values(year, names, wanted, values[:, first - start : last - start])
                finally:
                    require_unchanged(year.file, year.stamp)  # Also while it was read.
        index = self.index if rows is None else self.index[start:stop]
        table = pd.DataFrame(values.T, index=index, columns=pd.Index(names, dtype="str"), copy=False)
        table.attrs = dict(self.attrs)
        return table


def _open_again(stamped: Sequence[tuple[Path, Stamp]], as_of: str | None) -> StoredPanel:
    """Open a panel that another process has opened.

    Raises
    ------
    MarketDataError
        When it was written again since.
    """
    _require_all_unchanged(stamped)
    panel = StoredPanel.open([file for file, _ in stamped], as_of)
    _require_all_unchanged(stamped)  # Also while it was opened.
    assert panel is not None  # It was one when these very files were opened before.
    return panel


def _require_all_unchanged(stamped: Sequence[tuple[Path, Stamp]]) -> None:
    for file, stamp in stamped:
        require_unchanged(file, stamp)


def _attributes(schema: pa.Schema, file: Path) -> dict[str, Any]:
    """Return what the notes of a year say of the panel."""
    try:
        return parse_object((schema.metadata or {}).get(ATTRIBUTES, b"{}"))
    except ValueError as error:
        raise MarketDataError(
            f"the notes of {file} are damaged ({error}). Remove the panel and make it again: `kedro run --pipelines "
            "features`"
        ) from error


def _lie_alike(schemas: Sequence[pa.Schema], names: Sequence[str]) -> bool:
    """Return whether all files have the same columns: days without a time zone, names, and float32."""
    return all(
        schema.names == schemas[0].names
        and has_plain_index(schema)
        and all(schema.field(name).type == pa.float32() for name in names)
        for schema in schemas
    )


class _Rows(NamedTuple):
    """Sessions and instruments of the rows of a file."""

    days: npt.NDArray[np.datetime64]
    sessions: npt.NDArray[np.int32]
    instruments: pa.DictionaryArray
    are_in_order: bool


def _rows_of(file: Path) -> _Rows | None:
    """Read the sessions of a file, and which of them and which instrument each row has; None where one has none."""
    rows = pq.read_table(file, columns=[DAY, INSTRUMENT], read_dictionary=[INSTRUMENT], use_threads=usable_cores() > 1)
    rows = rows.combine_chunks()
    if any(column.null_count for column in rows.columns):
        return None
    every = rows.column(DAY).to_numpy()
    steps = np.diff(every)
    begins = np.concatenate([[True], steps > np.timedelta64(0)]) if len(every) else np.zeros(0, dtype=bool)
    sessions = (np.cumsum(begins) - 1).astype(np.int32)
    instruments = rows.column(INSTRUMENT).combine_chunks()
    return _Rows(every[begins], sessions, instruments, not (steps < np.timedelta64(0)).any())


def _read_index(files: Sequence[Path]) -> tuple[pd.MultiIndex, list[int]] | None:
    """Read the index of all years and the first place of each; None when rows are not in order, twice, or missing."""
    days: list[npt.NDArray[np.datetime64]] = []
    sessions: list[npt.NDArray[np.int32]] = []
    coded: list[pa.DictionaryArray] = []
    firsts, rows_so_far, days_so_far = [], 0, 0
    for rows in each_on_cores(_rows_of, files, few_ahead=True):
        if rows is None:
            return None
        is_later = not (days and len(days[-1]) and len(rows.days)) or rows.days[0] > days[-1][-1]
        if not (rows.are_in_order and is_later):
            return None
        sessions.append(rows.sessions + np.int32(days_so_far))
        days.append(rows.days)
        coded.append(rows.instruments)
        firsts.append(rows_so_far)
        rows_so_far, days_so_far = rows_so_far + len(rows.sessions), days_so_far + len(rows.days)
    known = sorted(set().union(*(each.dictionary.to_pylist() for each in coded)))
    places = [_places(each, known) for each in coded]
    if not all(map(_rise, sessions, places)):
        return None
    index = pd.MultiIndex(
        levels=[pd.DatetimeIndex(np.concatenate(days)), pd.Index(known, dtype="str")],
        codes=[np.concatenate(sessions), np.concatenate(places)],
        names=[DAY, INSTRUMENT],
        verify_integrity=False,
    )
    return index, firsts


def _rise(sessions: npt.NDArray[np.int32], instruments: npt.NDArray[np.int32]) -> bool:
    """Return whether every row is of a later session than the one before, or of a later instrument of the same one."""
    return bool(((sessions[1:] > sessions[:-1]) | (instruments[1:] > instruments[:-1])).all())


def _places(coded: pa.DictionaryArray, known: Sequence[str]) -> npt.NDArray[np.int32]:
    place = pc.index_in(coded.dictionary, pa.array(known, type=coded.dictionary.type)).to_numpy()
    return np.asarray(place, dtype=np.int32)[coded.indices.to_numpy()]


def _read_values(year: _Year, names: Sequence[str], rows: slice, into: npt.NDArray[np.float32]) -> None:
    """Read rows of a year, some columns on each core."""
    shares = [some for some in np.array_split(range(len(names)), usable_cores()) if len(some)]

    def read_pages(places: npt.NDArray[np.intp]) -> bool:
        some = names[places[0] : places[-1] + 1]
        return year.pages is not None and year.pages.read(year.file, some, rows, into[places[0] : places[-1] + 1])

    if not all(map_on_cores(read_pages, shares)):
        _read_groups(year, names, rows, into, shares)


def _read_groups(
    year: _Year,
    names: Sequence[str],
    rows: slice,
    into: npt.NDArray[np.float32],
    shares: Sequence[npt.NDArray[np.intp]],
) -> None:
    """Read rows of a year by the reader of Parquet; of its row groups only those that have any of them."""
    with pq.ParquetFile(year.file, metadata=year.layout, memory_map=True) as stored:
        for groups, begin, end in _groups_of(year.layout, rows, panels.AT_ONCE // max(len(names), 1)):
            first, last = max(rows.start, begin), min(rows.stop, end)
            table = stored.read_row_groups(groups, columns=list(names), use_threads=len(shares) > 1)
            table = table.slice(first - begin, last - first)
            part = into[:, first - rows.start : last - rows.start]
            map_on_cores(partial(_copy_columns, table, names, part), shares)


def _copy_columns(
    table: pa.Table, names: Sequence[str], into: npt.NDArray[np.float32], places: npt.NDArray[np.intp]
) -> None:
    for place in places:
        into[place] = table.column(names[place]).to_numpy()


def _groups_of(layout: pq.FileMetaData, rows: slice, most: int) -> Iterator[tuple[list[int], int, int]]:
    """Yield consecutive row groups that have any of some rows, first and last row of them; few enough to read at once.

    Parameters
    ----------
    layout
        Of the file.
    rows
        Which are wanted.
    most
        Rows that are read at once, unless one group has more.
    """
    sizes = [layout.row_group(group).num_rows for group in range(layout.num_row_groups)]
    ends = np.cumsum(sizes)
    group = int(np.searchsorted(ends, rows.start, side="right"))
    while group < len(sizes) and ends[group] - sizes[group] < rows.stop:
        begin = int(ends[group]) - sizes[group]
        wanted = int(np.searchsorted(ends, rows.stop)) + 1
        after = min(max(int(np.searchsorted(ends, begin + most, side="right")), group + 1), wanted)
        yield list(range(group, after)), begin, int(ends[after - 1])
        group = after
