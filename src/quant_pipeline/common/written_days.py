"""Days as a user writes them: in YAML, on the command line and in a program."""

from __future__ import annotations

import datetime
import re


def read_day(written: object) -> str:
    """Return a day as ``YYYY-MM-DD``; 20250102 is one, too, as a number or a text.

    Raises
    ------
    ValueError
        When it is no day.
    """
    text = str(written).strip()
    compact = re.fullmatch(r"(\d{4})(\d{2})(\d{2})", text)
    return datetime.date.fromisoformat("-".join(compact.groups()) if compact else text).isoformat()
