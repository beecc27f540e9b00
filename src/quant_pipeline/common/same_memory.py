"""Where the values of a column lie: two columns at one place are equal without being read.

Hold a shallow copy of the table for as long as a place counts: pandas then gives a table of the same memory one of its
own before it is written to, and no other values come to lie there.
"""

from __future__ import annotations

import numpy as np
import pandas as pd


def place_of(column: pd.Series) -> object:
    """Return where the values of a column lie, which no other values do while the column is held."""
    if isinstance(column.dtype, np.dtype):
        values = column.to_numpy()
        return values.__array_interface__["data"][0], values.strides, len(values), values.dtype
    if isinstance(column.dtype, pd.StringDtype) and column.dtype.storage == "pyarrow":
        chunks = column.array.__arrow_array__().chunks
        return [(len(each), each.offset, *(part and part.address for part in each.buffers())) for each in chunks]
    return object()
