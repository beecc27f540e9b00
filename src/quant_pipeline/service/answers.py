"""Tables as answers: JSON, or the stream of Arrow IPC when the asker accepts it; with hash, watermark and version."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson
import pandas as pd
import pyarrow as pa
from fastapi import Request, Response

from quant_pipeline.common.code_version import version_of
from quant_pipeline.service.problems import Refused

ARROW = "application/vnd.apache.arrow.stream"
JSON = "application/json"
CODE = version_of(Path(__file__).parents[1])
"""Version of the code that computes the answers, as it is when the service starts."""
DATES = ("datetime", "date", "session")
"""Columns that say of which session a row is."""
ARROW_ANSWER: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The table; with `Accept: application/vnd.apache.arrow.stream` as Arrow.",
        "content": {ARROW: {}},
    }
}
"""What the document of the routes says of answers that are tables."""


class Known(NamedTuple):
    """What an answer was computed from.

    Attributes
    ----------
    watermark
        Session of the newest bar that entered.
    market
        Hash of the files of the market.
    """

    watermark: str | None
    market: str


def answer_table(request: Request, table: pd.DataFrame, known: Known, **facts: Any) -> Response:
    """Answer with a table.

    Parameters
    ----------
    request
        Its ``Accept`` chooses between JSON and Arrow.
    table
        What is answered; its index, when it has names, becomes columns.
    known
        What it was computed from.
    **facts
        What else is stated beside the table.

    Returns
    -------
    Response
        JSON: ``columns``, ``rows`` (a list per row; a missing or infinite number is null), ``as_of`` (the newest
        session of the table itself), ``hash``, ``watermark`` (of the market), ``code`` and the facts. Arrow: the
        table, the others in headers.
    """
    table = flattened(table)
    content = arrow_of(table)
    own = {"as_of": session_of(table), "hash": hash_of(content)}
    facts = {**own, "watermark": known.watermark, "market": known.market, "code": CODE, **facts}
    if ARROW in request.headers.get("accept", ""):
        headers = {f"X-{name.replace('_', '-').title()}": str(value) for name, value in facts.items()}
        return Response(content, media_type=ARROW, headers=headers)
    return Response(json_of({**facts, "columns": list(table.columns), "rows": rows_of(table)}), media_type=JSON)


def session_of(table: pd.DataFrame) -> str | None:
    """Return the newest session that a table states; None when it is of no session."""
    name = next((found for found in DATES if found in table.columns), None)
    if name is None or table[name].dtype.kind != "M" or table[name].isna().all():
        return None
    return f"{table[name].max():%Y-%m-%d}"


def answer(content: Mapping[str, Any], status: int = 200) -> Response:
    """Answer with a mapping; missing and infinite numbers are null."""
    return Response(json_of(content), status, media_type=JSON)


def json_of(content: Any) -> bytes:
    """Write JSON."""
    return orjson.dumps(content, default=_plain, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)


def flattened(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose named index has become columns."""
    named = all(name is not None for name in table.index.names)
    return table.reset_index() if named else table.reset_index(drop=True)


def rows_of(table: pd.DataFrame) -> list[Any]:
    """Return the rows as lists.

    Dates are ``2025-01-02``, instants as ISO 8601 writes them, missing and infinite numbers None.
    """
    if table.empty:
        return []
    floats = table.dtypes.map(lambda kind: kind.kind == "f" if isinstance(kind, np.dtype) else False)
    if floats.all():
        return list(table.to_numpy(dtype="float64"))
    return [list(row) for row in zip(*(_cells(table[name]) for name in table.columns), strict=True)]


def hash_of(content: bytes) -> str:
    """Return the hash of a table as `arrow_of` writes it."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def arrow_of(table: pd.DataFrame) -> bytes:
    """Write a table as a stream of Arrow IPC."""
    columns = pa.Table.from_pandas(table, preserve_index=False).replace_schema_metadata(None).combine_chunks()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, columns.schema) as stream:
        stream.write_table(columns)
    return bytes(sink.getvalue())


def require_cells(rows: int, columns: int, most: int) -> None:
    """Refuse an answer that is too large.

    Raises
    ------
    Refused
        422, before anything is computed.
    """
    if rows * columns > most:
        raise Refused(
            422,
            "too many cells",
            f"{rows:,} rows of {columns:,} columns are {rows * columns:,} cells; one answer has at most {most:,}",
            "Ask for fewer sessions, instruments or columns, or raise service.max_cells.",
        )


def _cells(column: pd.Series) -> list[Any]:
    if column.dtype.kind == "M":
        return _dates(column)
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "fiub":
        found: list[Any] = column.tolist()
        return found
    return [_cell(cell) for cell in column.tolist()]


def _cell(cell: Any) -> Any:
    """Return a cell of any type; one may hold several values, as columns of lists do."""
    if isinstance(cell, np.ndarray):
        return cell.tolist()
    return None if pd.api.types.is_scalar(cell) and pd.isna(cell) else cell


def _plain(value: Any) -> Any:
    """Return what orjson does not know as text."""
    if isinstance(value, pd.Timestamp):
        return _date(value, value.tzinfo is None and value == value.normalize())
    return str(value)


def _dates(column: pd.Series) -> list[str | None]:
    """Return dates, or instants when one of them has a time of day or a zone."""
    known = column.dropna()
    are_days = known.dt.tz is None and bool((known == known.dt.normalize()).all())
    return [None if pd.isna(date) else _date(date, are_days) for date in column]


def _date(value: pd.Timestamp, is_day: bool) -> str:
    return f"{value:%Y-%m-%d}" if is_day else value.isoformat()
