"""Tables beside the bars, of any format, as texts: what cuts them into cells, and which column is which."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import pandas as pd

from quant_pipeline.common.exceptions import MarketDataError
from quant_pipeline.common.text_lines import first_lines_of
from quant_pipeline.market.sources.files.decoding import decoded, unpacked
from quant_pipeline.market.sources.files.faults import naming_faults
from quant_pipeline.market.sources.files.first_lines import SEPARATORS, first_rows
from quant_pipeline.market.sources.files.opening import open_table
from quant_pipeline.market.sources.files.options import FilesMarketParameters
from quant_pipeline.market.sources.files.raw_table import FIRST_LINES, UnreadableFileError, texts_of
from quant_pipeline.market.sources.files.text_rows import text_rows

_TYPED = (".parquet", ".pq", ".feather", ".xlsx")


def read_texts(file: Path, names: Mapping[str, str], ranked: Sequence[str] = ()) -> pd.DataFrame:
    """Read the cells of a table as texts without blanks around them, and without its blank rows.

    Parameters
    ----------
    file
        CSV of any separator, encoding and packing, Parquet, Feather or a workbook.
    names
        Names that columns may have, in small letters, to ours.
    ranked
        Names of which one table may have several: the first one counts.

    Returns
    -------
    pandas.DataFrame
        The columns of `names` that the table has, by our names; one row per line, which is its index.

    Raises
    ------
    MarketDataError
        When it is no table, has more cells in a row than columns, or two columns for one of our names.
    """
    try:
        with naming_faults():
            table = _typed(file) if file.name.lower().endswith(_TYPED) else _of_text(file, names)
    except UnreadableFileError as error:
        raise MarketDataError(f"{file} {error}; correct it, or take it away") from error
    chosen = _chosen([str(column) for column in table.columns], names, ranked, file)
    table = table.iloc[:, list(chosen.values())].set_axis(list(chosen), axis=1)
    return table[(table != "").any(axis=1)]


def _chosen(columns: list[str], names: Mapping[str, str], ranked: Sequence[str], file: Path) -> dict[str, int]:
    """Return our names to the places of their columns."""
    spelt = [column.strip().lower().removeprefix("\ufeff") for column in columns]
    # A workbook's second column of one name has a number after it.
    spelt = [own if own in names else re.sub(r"\.\d+$", "", own) for own in spelt]
    first = next((name for name in ranked if name in spelt), None)
    chosen: dict[str, int] = {}
    for place, name in enumerate(spelt):
        ours = names.get(name)
        if ours is None or (name in ranked and name != first):
            continue
        if ours in chosen:
            both = f"{columns[chosen[ours]]!r} and {columns[place]!r}"
            raise MarketDataError(f"{file} has two columns for {ours}, {both}; take one away, or rename it")
        chosen[ours] = place
    return chosen


def _of_text(file: Path, names: Collection[str]) -> pd.DataFrame:
    text = decoded(unpacked(file.read_bytes(), file.name.lower()), None)
    rows = [row for row in text_rows(text, _separator_of(text, names)) if not row.is_blank]
    if not rows:
        raise UnreadableFileError("is empty")
    # A title, or the line `sep=;` of Excel, may stand above the header.
    rows = rows[_best([row.cells for row in rows[:FIRST_LINES]], names) :]
    header, width = rows[0].cells, len(rows[0].cells)
    for row in rows:
        if row.fault:
            raise UnreadableFileError(f"is damaged: line {row.line} {row.fault}")
        if any(row.cells[width:]):
            raise UnreadableFileError(f"is damaged: Expected {width} fields in line {row.line}, saw {len(row.cells)}")
    cells = [[*row.cells[:width], *[""] * (width - len(row.cells))] for row in rows[1:]]
    return pd.DataFrame(cells, index=[row.line for row in rows[1:]], columns=header, dtype="str")


def _separator_of(text: str, names: Collection[str]) -> str:
    """Return the sign that cuts one of the first lines into the most names that are known."""
    first = next((line for line in first_lines_of(text, FIRST_LINES, 200_000) if line.strip()), "")
    signs = dict.fromkeys([*SEPARATORS, *(sign for sign in first if not (sign.isalnum() or sign in "\"'_"))])
    cut = {sign: first_rows(text, sign).cells for sign in signs}
    return max(signs, key=lambda sign: max((_n_known(cells, names) for cells in cut[sign]), default=0))


def _best(rows: Sequence[Sequence[str]], names: Collection[str]) -> int:
    """Return the place of the first row that has the most names that are known."""
    return max(range(len(rows)), key=lambda place: _n_known(rows[place], names))


def _n_known(cells: Sequence[str], names: Collection[str]) -> int:
    return len({cell.lower() for cell in cells} & set(names))


def _typed(file: Path) -> pd.DataFrame:
    raw = open_table(file, file.parent, FilesMarketParameters())
    texts = {place: texts_of(raw.table.iloc[:, place]) for place in range(raw.table.shape[1])}
    return pd.DataFrame(texts, dtype="str").set_axis(raw.table.columns, axis=1).set_axis(raw.lines, axis=0)
