"""Names of the files that the watching process writes beside the journal."""

from __future__ import annotations

from typing import Final

WATCH_FILE: Final = "watch.json"
"""Value of the account, halts, touched stops, and alarms: what is near."""
SCORES_FILE: Final = "live_scores.json"
"""By model, its bundle and the scores of now."""
MAX_AGE_SECONDS: Final = 10.0
"""A file that was written longer ago is of a process that hangs or is gone."""
