"""Tables with a column per field and instrument, one row per date: made long."""

from __future__ import annotations

import numpy as np
import pandas as pd

from quant_pipeline.market.sources.files.column_names import column_name
from quant_pipeline.market.sources.files.layouts import CANONICAL


def stack_instruments(table: pd.DataFrame, lines: np.ndarray) -> tuple[pd.DataFrame, np.ndarray]:
    """Return one row per date and instrument.

    Parameters
    ----------
    table
        Columns of two levels, of which one names fields and the other instruments; the date has no instrument.
    lines
        Line of each row.
    """
    levels = [[str(part) for part in column] for column in table.columns]
    fields_first = _fields(levels, 0) >= _fields(levels, 1)
    pairs = [(first, second) if fields_first else (second, first) for first, second in levels]
    dates = [index for index, (field, instrument) in enumerate(pairs) if _is_date(field, instrument)]
    date = table.iloc[:, dates[0] if dates else 0]
    instruments = list(dict.fromkeys(name for index, (_, name) in enumerate(pairs) if index not in dates[:1] and name))
    parts = []
    for instrument in instruments:
        own = {field: table.iloc[:, index] for index, (field, name) in enumerate(pairs) if name == instrument}
        parts.append(pd.DataFrame({"date": date, "instrument": pd.array([instrument] * len(table), dtype="str")} | own))
    return pd.concat(parts, ignore_index=True), np.tile(lines, len(parts))


def _fields(levels: list[list[str]], place: int) -> int:
    return sum(column_name(level[place]).name in CANONICAL for level in levels)


def _is_date(field: str, instrument: str) -> bool:
    names = [part.strip().lower() for part in (field, instrument)]
    return any(CANONICAL.get(name) == "date" for name in names) and ("" in names or names[0] == names[1])
