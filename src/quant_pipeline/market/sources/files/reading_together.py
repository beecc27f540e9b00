"""Plain text files of one header, read as one text.

Most of what reading a small file takes are calls, which a text of many files needs once. Cells of plain files mean the
same whatever stands beside them, so each file has the rows that it has alone, bit for bit. Of a group that is not plain
each half is read for itself, until those that are not stand alone; files of which all rows say what one of them means
are left alone by their header.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from contextlib import nullcontext, suppress
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.common.numba_settings import is_compilation_off
from quant_pipeline.market.sources.files.compiled_reading import can_compile, read_compiled
from quant_pipeline.market.sources.files.faults import FAULTS
from quant_pipeline.market.sources.files.file_reading import Reading
from quant_pipeline.market.sources.files.first_lines import title_of
from quant_pipeline.market.sources.files.instrument_names import instrument_of
from quant_pipeline.market.sources.files.opening import OpenedText, open_text
from quant_pipeline.market.sources.files.options import FilesMarketParameters
from quant_pipeline.market.sources.files.parsing import name_of, plain_rows
from quant_pipeline.market.sources.files.plain_text import count_ends, may_be_plain, plain_cells
from quant_pipeline.market.sources.files.recognition import Recognised, needs_no_content, recognise_header
from quant_pipeline.market.sources.files.rooms import Rooms
from quant_pipeline.market.sources.files.shared_rows import SharedRows
from quant_pipeline.market.sources.files.text_forms import LONGEST, KnownForms, TextForm

Item = TypeVar("Item")

TOGETHER: Final = 32
"""Files of a group: more of them save no more calls, and leave the cache of a core."""
LARGEST_GROUP: Final = 2 << 20
"""Bytes of a group, which are held as texts and tables at once; of larger files calls take little."""
LARGEST_COMPILED: Final = 16 << 20
"""Bytes of a group that kernels read, whose columns the system gives in large pages."""
WORTH_KERNELS: Final = 16 << 20
"""Bytes of all files from which kernels save more time than it takes to load them."""


class _Opened(NamedTuple):
    """A file that may be plain.

    Attributes
    ----------
    file, opened
        The file, and what was found in it.
    before
        Its lines up to the header.
    stop
        Where it ends in the room that it was read into.
    """

    file: Path
    opened: OpenedText
    before: bytes
    stop: int = 0

    @property
    def form(self) -> Hashable:
        """What files of a group have in common."""
        return self.before, self.opened.form

    @property
    def place(self) -> tuple[int, int]:
        """Where its lines after the header begin and end in the room."""
        return self.stop - len(self.opened.content) + len(self.before), self.stop

    @property
    def rows(self) -> bytes:
        """Its lines after the header, of which the last one has an end."""
        lines = bytes(self.opened.content[len(self.before) :])
        return lines if lines.endswith(b"\n") else lines + b"\n"


def are_worth_kernels(files: Iterable[Path]) -> bool:
    """Whether files are so many and so large that reading them by kernels saves more than loading these takes."""
    if is_compilation_off():
        return False
    return any(total >= WORTH_KERNELS for total in accumulate(map(_size_of, files)))


def read_together(
    files: Sequence[Path],
    folder: Path,
    options: FilesMarketParameters,
    rooms: Rooms | None = None,
) -> dict[Path, Reading]:
    """Read those of some files of a folder that can be read together.

    Parameters
    ----------
    files, folder, options
        As for `read_file`.
    rooms
        Where files are read into, so that kernels read those that they know; None lets Arrow read all.

    Returns
    -------
    dict
        What `read_file` returns of each of them, without a head.
    """
    found: dict[Path, Reading] = {}
    known = KnownForms(options.columns)
    sizes = {file: size for file in files if (size := _size_of(file)) <= LARGEST_GROUP}
    for part in _parts(list(sizes), list(sizes.values()), LARGEST_GROUP if rooms is None else LARGEST_COMPILED):
        room = None if rooms is None else rooms.take(sum(sizes[file] + 1 for file in part))
        with rooms.opening if rooms is not None else nullcontext():
            groups = _groups_of({file: sizes[file] for file in part}, folder, options, known, room)
        for group in groups:
            # What is wrong with one of them is said where it is read alone.
            with suppress(*FAULTS):
                if room is not None and len(group) > 1:
                    found |= dict(_read_compiled(group, room, folder, options))
                others = [each for each in group if each.file not in found]
                for part_of_others in _parts(others, [len(each.opened.content) for each in others], LARGEST_GROUP):
                    found |= dict(_read_group(part_of_others, folder, options))
    return found


def _parts(files: Sequence[Item], sizes: Sequence[int], most: int) -> list[list[Item]]:
    """Return files of no more bytes that are held at once; one that has no other beside it is not among them."""
    parts: list[list[Item]] = [[]]
    n_bytes = 0
    for file, size in zip(files, sizes, strict=True):
        if n_bytes + size > most:
            parts.append([])
            n_bytes = 0
        parts[-1].append(file)
        n_bytes += size
    return [part for part in parts if len(part) > 1]


def _groups_of(
    files: dict[Path, int],
    folder: Path,
    options: FilesMarketParameters,
    known: KnownForms,
    room: npt.NDArray[np.uint8] | None,
) -> list[list[_Opened]]:
    """Open files of some sizes, side by side in a room, and return those of one form together."""
    groups: dict[Hashable, list[_Opened]] = {}
    view, start = None if room is None else room.data, 0
    for file, size in files.items():
        own = None if view is None else view[start : start + size + 1]
        with suppress(*FAULTS):
            opened = open_text(file, folder, options, known, own)
            before = None if opened is None else _before_rows(opened)
            if opened is not None and before is not None:
                found = _Opened(file, opened, before, start + opened.n_stored)
                groups.setdefault(found.form, []).append(found)
        start += size + 1
    return list(groups.values())


def _size_of(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        # What is wrong with the file is said where it is read.
        return 0


def _before_rows(opened: OpenedText) -> bytes | None:
    """Return the lines up to the header; None of a text without rows, or whose last one has half an end.

    Half an end of a line would be a whole one before the rows of another file.
    """
    end, first = 0, bytes(opened.content[:LONGEST])
    for _ in range(opened.form.header.lines):
        if b"\n" not in first[end:]:
            first = bytes(opened.content)
        end = first.find(b"\n", end) + 1
        if not end:
            return None
    return None if len(opened.content) == end or opened.content[-1:] == b"\r" else first[:end]


def _read_compiled(
    group: list[_Opened], room: npt.NDArray[np.uint8], folder: Path, options: FilesMarketParameters
) -> Iterator[tuple[Path, Reading]]:
    """Yield the files of a group that kernels have read; one that they do not know whole is not among them."""
    form, before = group[0].opened.form, group[0].before
    found = recognise_header(form.header.names, form.header.layout, options)
    if not (_stand_alone(form, found) and can_compile(found) and may_be_plain(before, form.separator, options)):
        return
    names = [name_of(each.file, folder) for each in group]
    own = [instrument_of(Path(name), options.bars) for name in names]
    held = read_compiled(room, [each.place for each in group], form, found, own)
    for each, name, rows in zip(group, names, held, strict=True):
        if rows is not None:
            yield each.file, _reading_of(each, name, rows, found)


def _stand_alone(form: TextForm, found: Recognised) -> bool:
    """Whether the header says all of a file but its cells, and each of its rows means the same beside any others."""
    is_enough = not form.header.levels and needs_no_content(form.header.names, found)
    return is_enough and found.layout.rows_stand_alone


def _read_group(group: list[_Opened], folder: Path, options: FilesMarketParameters) -> Iterator[tuple[Path, Reading]]:
    """Yield the files of a group that were read; one that is not plain, or that no other is like, is not among them."""
    if len(group) < 2:
        return
    form = group[0].opened.form
    separator, header = form
    found = recognise_header(header.names, header.layout, options)
    if not _stand_alone(form, found):
        return
    names = [name_of(each.file, folder) for each in group]
    pieces = [each.rows for each in group]
    counts = [count_ends(piece) for piece in pieces]
    content = b"".join([group[0].before, *pieces])
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
        yield each.file, _reading_of(each, name, part, plain.found)


def _reading_of(each: _Opened, name: str, rows: pd.DataFrame | SharedRows, found: Recognised) -> Reading:
    header = each.opened.form.header
    return Reading(
        name, found.name, rows, fields=tuple(found.columns.values()), header=header.names,
        title=title_of(each.before.decode(), header),
    )  # fmt: skip
