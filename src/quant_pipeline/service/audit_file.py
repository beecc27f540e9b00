"""The audit log as a file in the folder of the service: what was changed or refused over HTTP, and who asked."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pythonjsonlogger.json import JsonFormatter

from quant_pipeline.service.access import audit

AUDIT: Final = "audit.jsonl"


@contextmanager
def audit_to(folder: Path) -> Iterator[None]:
    """Append every line of the audit log to the file of a folder, one JSON object a line, flushed at once."""
    folder.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(folder / AUDIT, encoding="utf-8", delay=True)
    formatter = JsonFormatter("{asctime}{message}", style="{", datefmt="%Y-%m-%dT%H:%M:%SZ")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    audit.addHandler(handler)
    audit.setLevel(logging.INFO)
    try:
        yield
    finally:
        audit.removeHandler(handler)
        handler.close()
