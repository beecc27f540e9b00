"""Bars from files of the user: one CSV per instrument, or one table for all of them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import Field

from quant_pipeline.common.atomic import replacing_file
from quant_pipeline.common.exceptions import MarketDataError
from quant_pipeline.common.parameters import Parameters
from quant_pipeline.common.progress import track
from quant_pipeline.market.corporate_actions import CASH_DIVIDEND, SPLIT, adjust_bars, dividend_returns
from quant_pipeline.market.data import MarketData, SourceProblem
from quant_pipeline.market.sources.columns import REQUIRED, prices_are_split_adjusted, recognise
from quant_pipeline.market.sources.derived import PRICES, list_instruments, mean_benchmark
from quant_pipeline.market.sources.source import MarketRequest, MarketSource

CACHE_VERSION = 1
LISTED_PROBLEMS = 20
LATEST = "latest"


class FilesMarketParameters(Parameters):
    """Which files of the folder are read, and how.

    Attributes
    ----------
    bars
        A table (``.parquet`` or ``.csv``) with a column for the instrument, or a folder or pattern of CSV files named
        after their instrument.
    benchmark
        A table or CSV of one instrument; None takes the equally weighted mean of all instruments.
    securities
        A CSV with ``symbol``, ``name`` and ``sector``; an instrument that is not in it is then an error.
    columns
        Our column name to the file's, for headers that are not recognised.
    """

    bars: str = "*.csv"
    benchmark: str | None = None
    securities: str | None = None
    columns: dict[str, str] = Field(default_factory=dict)


class FilesSourceParameters(FilesMarketParameters):
    """The block of the source ``files``: its folder, and which files of it are read."""

    folder: str


def read_market_files(
    folder: Path, parameters: FilesMarketParameters, as_of: str, cache_folder: Path | None = None
) -> MarketData:
    """Read a market from files.

    Parameters
    ----------
    folder
        Where the files lie.
    parameters
        Which files, and their columns.
    as_of
        The as-of session, ``YYYY-MM-DD``, or ``latest``; later rows are not seen.
    cache_folder
        Where parsed files are kept, so that only changed files are read again; None reads all.

    Returns
    -------
    MarketData
        As known at the close of ``as_of``.

    Raises
    ------
    MarketDataError
        With every problem of every file: the file, the row and what is wrong.
    """
    problems: list[SourceProblem] = []
    files = _bar_files(folder, parameters.bars)
    parts = [_read_bars(file, parameters, cache_folder, problems) for file in track(files, "reading files")]
    raw = (
        pd.concat([part for part in parts if part is not None], ignore_index=True)
        if any(p is not None for p in parts)
        else None
    )
    securities = _read_securities(folder, parameters.securities)
    if raw is not None and securities is not None:
        problems += _unknown_instruments(raw, securities, parameters.securities or "")
    benchmark = None
    if parameters.benchmark is not None:
        benchmark = _read_bars(folder / parameters.benchmark, parameters, cache_folder, problems)
    if problems or raw is None:
        raise _all_problems(problems, folder)
    raw = raw.sort_values(["instrument", "date"], kind="stable", ignore_index=True)
    cut = raw["date"].max() if as_of == LATEST else pd.Timestamp(as_of)
    known = raw[raw["date"] <= cut].reset_index(drop=True)
    bars = known.drop(columns=["dividend", "split"])
    actions = _corporate_actions(known)
    index = mean_benchmark(bars, actions) if benchmark is None else _total_return(benchmark[benchmark["date"] <= cut])
    instruments = list_instruments(bars, securities)
    return MarketData(bars, actions, instruments, index, cut, benchmark_is_mean=benchmark is None)


def _bar_files(folder: Path, pattern: str) -> list[Path]:
    if not folder.is_dir():
        raise MarketDataError(
            f"the folder of market files {folder} does not exist. Name yours: --params market_folder=path/to/folder"
        )
    place = folder / pattern
    files = sorted(place.glob("*.csv")) if place.is_dir() else sorted(folder.glob(pattern))
    if not files:
        raise MarketDataError(
            f"no file in {folder} matches `bars: {pattern}` of the market source (conf/<environment>/catalog.yml)"
        )
    return files


def _read_bars(
    file: Path, parameters: FilesMarketParameters, cache_folder: Path | None, problems: list[SourceProblem]
) -> pd.DataFrame | None:
    """Read one file, from the cache when it has not changed; None when it has a problem."""
    cached = None if cache_folder is None else cache_folder / f"{_fingerprint(file, parameters)}.parquet"
    if cached is not None and cached.is_file():
        return pd.read_parquet(cached)
    found: list[SourceProblem] = []
    table = _parse(file, parameters, found)
    problems += found
    if table is None or found:
        return None
    if cached is not None:
        with replacing_file(cached) as beside:
            table.to_parquet(beside)
    return table


def _fingerprint(file: Path, parameters: FilesMarketParameters) -> str:
    status = file.stat()
    text = f"{CACHE_VERSION}|{file.resolve()}|{status.st_size}|{status.st_mtime_ns}|{parameters.model_dump_json()}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _parse(file: Path, parameters: FilesMarketParameters, problems: list[SourceProblem]) -> pd.DataFrame | None:
    try:
        raw = (
            pd.read_parquet(file) if file.suffix == ".parquet" else pd.read_csv(file, dtype=str, skipinitialspace=True)
        )
    except (OSError, ValueError) as error:
        problems.append(SourceProblem(file.name, None, None, f"cannot be read: {str(error).splitlines()[0]}"))
        return None
    renamed = recognise([str(column) for column in raw.columns], parameters.columns)
    missing = [name for name in REQUIRED if name not in renamed.values()]
    if missing:
        message = (
            f"has no column for {', '.join(missing)}; it has {', '.join(map(str, raw.columns))}. "
            "Map your names with `columns` of the market source"
        )
        problems.append(SourceProblem(file.name, 1, None, message))
        return None
    table = raw[list(renamed)].rename(columns=renamed)
    if "instrument" not in table:
        table["instrument"] = file.stem.upper()
    table["instrument"] = table["instrument"].astype("str")
    typed = _typed(table, file, problems)
    if prices_are_split_adjusted([str(column) for column in raw.columns]):
        typed = _undo_split_adjustment(typed)
    return typed


def _typed(table: pd.DataFrame, file: Path, problems: list[SourceProblem]) -> pd.DataFrame:
    typed = pd.DataFrame({"date": _dates(table["date"]), "instrument": table["instrument"]})
    for name in (*PRICES, "volume", "vendor_adjusted_close", "dividend", "split"):
        if name in table:
            typed[name] = pd.to_numeric(table[name], errors="coerce").astype("float64")
    typed["dividend"] = typed["dividend"].fillna(0.0) if "dividend" in typed else 0.0
    split = typed["split"].fillna(1.0) if "split" in typed else pd.Series(1.0, index=typed.index)
    typed["split"] = split.where(split != 0, 1.0)
    _report(file, table, typed["date"].isna(), "date", "is no date", problems)
    for name in PRICES:
        _report(file, table, ~(typed[name] > 0), name, "is no positive price", problems)
    _report(file, table, ~(typed["volume"] >= 0), "volume", "is no volume", problems)
    _report(file, table, ~(typed["split"] > 0), "split", "is no split ratio", problems)
    _report(file, table, ~(typed["dividend"] >= 0), "dividend", "is no dividend", problems)
    twice = typed.duplicated(["instrument", "date"]) & typed["date"].notna()
    _report(file, table, twice, "date", "stands twice for the instrument", problems)
    return typed.sort_values(["instrument", "date"], kind="stable", ignore_index=True)


def _dates(column: pd.Series) -> pd.Series:
    compact = column.astype("str").str.fullmatch(r"\d{8}").all()
    parsed = pd.to_datetime(column, format="%Y%m%d" if compact else None, errors="coerce")
    return parsed.dt.tz_localize(None).dt.normalize().astype("datetime64[ns]")


def _report(
    file: Path, table: pd.DataFrame, wrong: pd.Series, column: str, what: str, problems: list[SourceProblem]
) -> None:
    for place in np.flatnonzero(wrong.to_numpy())[:LISTED_PROBLEMS]:
        row = table.iloc[place]
        message = f"{column} {row.get(column)!r} {what}"
        # Line 1 is the header.
        problems.append(SourceProblem(file.name, int(place) + 2, row["instrument"], message))


def _undo_split_adjustment(table: pd.DataFrame) -> pd.DataFrame:
    """Return prices as traded: multiply by the splits that came after each row."""
    later = table[::-1].groupby("instrument", sort=False)["split"].cumprod()[::-1] / table["split"]
    restored = table.copy()
    for name in (*PRICES, "dividend"):
        restored[name] = table[name] * later
    restored["volume"] = table["volume"] / later
    return restored


def _read_securities(folder: Path, name: str | None) -> pd.DataFrame | None:
    if name is None:
        return None
    file = folder / name
    if not file.is_file():
        raise MarketDataError(f"the securities file {file} does not exist; correct `securities` of the market source")
    table = pd.read_csv(file, dtype="str").rename(columns={"symbol": "instrument", "ticker": "instrument"})
    missing = sorted({"instrument", "name", "sector"} - set(table.columns))
    if missing:
        raise MarketDataError(f"{file} has no column {', '.join(missing)}; it needs symbol, name and sector")
    return table[["instrument", "name", "sector"]]


def _unknown_instruments(raw: pd.DataFrame, securities: pd.DataFrame, file: str) -> list[SourceProblem]:
    unknown = sorted(set(raw["instrument"]) - set(securities["instrument"]))
    return [SourceProblem(file, None, name, "has bars but is not listed in this file; add it") for name in unknown]


def _all_problems(problems: list[SourceProblem], folder: Path) -> MarketDataError:
    listed = [
        f"  {problem.file}{'' if problem.row is None else f', row {problem.row}'}"
        f"{'' if problem.instrument is None else f', {problem.instrument}'}: {problem.message}"
        for problem in problems[:LISTED_PROBLEMS]
    ]
    more = f"\n  … and {len(problems) - LISTED_PROBLEMS} more" if len(problems) > LISTED_PROBLEMS else ""
    return MarketDataError(f"{len(problems)} problems in the files of {folder}:\n" + "\n".join(listed) + more)


def _corporate_actions(bars: pd.DataFrame) -> pd.DataFrame:
    tables = []
    for kind, column, acts in (
        (SPLIT, "split", bars["split"] != 1.0),
        (CASH_DIVIDEND, "dividend", bars["dividend"] > 0),
    ):
        rows = bars.loc[acts, ["date", "instrument", column]].rename(columns={column: "value"})
        tables.append(
            rows.assign(kind=pd.array([kind] * len(rows), dtype="str"))[["date", "instrument", "kind", "value"]]
        )
    return pd.concat(tables).sort_values(["date", "instrument", "kind"], kind="stable", ignore_index=True)


def _total_return(benchmark: pd.DataFrame) -> pd.DataFrame:
    table = benchmark.reset_index(drop=True)
    actions = _corporate_actions(table)
    return table[["date", *PRICES, "volume"]].assign(
        total_return_close=adjust_bars(table, actions)["close"].to_numpy(),
        dividend_return=dividend_returns(table, actions).to_numpy(),
    )


def _read(parameters: FilesSourceParameters, request: MarketRequest) -> MarketData:
    return read_market_files(Path(parameters.folder), parameters, request.as_of, request.cache)


FILES = MarketSource(FilesSourceParameters, _read)
