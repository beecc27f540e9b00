"""A file as it is, before its columns are recognised."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pandas as pd

FIRST_LINES: Final = 30
"""Lines in which a header is looked for."""


class UnreadableFileError(Exception):
    """A file that holds no table; the text says why."""


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
        Lines that have more cells than the header, and how they begin.
    has_commas
        Whether numbers may hold commas, whose meaning has to be found.
    title
        Lines before the header.
    """

    table: pd.DataFrame
    lines: np.ndarray
    layout: str | None = None
    damaged: list[tuple[int, str]] = field(default_factory=list)
    has_commas: bool = False
    title: str = ""
