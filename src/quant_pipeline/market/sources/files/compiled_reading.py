"""Plain text files of one header, read by kernels into columns that they share.

Kernels let go of the interpreter lock for all files of a group at once, and read them in half of the time that Arrow
takes. They know fewer forms of cells: a file that has another one is left to Arrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from quant_pipeline.market.sources.files.kernels import cells
from quant_pipeline.market.sources.files.layouts import NUMBERS
from quant_pipeline.market.sources.files.raw_table import texts_of
from quant_pipeline.market.sources.files.recognition import Recognised
from quant_pipeline.market.sources.files.shared_rows import SharedRows
from quant_pipeline.market.sources.files.text_forms import TextForm
from quant_pipeline.market.sources.files.units import keeps_numbers, scale_to_shares_and_prices

_KINDS: Final = dict.fromkeys(NUMBERS, cells.NUMBER) | {
    "date": cells.DATE,
    "time": cells.MIDNIGHT,
    "instrument": cells.NAME,
    "split": cells.RATIO,
    "volume": cells.AMOUNT,
    "dividend": cells.AMOUNT,
}
"""What the cells of a column are, by our name of it."""


def can_compile(found: Recognised) -> bool:
    """Whether kernels know all columns of a header."""
    return found.fields <= _KINDS.keys()


def read_compiled(
    text: npt.NDArray[np.uint8],
    places: Sequence[tuple[int, int]],
    form: TextForm,
    found: Recognised,
    names: Sequence[str],
) -> list[SharedRows | None]:
    """Read the rows of plain texts.

    Parameters
    ----------
    text
        Bytes of all files.
    places
        Where the rows of each file begin and end among them, in UTF-8.
    form
        Separator and header of all of them.
    found
        What the header says.
    names
        Instruments after which the files are named.

    Returns
    -------
    list
        Of each file; None where it has a cell that is read by others.
    """
    from quant_pipeline.market.sources.files.kernels.entries import count_rows, read_rows

    files = np.zeros((len(places), cells.N_FACTS), dtype=np.int64)
    files[:, [cells.START, cells.STOP]] = places
    count_rows(text, files)
    ends = np.cumsum(files[:, cells.ROWS])
    files[1:, cells.FIRST_ROW] = ends[:-1]
    ours = [found.columns.get(name) for name in form.header.names]
    numbers = [name for name in (*NUMBERS, "split") if name in ours]
    columns = np.array(
        [
            (cells.IGNORED if name is None else _KINDS[name], numbers.index(name) if name in numbers else 0)
            for name in ours
        ],
        dtype=np.int64,
    )
    values, days = np.empty((len(numbers), ends[-1])), np.empty(ends[-1], dtype=np.int64)
    read_rows(text, files, columns, ord(form.separator), values, days)
    shared = {"date": days.view("datetime64[ns]")} | _scaled(dict(zip(numbers, values, strict=True)), found)
    if "instrument" in ours:
        names = _names_in(text, files)
    line = form.header.lines + 1
    return [
        SharedRows(shared, first, first + count, line, name) if is_read else None
        for name, (first, count, is_read) in zip(
            names, files[:, [cells.FIRST_ROW, cells.ROWS, cells.IS_READ]].tolist(), strict=True
        )
    ]


def _scaled(numbers: dict[str, npt.NDArray[Any]], found: Recognised) -> dict[str, npt.NDArray[Any]]:
    if keeps_numbers(found):
        return numbers
    table = pd.DataFrame(numbers, copy=False)
    scale_to_shares_and_prices(table, found)
    return {str(name): table[name].to_numpy() for name in table}


def _names_in(text: npt.NDArray[np.uint8], files: npt.NDArray[np.int64]) -> list[str]:
    """Return the first instrument that each file names; an empty one of a file that was not read."""
    places = files[:, [cells.NAME_START, cells.NAME_STOP]].tolist()
    return texts_of(pd.Series([text[start:stop].tobytes().decode() for start, stop in places])).tolist()
