"""Names of the files that the watching process writes beside the journal."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Final, NamedTuple

from quant_pipeline.common.json_files import read_json

WATCH_FILE: Final = "watch.json"
"""Value of the account, halts, touched stops, and alarms: what is near."""
SCORES_FILE: Final = "live_scores.json"
"""By model, its bundle and the scores of now."""
MAX_AGE_SECONDS: Final = 10.0
"""A file that was written longer ago is of a process that hangs or is gone."""
KEPT_SECONDS: Final = 86_400.0
"""How long scores of a session are shown."""


def read_watch(folder: Path) -> dict[str, Any]:
    """Return what the watching process says now; nothing when it is not there, hangs, or the file cannot be read."""
    return _read(folder / WATCH_FILE, MAX_AGE_SECONDS)


class BestScores(NamedTuple):
    """The instruments with the highest live scores by model, and when these were computed."""

    at: str
    models: dict[str, list[str]]


def best_scores(folder: Path, session: str, number: int) -> BestScores | None:
    """Return the highest live scores of a session; None when there are none of it, or the file cannot be read."""
    found = _read(folder / SCORES_FILE, KEPT_SECONDS)
    if found.get("session") != session:
        return None
    try:
        scores = {model: said["scores"] for model, said in found["models"].items()}
        best = {model: sorted(of, key=of.__getitem__, reverse=True)[:number] for model, of in scores.items()}
        return BestScores(found["at"], best)
    except (LookupError, TypeError, AttributeError):
        return None


def _read(file: Path, max_age: float) -> dict[str, Any]:
    try:
        if not 0 <= time.time() - file.stat().st_mtime <= max_age:
            return {}
        return read_json(file)
    except (OSError, ValueError):
        return {}
