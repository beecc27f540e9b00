"""The audit log as two files in the folder of the service: what was done over HTTP and by whom, and what was refused.

They are apart, because strangers can be refused as often as they like: however many lines that makes, none of what was
done is lost for them.
"""

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
"""What those did who are let in: halts, jobs, changes, sessions of the page."""
refusals = logging.getLogger("quant_pipeline.service.audit.refusals")
"""What was refused, what failed without a change, and questions that are posted."""

AUDIT: Final = "audit.jsonl"
REFUSALS: Final = "refusals.jsonl"
MOST: Final = 16 * 2**20
"""Bytes of a file; it goes on in a new one then."""
FORMER: Final = {AUDIT: 9, REFUSALS: 2}
"""Former files that are kept, ``audit.jsonl.1`` the newest of them."""


@contextmanager
def audit_to(folder: Path) -> Iterator[None]:
    """Append every line of the audit log to its file in a folder, one JSON object a line, flushed at once.

    They go nowhere else: a terminal or a pipe that takes nothing more would keep a halt waiting.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handlers = [(audit, _handler(folder / AUDIT)), (refusals, _handler(folder / REFUSALS))]
    audit.setLevel(logging.INFO)
    for log, handler in handlers:
        log.addHandler(handler)
        log.propagate = False
    try:
        yield
    finally:
        for log, handler in handlers:
            log.propagate = True
            log.removeHandler(handler)
            handler.close()


def _handler(file: Path) -> logging.Handler:
    handler = RotatingFileHandler(file, "a", MOST, FORMER[file.name], encoding="utf-8", delay=True)
    formatter = JsonFormatter("{asctime}{message}", style="{", datefmt="%Y-%m-%dT%H:%M:%SZ")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    return handler
