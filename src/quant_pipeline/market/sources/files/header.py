"""The header of a text file: where it begins, one line or two, or none at all."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from quant_pipeline.market.sources.files.column_names import CURRENCIES, column_name
from quant_pipeline.market.sources.files.layouts import CANONICAL, LAYOUTS
from quant_pipeline.market.sources.files.numbers import is_number

FIELD_NAMES = frozenset(
    {"open", "high", "low", "close", "volume", "adj close", "dividends", "stock splits", "capital gains"}
)
_BARE = frozenset({"o", "h", "l", "c", "v", "t", "name", "price", "close/last"})
_NUMERIC = re.compile(r"[-+]?[\d.,:/ \-TZ]*\d[\d.,:/ \-TZ]*")


@dataclass(frozen=True)
class Header:
    """What was found in the first lines.

    Attributes
    ----------
    names
        Names of the columns; empty when there is no header.
    lines
        Lines before the first row of data.
    levels
        For a header of two lines: field and instrument of each column.
    layout
        Layout that the form names.
    order
        Columns of a file without header whose content says which it is.
    fault
        Why the file cannot be read, when it has no names.
    is_known
        Whether names of bars were recognised.
    title_lines
        Lines before the first one of the header.
    """

    names: tuple[str, ...] = ()
    lines: int = 0
    levels: tuple[tuple[str, str], ...] = ()
    layout: str | None = None
    order: tuple[str, ...] | None = None
    fault: str = "has no header line; write one, such as date,open,high,low,close,volume"
    is_known: bool = False
    title_lines: int = 0

    def columns(self) -> pd.Index:
        """Return the columns of the table."""
        return pd.MultiIndex.from_tuples(self.levels) if self.levels else pd.Index(list(self.names))


def find_header(rows: Sequence[Sequence[str]], own: Mapping[str, str]) -> Header:
    """Find the header among the first rows of a file.

    Parameters
    ----------
    rows
        Cells of the first lines.
    own
        Column names that the user maps, ours to the file's.
    """
    two = _two_lines(rows)
    if two is not None:
        return two
    theirs = {name.strip().lower() for name in own.values()}
    scores = count_names(rows, theirs)
    best = max(scores, default=0)
    wide_lines = [index for index, row in enumerate(rows[:3]) if best < 3 and wide_names(_trimmed(row)) is not None]
    if best >= 3 or wide_lines:
        index = wide_lines[0] if wide_lines else scores.index(best)
        wide = wide_names(_trimmed(rows[index]))
        names = tuple(rows[index] if wide is None else _trimmed(rows[index]))
        levels = tuple(wide) if wide is not None else ()
        layout = "yahoo_download" if levels else None
        return Header(_unique(names), index + 1, levels, layout, is_known=True, title_lines=index)
    first = next((index for index, row in enumerate(rows) if any(row)), None)
    if first is None:
        return Header(fault="is empty")
    if _is_data(rows[first]):
        binance = LAYOUTS["binance"].order
        if len(rows[first]) == len(binance) and _is_epoch(rows[first][0]) and _is_epoch(rows[first][6]):
            return Header(binance, first, (), "binance", binance, is_known=True)
        return Header()
    # Names that nothing knows: the reader of columns says which ones are missing.
    return Header(_unique(rows[first]), first + 1, title_lines=first)


def count_names(rows: Sequence[Sequence[str]], own: Collection[str] = ()) -> list[int]:
    """Return how many cells of each row are names of columns that bars have; no row after one that has the most."""
    scores, widest = [], max(map(len, rows), default=0)
    for row in rows:
        scores.append(sum(_is_name(cell, own) for cell in row))
        if scores[-1] == widest:
            break
    return scores


def _unique(names: Sequence[str]) -> tuple[str, ...]:
    """Return names of which each stands once: a later one of the same has a number that no other name has."""
    theirs, given = set(names), set[str]()
    if len(theirs) == len(names):
        return tuple(names)
    numbers: dict[str, int] = {}
    result = []
    for name in names:
        number, own = numbers.get(name, 0), name
        while own in given or (number and own in theirs):
            number += 1
            own = f"{name}.{number}"
        numbers[name] = number
        given.add(own)
        result.append(own)
    return tuple(result)


def _is_name(cell: str, own: Collection[str]) -> bool:
    name = cell.strip().lower()
    if name in CANONICAL or name in own or name in _BARE:
        return True
    # Cells of data are most of what is asked about.
    return name[:1].isalpha() and column_name(cell).name in CANONICAL


def _is_data(row: Sequence[str]) -> bool:
    filled = [cell for cell in row if cell]
    return len(filled) >= 5 and sum(map(_is_number, filled)) >= len(filled) - 1


def _is_number(cell: str) -> bool:
    """Whether a cell is a number or a date in figures, also ``1'361.30``, ``$1,361.30`` and ``2.33M``."""
    return bool(_NUMERIC.fullmatch(cell)) or is_number(cell)


def _is_epoch(cell: str) -> bool:
    return cell.isdigit() and len(cell) in (10, 13, 16)


def _is_field(cell: str) -> bool:
    return column_name(cell).name in FIELD_NAMES


def _two_lines(rows: Sequence[Sequence[str]]) -> Header | None:
    """Recognise a line of fields and a line of instruments among the first ones that hold something."""
    filled = [place for place, row in enumerate(rows) if any(row)]
    for first, second, third in zip(filled[:3], filled[1:], filled[2:], strict=False):
        width = max(len(_trimmed(rows[first])), len(_trimmed(rows[second])))
        header = _of_two_lines([rows[place][:width] for place in (first, second, third)])
        is_plain = second == 1 or (all(rows[first][1:width]) and all(rows[second][1:width]))
        if header is not None and (is_plain or _are_alike(header.levels[1:])):
            lines = (third if header.lines == 3 else second) + 1
            return replace(header, lines=lines, title_lines=first)
    return None


def _are_alike(levels: Sequence[tuple[str, str]]) -> bool:
    """Whether several instruments have the same fields each: no title with a few cells, which stand above others."""
    fields: dict[str, list[str]] = {}
    for field, instrument in levels:
        fields.setdefault(instrument, []).append(field)
    return len(fields) > 1 and len({tuple(own) for own in fields.values()}) == 1


def _of_two_lines(rows: Sequence[Sequence[str]]) -> Header | None:
    """Recognise fields and instruments, in either order, and the line of the index's name."""
    if len(rows[0]) < 5 or len(rows[0]) != len(rows[1]):
        return None
    above, below = rows[0][1:], rows[1][1:]
    for fields, instruments in ((above, _filled(below)), (below, _filled(above))):
        if (
            not all(map(_is_of_bars, fields))
            or any(map(_is_of_bars, instruments))
            or not all(map(_is_named, instruments))
        ):
            continue
        if _is_data(rows[1]) or any(_NUMERIC.fullmatch(cell) and "." in cell for cell in instruments[:5]):
            continue
        has_name = len(rows[2]) > 0 and CANONICAL.get(rows[2][0].strip().lower()) == "date" and not any(rows[2][1:])
        levels = (("date", ""), *((field.strip(), name) for field, name in zip(fields, instruments, strict=True)))
        names = tuple("|".join(level) for level in levels)
        form = "yahoo_download" if all(map(_is_field, fields)) else None
        return Header(names, 3 if has_name else 2, levels, form, is_known=True)
    return None


def _trimmed(row: Sequence[str]) -> Sequence[str]:
    """Return cells without the empty ones at the end."""
    return row[: max((place + 1 for place, cell in enumerate(row) if cell), default=0)]


def _is_named(cell: str) -> bool:
    """Whether a cell may be a name: a line of dashes below a header has none."""
    return any(map(str.isalnum, cell))


def _is_of_bars(cell: str) -> bool:
    """Whether a cell names a price, a volume or an action by any of its names."""
    return CANONICAL.get(column_name(cell).name, "date") not in ("date", "time", "instrument")


def _filled(cells: Sequence[str]) -> list[str]:
    """Return cells of which empty ones, as merged cells are written, carry the one before."""
    filled: list[str] = []
    for cell in cells:
        filled.append(cell if cell.strip() or not filled else filled[-1])
    return filled


def wide_names(names: Sequence[str]) -> list[tuple[str, str]] | None:
    """Split columns such as ``('Close', 'AAA')``, ``AAA_Close`` or ``Close AAA``; None when they are no such table."""
    found: list[tuple[str, str]] = []
    for index, name in enumerate(names):
        pair = _split_name(name)
        if pair is not None:
            found.append(pair)
        elif index == 0 or CANONICAL.get(name.strip().lower()) == "date":
            found.append(("date", ""))
        else:
            return None
    fields: dict[str, set[str]] = {}
    for field, instrument in found:
        if instrument:
            fields.setdefault(instrument, set()).add(column_name(field).name)
    if len(fields) == 1 and next(iter(fields)).lower() in CURRENCIES:
        return None
    complete = bool(fields) and all({"open", "high", "low", "close", "volume"} <= own for own in fields.values())
    return found if complete and len(found) == len(set(found)) else None


def _split_name(name: str) -> tuple[str, str] | None:
    unit = re.search(r"\s*[(\[{][^()\[\]{}']*[)\]}]$", name.strip()) if column_name(name).unit else None
    if unit is not None:
        pair = _split_name(name.strip()[: unit.start()])
        return None if pair is None else (pair[0] + unit.group(), pair[1])
    quoted = re.fullmatch(r"\(\s*'([^']*)'\s*,\s*'([^']*)'\s*\)", name.strip())
    pairs = (
        [quoted.groups()]
        if quoted
        else [(name[: at.start()], name[at.end() :]) for at in re.finditer(r"[_ .|:-]", name)]
    )
    for first, second in pairs:
        if _is_field(first) and second and not _is_field(second):
            return first.strip(), second.strip()
        if _is_field(second) and first and not _is_field(first):
            return second.strip(), first.strip()
    return None
