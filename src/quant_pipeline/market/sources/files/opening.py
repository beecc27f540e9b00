"""Open a file as a table: unpack it; encoding, separator, header lines, Parquet's index, partitions of its folder."""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
from pathlib import Path, PurePath
from typing import NamedTuple
from urllib.parse import unquote

import numpy as np
import pandas as pd

from quant_pipeline.common.text_lines import end_of_lines
from quant_pipeline.market.sources.files.decoding import decoded, unpacked
from quant_pipeline.market.sources.files.faults import naming_faults
from quant_pipeline.market.sources.files.first_lines import header_of, separator_of, title_of
from quant_pipeline.market.sources.files.header import Header
from quant_pipeline.market.sources.files.instrument_names import printable
from quant_pipeline.market.sources.files.options import FilesMarketParameters
from quant_pipeline.market.sources.files.plain_text import PlainCells, count_ends, plain_cells
from quant_pipeline.market.sources.files.raw_table import FIRST_LINES, Head, RawTable, UnreadableFileError
from quant_pipeline.market.sources.files.rooms import content_of, read_into
from quant_pipeline.market.sources.files.text_forms import LONGEST, KnownForms, TextForm
from quant_pipeline.market.sources.files.text_rows import has_mixed_ends, has_rows_of_lines, text_rows
from quant_pipeline.market.sources.files.wide import stack_instruments
from quant_pipeline.market.sources.files.workbooks import read_workbook

_TYPED = (".parquet", ".pq", ".feather")
_PACKED = (
    b"PAR1",
    b"ARROW1",
    b"FEA1",
    b"PK\x03\x04",
    b"\xd0\xcf\x11\xe0",
    b"\x1f\x8b",
    b"BZh",
    b"\xfd7zXZ",
    b"\x28\xb5\x2f\xfd",
)
"""How files begin that are no text, or a packed one."""


class OpenedText(NamedTuple):
    """A text file in UTF-8.

    Attributes
    ----------
    content
        Its bytes, after the mark that may stand before them; in the room that it was read into.
    form
        What was found in its first lines.
    n_stored
        How many bytes it has with the mark.
    """

    content: bytes | memoryview
    form: TextForm
    n_stored: int


def open_table(file: Path, folder: Path, options: FilesMarketParameters, as_text: bool = False) -> RawTable:
    """Open one file.

    Parameters
    ----------
    file, folder, options
        The file, the folder of the market and its options.
    as_text
        Whether the cells of a plain text file are wanted as they stand there, for messages that name them.

    Raises
    ------
    UnreadableFileError
        When it holds no table.
    """
    with naming_faults():
        return _with_partitions(_open(file, options, as_text), file, folder)


def open_text(
    file: Path, folder: Path, options: FilesMarketParameters, known: KnownForms, room: memoryview | None = None
) -> OpenedText | None:
    """Open a text file that is stored as it is, in UTF-8, in a folder that says nothing; None for every other file.

    What is wrong with a file is said by `open_table`.

    Parameters
    ----------
    file, folder, options
        As for `open_table`.
    known
        Forms of files that were opened with these options; that of this one is put among them.
    room
        Where it is read into, with a byte more than it has; None for memory of its own.
    """
    if options.encoding is not None or file.name.lower().endswith(_TYPED) or _partitions_of(file, folder):
        return None
    try:
        stored = content_of(file) if room is None else read_into(room, file)
        text = None if _is_ascii(stored) else bytes(stored).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return None
    first = bytes(stored[:LONGEST])
    if first.startswith(_PACKED) or b"\0" in first[:4096]:
        return None
    content = stored[len(codecs.BOM_UTF8) :] if first.startswith(codecs.BOM_UTF8) else stored
    first = first.removeprefix(codecs.BOM_UTF8)
    form = known.of(first)
    if form is None:
        form = _form_of(bytes(stored).decode() if text is None else text, options)
        if form is not None:
            known.add(first, form)
    return None if form is None else OpenedText(content, form, len(stored))


def _is_ascii(stored: bytes | memoryview) -> bool:
    return stored.isascii() if isinstance(stored, bytes) else bool(np.frombuffer(stored, np.uint8).max(initial=0) < 128)


def _form_of(text: str, options: FilesMarketParameters) -> TextForm | None:
    if not text.strip() or text.lstrip()[0] in "<{":
        return None
    try:
        separator = options.separator or separator_of(text)
        header = header_of(text, separator, options)
    except csv.Error:
        return None
    return TextForm(separator, header) if header.order is None and header.names else None


def open_tail(file: Path, folder: Path, options: FilesMarketParameters, head: Head, content: bytes) -> RawTable | None:
    """Open what has been added to a text file since its head was read; None where that is not plain.

    Parameters
    ----------
    file, folder, options
        As for `open_table`.
    head
        What was read before: the beginning of the content.
    content
        The file as it is.
    """
    try:
        first = content[: head.n_bytes].decode("utf-8-sig")
        tail = content[head.n_bytes :]
        tail.decode()
    except UnicodeDecodeError:
        return None
    separator = options.separator or separator_of(first)
    header = header_of(first, separator, options)
    plain = plain_cells(tail, separator, header, options, 0)
    if plain is None or plain.are_compact != head.are_compact:
        return None
    raw = _of_plain(plain, first, separator, header, head.n_lines)
    n_rows = head.n_rows + len(raw.table)
    raw.head = _head_of(content, head.n_lines + count_ends(tail), n_rows, plain)
    return _with_partitions(raw, file, folder)


def _with_partitions(raw: RawTable, file: Path, folder: Path) -> RawTable:
    for key, value in _partitions_of(file, folder):
        if key not in raw.table.columns:
            raw.table[key] = pd.array([value] * len(raw.table), dtype="str")
    return raw


def _open(file: Path, options: FilesMarketParameters, as_text: bool) -> RawTable:
    if file.stat().st_size == 0:
        raise UnreadableFileError("is empty")
    name = file.name.lower()
    if name.endswith((".parquet", ".pq")):
        # Arrow opens no file whose name is no UTF-8.
        with file.open("rb") as opened:
            return _typed(pd.read_parquet(opened))
    if name.endswith(".feather"):
        with file.open("rb") as opened:
            return _typed(pd.read_feather(opened))
    stored = file.read_bytes()
    content = unpacked(stored, name)
    if content.startswith(b"PAR1"):
        return _typed(pd.read_parquet(io.BytesIO(content)))
    if content.startswith((b"ARROW1", b"FEA1")):
        return _typed(pd.read_feather(io.BytesIO(content)))
    if content.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        return read_workbook(content, options.columns)
    return _text(stored, decoded(content, options.encoding), options, as_text)


def _head_of(stored: bytes, n_lines: int, n_rows: int, plain: PlainCells) -> Head:
    n_bytes = stored.rfind(b"\n") + 1
    n_whole = n_rows - (n_bytes < len(stored))
    return Head(n_bytes, hashlib.sha256(stored[:n_bytes]).hexdigest(), n_lines, n_whole, plain.are_compact)


def _may_go_on(stored: bytes, text: str, options: FilesMarketParameters) -> bool:
    """Whether a text file is stored as it is, with so many lines that more do not show another form of it."""
    is_as_stored = options.encoding is None and stored.removeprefix(codecs.BOM_UTF8) == text.encode()
    return is_as_stored and text.count("\n") > FIRST_LINES + 1


def _text(stored: bytes, text: str, options: FilesMarketParameters, as_text: bool) -> RawTable:
    if not text.strip():
        raise UnreadableFileError("is empty")
    if text.lstrip()[:1] in "<{" and "<date>" not in text[:500].lower() and "<ticker>" not in text[:500].lower():
        kind = "a web page" if text.lstrip().startswith("<") else "JSON"
        raise UnreadableFileError(f"is {kind}, no table; save the data as CSV")
    separator = options.separator or separator_of(text)
    header = header_of(text, separator, options)
    if header.order is None and not header.names:
        raise UnreadableFileError(header.fault)
    plain = None if as_text else _plain_cells(text, separator, header, options)
    if plain is not None:
        raw = _of_plain(plain, text, separator, header, header.lines)
        if _may_go_on(stored, text, options):
            raw.head = _head_of(stored, text.count("\n"), len(raw.table), plain)
        return raw
    table, lines, damaged = _cells(text, separator, header)
    if header.levels:
        table, lines = stack_instruments(table, lines)
    has_commas, title = separator != "," or '"' in text, title_of(text, header)
    return RawTable(table, lines, header.layout, damaged, has_commas, title)


def _plain_cells(text: str, separator: str, header: Header, options: FilesMarketParameters) -> PlainCells | None:
    try:
        content = text.encode()
    except UnicodeEncodeError:
        return None
    return plain_cells(content, separator, header, options, header.lines)


def _of_plain(plain: PlainCells, first: str, separator: str, header: Header, before: int) -> RawTable:
    lines = np.arange(len(plain.table)) + before + 1
    has_commas, title = separator != ",", title_of(first, header)
    return RawTable(plain.table, lines, header.layout, [], has_commas, title, plain.found)


def _cells(text: str, separator: str, header: Header) -> tuple[pd.DataFrame, np.ndarray, list[tuple[int, str]]]:
    width = len(header.names)
    damaged: list[tuple[int, str]] = []
    below = text[end_of_lines(text, header.lines) :]
    if not separator.isascii() or has_mixed_ends(below):
        return _cells_line_by_line(below, separator, header)
    try:
        cells = _parsed(below, separator)
        is_odd = cells.shape[1] > width and _has_content(cells.iloc[:, width:])
        is_odd = is_odd or has_rows_of_lines(below, len(cells))
    except pd.errors.EmptyDataError:
        cells, is_odd = pd.DataFrame(columns=range(width), dtype="str"), False
    except pd.errors.ParserError:
        is_odd = True
    if is_odd:
        return _cells_line_by_line(below, separator, header)
    cells = cells.iloc[:, :width].reindex(columns=range(width))
    cells.columns = header.columns()
    lines = np.arange(len(cells)) + header.lines + 1
    if not any(f"{end}{start}" in text for end in "\r\n" for start in (separator, " ", "\t", "\n", "\r", '"')):
        return cells, lines, damaged
    blank = np.array(cells.iloc[:, 0].str.strip() == "", dtype=bool)
    for index in range(1, width):
        blank &= (cells.iloc[:, index].isna() | (cells.iloc[:, index] == "")).to_numpy(dtype=bool)
    return cells[~blank].reset_index(drop=True), lines[~blank], damaged


def _has_content(cells: pd.DataFrame) -> bool:
    return any(bool((cells[place].fillna("").str.strip() != "").any()) for place in cells)


def _parsed(text: str, separator: str) -> pd.DataFrame:
    return pd.read_csv(
        io.StringIO(text), sep=separator, header=None, dtype=str, keep_default_na=False, na_filter=False,
        skipinitialspace=True, skip_blank_lines=False, engine="c", index_col=False,
    )  # fmt: skip


def _cells_line_by_line(
    below: str, separator: str, header: Header
) -> tuple[pd.DataFrame, np.ndarray, list[tuple[int, str]]]:
    """Read lines below a header of which some are no rows or have too many cells: those are damaged, others good."""
    width, rows, lines, damaged = len(header.names), [], [], []
    for row in text_rows(below, separator, header.lines):
        if row.is_blank:
            continue
        if row.fault or any(row.cells[width:]):
            what = row.fault or "more cells than the header has columns"
            damaged.append((row.line, f"{what}: {separator.join(row.cells)[:60]!r}"))
        else:
            rows.append([*row.cells[:width], *[""] * (width - len(row.cells))])
            lines.append(row.line)
    table = pd.DataFrame(rows, columns=range(width), dtype="str")
    table.columns = header.columns()
    return table, np.array(lines, dtype="int64"), damaged


def _typed(table: pd.DataFrame) -> RawTable:
    index = table.index
    if isinstance(index, pd.MultiIndex) or index.name is not None or isinstance(index, pd.DatetimeIndex):
        table = table.reset_index()
    lines = np.arange(len(table)) + 2
    if isinstance(table.columns, pd.MultiIndex):
        table, lines = stack_instruments(table, lines)
        return RawTable(table, lines, "yahoo_download")
    from quant_pipeline.market.sources.files.header import wide_names

    names = wide_names([str(column) for column in table.columns])
    if names is not None:
        table = table.copy()
        table.columns = pd.MultiIndex.from_tuples(names)
        table, lines = stack_instruments(table, lines)
        return RawTable(table, lines, "yahoo_download")
    return RawTable(table.set_axis([str(column) for column in table.columns], axis=1), lines)


def _partitions_of(file: Path, folder: Path) -> list[tuple[str, str]]:
    """Return keys and values of folders such as ``ticker=AAA/year=2024``."""
    if "=" not in str(file):
        return []
    inner = file.relative_to(folder).parent if file.is_relative_to(folder) else PurePath()
    pairs = [part.partition("=") for part in inner.parts if "=" in part]
    return [(printable(key), printable(unquote(value))) for key, _, value in pairs]
