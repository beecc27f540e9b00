"""What kedro-viz shows of a dataset: it chooses how to draw it by the annotation of ``preview``."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any

from kedro_datasets._typing import HTMLPreview, JSONPreview, TablePreview

if TYPE_CHECKING:
    from pandas import DataFrame

COLUMNS_SHOWN = 12
_NOT_SHOWN = re.compile(r"<(script|style|head|svg|template|button)\b.*?</\1>", re.DOTALL | re.IGNORECASE)


def preview_table(table: DataFrame, nrows: int) -> TablePreview:
    """Show the first rows, with what the index says as columns; through JSON, as a missing date cannot be shown."""
    named = table.head(nrows)
    named = named if all(name is None for name in named.index.names) else named.reset_index()
    shown = named.iloc[:, :COLUMNS_SHOWN].reset_index(drop=True)
    return TablePreview(json.loads(shown.to_json(orient="split", date_format="iso", date_unit="s")))


def preview_optional(table: DataFrame | None, nrows: int) -> TablePreview:
    """Show the first rows of a table, and no row of one that is not there or holds none."""
    return preview_rows([], []) if table is None or table.empty else preview_table(table, nrows)


def preview_rows(columns: list[str], rows: list[list[str]]) -> TablePreview:
    """Show rows of texts."""
    return TablePreview({"index": list(range(len(rows))), "columns": columns, "data": rows})


def preview_document(text: str, *, is_page: bool) -> HTMLPreview:
    """Show a text, or the words and tables of a page: its scripts do not run there, and its style is not for there."""
    return HTMLPreview(_NOT_SHOWN.sub("", text) if is_page else f"<pre>{escape(text)}</pre>")


def preview_facts(facts: Mapping[str, Any]) -> JSONPreview:
    """Show names with values."""
    return JSONPreview(json.dumps(facts, indent=1, default=str))
