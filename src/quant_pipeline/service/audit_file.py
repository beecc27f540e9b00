"""The audit log as a file in the folder of the service: what was changed or refused over HTTP, and who asked."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Final

from pythonjsonlogger.json import JsonFormatter

audit = logging.getLogger("quant_pipeline.service.audit")

AUDIT: Final = "audit.jsonl"
MOST: Final = 16 * 2**20
"""Bytes of the file; it goes on in a new one then."""
FORMER: Final = 9
"""Former files that are kept, ``audit.jsonl.1`` the newest of them."""


@contextmanager
def audit_to(folder: Path) -> Iterator[None]:
    """Append every line of the audit log to the file of a folder, one JSON object a line, flushed at once.

    They go nowhere else: a terminal or a pipe that takes nothing more would keep a halt waiting.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handler = RotatingFileHandler(folder / AUDIT, "a", MOST, FORMER, encoding="utf-8", delay=True)
    formatter = JsonFormatter("{asctime}{message}", style="{", datefmt="%Y-%m-%dT%H:%M:%SZ")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    audit.addHandler(handler)
    audit.setLevel(logging.INFO)
    audit.propagate = False
    try:
        yield
    finally:
        audit.propagate = True
        audit.removeHandler(handler)
        handler.close()
