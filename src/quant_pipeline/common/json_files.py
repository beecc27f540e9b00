"""JSON that was kept: whatever makes it unreadable is a ValueError, so that its reader can say what to do then."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def parse_json(text: str | bytes) -> Any:
    """Return what a text of JSON says.

    Raises
    ------
    ValueError
        When it is no JSON, or is nested so deeply that no program has written it.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def read_json(file: Path) -> dict[str, Any]:
    """Return the object that a file of JSON holds.

    Raises
    ------
    ValueError
        When it holds none: it is no JSON, no text, or another value.
    OSError
        When it is not there, or cannot be read.
    """
    return parse_object(file.read_text(encoding="utf-8"))


def parse_object(text: str | bytes) -> dict[str, Any]:
    """Return the object that a text of JSON holds, as the notes of a Parquet file or the row of a database.

    Raises
    ------
    ValueError
        When it holds none: it is no JSON, or another value.
    """
    found = parse_json(text)
    if not isinstance(found, dict):
        raise ValueError(f"it holds no object, but {type(found).__name__}")
    return found
