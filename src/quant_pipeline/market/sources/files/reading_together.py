"""Plain text files of one header, read as one text.

Most of what reading a small file takes are calls, which a text of many files needs once. Cells of plain files mean the
same whatever stands beside them, so each file has the rows that it has alone, bit for bit. Of a group that is not plain
each half is read for itself, until those that are not stand alone; files of which all rows say what one of them means
are left alone by their header.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from contextlib import suppress
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from quant_pipeline.market.sources.files.faults import FAULTS
from quant_pipeline.market.sources.files.first_lines import title_of
from quant_pipeline.market.sources.files.instrument_names import instrument_of
from quant_pipeline.market.sources.files.opening import OpenedText, open_text
from quant_pipeline.market.sources.files.options import FilesMarketParameters
from quant_pipeline.market.sources.files.parsing import Reading, name_of, plain_rows
from quant_pipeline.market.sources.files.plain_text import PlainCells, count_ends, plain_cells
from quant_pipeline.market.sources.files.recognition import needs_no_content, recognise_header
from quant_pipeline.market.sources.files.text_forms import KnownForms

TOGETHER: Final = 32
"""Files of a group: more of them save no more calls, and leave the cache of a core."""
LARGEST_GROUP: Final = 2 << 20
"""Bytes of a group, which are held as texts and tables at once; of larger files calls take little."""


class _Opened(NamedTuple):
    """A file that may be plain.

    Attributes
    ----------
    file, opened
        The file, and what was found in it.
    before, rows
        Its lines up to the header, and those after it, of which the last one has an end.
    n_rows
        How many lines there are after the header.
    """

    file: Path
    opened: OpenedText
    before: bytes
    rows: bytes
    n_rows: int

    @property
    def form(self) -> Hashable:
        """What files of a group have in common."""
        return self.before, self.opened.form


def read_together(files: Sequence[Path], folder: Path, options: FilesMarketParameters) -> dict[Path, Reading]:
    """Read those of some files of a folder that can be read together.

    Parameters
    ----------
    files, folder, options
        As for `read_file`.

    Returns
    -------
    dict
        What `read_file` returns of each of them, without a head.
    """
    found: dict[Path, Reading] = {}
    known = KnownForms(options.columns)
    for part in _parts(files):
        for group in _groups_of(part, folder, options, known):
            # What is wrong with one of them is said where it is read alone.
            with suppress(*FAULTS):
                found |= dict(_read_group(group, folder, options))
    return found


def _parts(files: Sequence[Path]) -> list[list[Path]]:
    """Return files that are opened at once; one that is large, or has no other beside it, is not among them."""
    parts: list[list[Path]] = [[]]
    n_bytes = 0
    for file in files:
        size = _size_of(file)
        if size > LARGEST_GROUP:
            continue
        if n_bytes + size > LARGEST_GROUP:
            parts.append([])
            n_bytes = 0
        parts[-1].append(file)
        n_bytes += size
    return [part for part in parts if len(part) > 1]


def _groups_of(
    files: list[Path], folder: Path, options: FilesMarketParameters, known: KnownForms
) -> list[list[_Opened]]:
    """Open files, and return those of one form together."""
    groups: dict[Hashable, list[_Opened]] = {}
    for file in files:
        with suppress(*FAULTS):
            opened = _open(file, folder, options, known)
            if opened is not None:
                groups.setdefault(opened.form, []).append(opened)
    return list(groups.values())


def _size_of(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        # What is wrong with the file is said where it is read.
        return 0


def _open(file: Path, folder: Path, options: FilesMarketParameters, known: KnownForms) -> _Opened | None:
    opened = open_text(file, folder, options, known)
    if opened is None:
        return None
    end = 0
    for _ in range(opened.form.header.lines):
        end = opened.content.find(b"\n", end) + 1
        if not end:
            return None
    before, rows = opened.content[:end], opened.content[end:]
    if not rows or rows.endswith(b"\r"):
        # Half an end of a line would be a whole one before the rows of another file.
        return None
    rows = rows if rows.endswith(b"\n") else rows + b"\n"
    return _Opened(file, opened, before, rows, count_ends(rows))


def _read_group(group: list[_Opened], folder: Path, options: FilesMarketParameters) -> Iterator[tuple[Path, Reading]]:
    """Yield the files of a group that were read; one that is not plain, or that no other is like, is not among them."""
    if len(group) < 2:
        return
    separator, header = group[0].opened.form
    found = recognise_header(header.names, header.layout, options)
    if not (needs_no_content(header.names, found) and found.layout.rows_stand_alone):
        return
    counts = [each.n_rows for each in group]
    names = [name_of(each.file, folder) for each in group]
    content = b"".join([group[0].before, *(each.rows for each in group)])
    plain = plain_cells(content, separator, header, options, header.lines, sum(counts) + header.lines)
    rows = None
    if plain is not None:
        lines = np.concatenate([np.arange(count) for count in counts]) + header.lines + 1
        own = pd.array([instrument_of(Path(name), options.bars) for name in names], dtype="str")
        rows = plain_rows(plain.table, lines, plain.found, pd.Series(own.repeat(counts)))
    if plain is None or rows is None:
        half = len(group) // 2
        yield from _read_group(group[:half], folder, options)
        yield from _read_group(group[half:], folder, options)
        return
    for each, name, (start, end) in zip(group, names, pairwise(accumulate(counts, initial=0)), strict=True):
        part = rows.iloc[start:end]
        part.index = pd.RangeIndex(len(part))
        yield each.file, _reading_of(each, name, part, plain)


def _reading_of(each: _Opened, name: str, rows: pd.DataFrame, plain: PlainCells) -> Reading:
    header, found = each.opened.form.header, plain.found
    return Reading(
        name, found.name, rows, fields=tuple(found.columns.values()), header=header.names,
        title=title_of(each.before.decode(), header),
    )  # fmt: skip
