"""A file as it is, before its columns are recognised."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pandas as pd

from quant_pipeline.market.sources.files.recognition import Recognised

FIRST_LINES: Final = 30
"""Lines in which a header is looked for."""


class UnreadableFileError(Exception):
    """A file that holds no table; the text says why."""


@dataclass(frozen=True)
class Head:
    """The whole lines of a plain text file that were read, by which what is added to it is recognised.

    Attributes
    ----------
    n_bytes, digest
        How many bytes they take, and their SHA-256.
    n_lines, n_rows
        How many lines they are, and how many of them are rows.
    are_compact
        Whether their dates are written without marks.
    """

    n_bytes: int
    digest: str
    n_lines: int
    n_rows: int
    are_compact: bool


@dataclass
class RawTable:
    """A file as it is, one row per bar.

    Attributes
    ----------
    table
        Cells as text, or typed where the format has types.
    lines
        Line of each row in the file, counted from 1; for formats without lines that of the row plus header.
    layout
        Layout that the form of the file names, if it does.
    damaged
        Lines that are no rows, and why: more cells than the header has, or an end of line within.
    has_commas
        Whether numbers may hold commas, whose meaning has to be found.
    title
        What stands before the header, and the name of the sheet.
    of_header
        What the header alone says where the file is plain, see `plain_text`; None where it is not.
    head
        What was read, where more can follow it that is read alone.
    """

    table: pd.DataFrame
    lines: np.ndarray
    layout: str | None = None
    damaged: list[tuple[int, str]] = field(default_factory=list)
    has_commas: bool = False
    title: str = ""
    of_header: Recognised | None = None
    head: Head | None = None


def texts_of(column: pd.Series) -> pd.Series:
    """Return cells as texts without blanks around them: empty where nothing is, whole numbers without decimals."""
    if pd.api.types.is_float_dtype(column) and (column.dropna() % 1 == 0).all():
        column = column.astype("Int64")
    return column.astype("str").fillna("").str.strip().astype("str")
