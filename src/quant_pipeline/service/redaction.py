"""What no answer says: where files lie on this machine."""

from __future__ import annotations

import re
from pathlib import Path

PATH = re.compile(r"(?<![\w:/.])/(?:[^\s/'\"`:;,]+/)+([^\s/'\"`:;,]*)")
SCHEME = re.compile(r"\b(?:sqlite(?:\+\w+)?|file):/{2,}(?=/)")
"""What names a file of this machine as an address: its path is left out as any other."""

CREDENTIALS = re.compile(r"\b([a-z][a-z0-9+.-]*://)[^\s/@'\"`]+@")
"""User and password within an address."""


def without_paths(text: str, project: Path) -> str:
    """Leave out where files lie on this machine, and passwords of addresses.

    Paths begin at the project, others keep their last part.
    """
    text = CREDENTIALS.sub(r"\1", text)
    text = SCHEME.sub("", text).replace(f"{project}/", "").replace(str(project), "the project")
    return PATH.sub(lambda match: match[1] or "a folder", text)
