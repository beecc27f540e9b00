"""Names of the files that the watching process writes beside the journal."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, Final

WATCH_FILE: Final = "watch.json"
"""Value of the account, halts, touched stops, and alarms: what is near."""
SCORES_FILE: Final = "live_scores.json"
"""By model, its bundle and the scores of now."""
MAX_AGE_SECONDS: Final = 10.0
"""A file that was written longer ago is of a process that hangs or is gone."""


def read_watch(folder: Path) -> dict[str, Any]:
    """Return what the watching process says now; nothing when it is not there, hangs, or the file cannot be read."""
    file = folder / WATCH_FILE
    try:
        if not 0 <= time.time() - file.stat().st_mtime <= MAX_AGE_SECONDS:
            return {}
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
