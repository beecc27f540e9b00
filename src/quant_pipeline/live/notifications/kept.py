"""Messages that no service has taken yet, in a file of the account: the end of a process loses none that matters."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from quant_pipeline.common.atomic import write_text
from quant_pipeline.common.json_files import parse_json
from quant_pipeline.live.notifications.messages import Message
from quant_pipeline.live.parameters import Level, Topic

logger = logging.getLogger(__name__)


class Kept(NamedTuple):
    """A message that waits: at which channel, since when (seconds since 1970), and what it says, without secrets."""

    channel: str
    at: float
    message: Message


class KeptMessages:
    """The file of what waits. A message that is taken while the process is killed may arrive a second time.

    Parameters
    ----------
    file
        Where it lies; there is none while nothing waits.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._written: list[Kept] = []

    def read(self) -> list[Kept]:
        """Return what waited when the process before ended, the oldest first.

        A message that cannot be read is logged and left out, a whole file of that kind put aside: the process has to
        start.
        """
        try:
            rows = list(parse_json(self._file.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError) as error:
            aside = self._file.with_suffix(".unreadable")
            logger.warning("the messages in %s cannot be read and are put aside as %s: %s", self._file, aside, error)
            with suppress(OSError):
                self._file.replace(aside)
            return []
        found = []
        for row in rows:
            try:
                found.append(_kept(row))
            except (ValueError, KeyError, TypeError, OverflowError) as error:
                logger.warning("a message in %s cannot be read (%r) and is left out: %.500r", self._file, error, row)
        self._written = sorted(found, key=lambda each: each.at)
        return list(self._written)

    def write(self, waiting: Callable[[], list[Kept]]) -> None:
        """Write what waits now, where it has changed; a disk that is full stops nothing.

        Parameters
        ----------
        waiting
            Returns what waits; it is asked while no other thread writes, so that the file never goes back.
        """
        with self._lock:
            found = sorted(waiting(), key=lambda each: each.at)
            if found == self._written:
                return
            try:
                if found:
                    write_text(self._file, json.dumps(list(map(_row, found)), indent=1) + "\n")
                else:
                    self._file.unlink(missing_ok=True)
            except OSError as error:
                logger.warning("what waits for a service is kept in memory only: %s", error)
                return
            self._written = found


def _row(kept: Kept) -> dict[str, Any]:
    message = kept.message
    said = {"topic": str(message.topic), "level": message.level.name, "title": message.title, "text": message.text}
    return {"channel": kept.channel, "at": kept.at, **said}


def _kept(row: dict[str, Any]) -> Kept:
    message = Message(Topic(row["topic"]), Level[row["level"]], str(row["title"]), str(row["text"]))
    return Kept(str(row["channel"]), float(row["at"]), message)
