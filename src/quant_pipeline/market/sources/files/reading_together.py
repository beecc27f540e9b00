"""Many files, read: plain text files of one header as one text, every other file alone.

Most of what reading a small file takes are calls, which a text of many files needs once. Cells of plain files mean the
same whatever stands beside them, so each file has the rows that it has alone, bit for bit; where one of them is not
plain, or all rows of a file say what one of them means, all of its group are read alone.
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
from quant_pipeline.market.sources.files.opening import OpenedText, head_of, open_text
from quant_pipeline.market.sources.files.options import FilesMarketParameters
from quant_pipeline.market.sources.files.parsing import Reading, name_of, plain_rows, read_file
from quant_pipeline.market.sources.files.plain_text import PlainCells, plain_cells
from quant_pipeline.market.sources.files.recognition import needs_no_content, recognise_header

TOGETHER: Final = 16
"""Files of a group: more of them save no more calls, and leave the cache of a core."""
LARGEST_GROUP: Final = 1 << 20
"""Bytes of a group, which are held as texts and tables at once; of larger files calls take little."""


class _Opened(NamedTuple):
    """A file that may be plain: its text, and its lines after the header."""

    file: Path
    opened: OpenedText
    before: str
    rows: str

    @property
    def form(self) -> Hashable:
        """What files of a group have in common."""
        return self.before, self.opened.separator, self.opened.header


def read_files(files: Sequence[Path], folder: Path, options: FilesMarketParameters) -> list[Reading]:
    """Read some files of a folder.

    Parameters
    ----------
    files, folder, options
        As for `read_file`; text files of the same first lines are read together.

    Returns
    -------
    list
        What `read_file` returns of each.
    """
    found: dict[Path, Reading] = {}
    for part in _parts(files):
        for group in _groups_of(part, folder, options):
            # What is wrong with one of them is said where it is read alone.
            with suppress(*FAULTS):
                found |= dict(_read_group(group, folder, options))
    return [found.get(file) or read_file(file, folder, options) for file in files]


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


def _groups_of(files: list[Path], folder: Path, options: FilesMarketParameters) -> list[list[_Opened]]:
    """Open files, and return those of one form together."""
    groups: dict[Hashable, list[_Opened]] = {}
    for file in files:
        with suppress(*FAULTS):
            opened = _open(file, folder, options)
            if opened is not None:
                groups.setdefault(opened.form, []).append(opened)
    return list(groups.values())


def _size_of(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        # What is wrong with the file is said where it is read.
        return 0


def _open(file: Path, folder: Path, options: FilesMarketParameters) -> _Opened | None:
    opened = open_text(file, folder, options)
    if opened is None:
        return None
    end = 0
    for _ in range(opened.header.lines):
        end = opened.text.find("\n", end) + 1
        if not end:
            return None
    before, rows = opened.text[:end], opened.text[end:]
    if not rows or rows.endswith("\r"):
        # Half an end of a line would be a whole one before the rows of another file.
        return None
    return _Opened(file, opened, before, rows if rows.endswith("\n") else f"{rows}\n")


def _read_group(group: list[_Opened], folder: Path, options: FilesMarketParameters) -> Iterator[tuple[Path, Reading]]:
    """Yield the files of a group that were read; none of them where one is not plain, or none other is like it."""
    if len(group) < 2:
        return
    first = group[0].opened
    found = recognise_header(first.header.names, first.header.layout, options)
    if not (needs_no_content(first.header.names, found) and found.layout.rows_stand_alone):
        return
    text = group[0].before + "".join(each.rows for each in group)
    plain = plain_cells(text, first.separator, first.header, options, first.header.lines)
    if plain is None:
        return
    counts = [each.rows.count("\n") for each in group]
    lines = np.concatenate([np.arange(count) for count in counts]) + first.header.lines + 1
    names = [name_of(each.file, folder) for each in group]
    own = [instrument_of(Path(name), options.bars) for name in names]
    of_files = pd.Series(np.repeat(np.array(own, dtype=object), counts), dtype="str")
    rows = plain_rows(plain.table, lines, plain.found, of_files)
    if rows is None:
        return
    for each, name, (start, end) in zip(group, names, pairwise(accumulate(counts, initial=0)), strict=True):
        yield each.file, _reading_of(each, name, rows.iloc[start:end].reset_index(drop=True), plain)


def _reading_of(each: _Opened, name: str, rows: pd.DataFrame, plain: PlainCells) -> Reading:
    opened, found = each.opened, plain.found
    return Reading(
        name, found.name, rows, fields=tuple(found.columns.values()), header=opened.header.names,
        title=title_of(opened.text, opened.header),
        head=head_of(opened, len(rows), plain),
    )  # fmt: skip
