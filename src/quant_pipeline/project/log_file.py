"""The log of an environment: every record as one JSON object a line."""

from __future__ import annotations

import logging
from pathlib import Path

from pythonjsonlogger.json import JsonFormatter

from quant_pipeline.common.environments import DEFAULT_ENVIRONMENT
from quant_pipeline.common.listing import WHOLE_LISTS

logger = logging.getLogger(__name__)

LOG_FILE = "log file of the environment"
"""Name of its handler."""
_LISTENED = (None, WHOLE_LISTS)
"""Loggers that the file listens to: the root, and what messages leave out, which no terminal shows."""


class _LogFile(logging.FileHandler):
    """A log that ends when it cannot be written, on a full disk for example, instead of ending what it reports on."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Close the file."""
        for listened in _LISTENED:
            logging.getLogger(listened).removeHandler(self)
        self.close()


def log_to_file(project_path: Path, env: str | None) -> None:
    """Copy every log record from now on into ``logs/<environment>.jsonl`` of a project, instead of an earlier one."""
    folder = project_path / "logs"
    environment = env or DEFAULT_ENVIRONMENT
    try:
        folder.mkdir(exist_ok=True)
        (folder / f"{environment}.jsonl").open("a").close()
    except OSError as error:
        # A folder that is only read still answers questions; a run that has to write is refused with its own message.
        logger.debug("no log file: %s", error)
        return
    handler = _LogFile(folder / f"{environment}.jsonl", encoding="utf-8", delay=True)
    handler.set_name(LOG_FILE)
    handler.setFormatter(
        JsonFormatter("{asctime}{levelname}{name}{message}", style="{", static_fields={"env": environment})
    )
    for listened in map(logging.getLogger, _LISTENED):
        for earlier in [other for other in listened.handlers if other.get_name() == LOG_FILE]:
            listened.removeHandler(earlier)
            earlier.close()
        listened.addHandler(handler)
    whole = logging.getLogger(WHOLE_LISTS)
    whole.setLevel(logging.INFO)
    whole.propagate = False
