"""Days as a user writes them: in YAML, on the command line and in a program."""

from __future__ import annotations

import datetime
import re
from typing import Final

_MIDNIGHT: Final = re.compile(r"([-\w]+?)(?:\s+|[Tt])0?0:00(?::00(?:\.0*)?)?\s*(?:[Zz]|[+-]\d{1,2}(?::?\d{2})?)?")
"""A timestamp, as YAML writes one, that is the day which begins then, in whatever zone."""


def read_day(written: object) -> str:
    """Return a day as ``YYYY-MM-DD``; 20250102 is one, too, as a number or a text, and so is a timestamp at midnight.

    Raises
    ------
    ValueError
        When it is no day: it has another time of day, for instance.
    """
    text = str(written).strip()
    if midnight := _MIDNIGHT.fullmatch(text):
        text = midnight.group(1)
    compact = re.fullmatch(r"(\d{4})(\d{2})(\d{2})", text)
    return datetime.date.fromisoformat("-".join(compact.groups()) if compact else text).isoformat()
