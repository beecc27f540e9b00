"""A market written as tables that no vendor names: CSV, Parquet, workbooks, columns per instrument."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from quant_pipeline.testing.market_to_write import (
    NUMBERS,
    Written,
    plain_columns,
    save_per_instrument,
    total_return,
    without_actions,
)


def write_plain(folder: Path, bars: pd.DataFrame) -> Written:
    """Write one CSV per instrument without actions."""
    flat = without_actions(bars)
    save_per_instrument(folder, flat, plain_columns)
    return Written("plain", flat)


def write_partitions(folder: Path, bars: pd.DataFrame) -> Written:
    """Write Parquet as Spark and pandas do: a folder per instrument, with the marks of a finished job."""
    flat = without_actions(bars)
    for instrument, rows in flat.groupby("instrument"):
        place = folder / "bars" / f"ticker={instrument}"
        place.mkdir(parents=True)
        rows[["date", *NUMBERS]].to_parquet(place / "part-00000-c000.snappy.parquet", index=False)
    (folder / "bars" / "_SUCCESS").touch()
    return Written("plain", flat)


def write_table_with_index(folder: Path, bars: pd.DataFrame) -> Written:
    """Write one Parquet whose dates and instruments are the index."""
    flat = without_actions(bars)
    flat.set_index(["date", "instrument"])[NUMBERS].to_parquet(folder / "bars.parquet")
    return Written("plain", flat)


def write_workbooks(folder: Path, bars: pd.DataFrame) -> Written:
    """Write one workbook per instrument."""
    flat = without_actions(bars)
    for instrument, rows in flat.groupby("instrument"):
        plain_columns(rows).to_excel(folder / f"{instrument}.xlsx", index=False)
    return Written("plain", flat)


def write_wide_names(folder: Path, bars: pd.DataFrame) -> Written:
    """Write columns such as ``AAA_Close``."""
    table = total_return(bars)
    wide = table.pivot(index="date", columns="instrument", values=NUMBERS)
    wide.columns = pd.Index([f"{instrument}_{field.title()}" for field, instrument in wide.columns])
    wide.reset_index().to_csv(folder / "prices.csv", index=False)
    return Written("yahoo_download", table)
