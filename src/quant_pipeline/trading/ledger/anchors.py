"""Anchors of a ledger: what its chain ended with, kept in a text file outside of the database.

A chain of hashes shows a change in its middle. It shows neither that its end was cut off nor that all of it was written
again; for that, something outside of the database has to know how far it went. After every commit a line
``<sequence> <hash>`` is appended to the file. Anchors may lag behind the ledger, when a process is killed between the
commit and its line, and are never ahead of it.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from quant_pipeline.common.atomic import write_text
from quant_pipeline.common.exceptions import AccountError

logger = logging.getLogger(__name__)

_LINE = re.compile(r"(?P<sequence>[1-9]\d{0,17}) (?P<hash>[0-9a-f]{64})")
_TAIL_BYTES = 4096


class Anchor(NamedTuple):
    """The number of an event, and the hash of the chain up to it."""

    sequence: int
    hash: str


class Anchors:
    """The file of anchors of one ledger.

    Parameters
    ----------
    file
        The file, which is made by the first anchor.
    """

    def __init__(self, file: Path) -> None:
        self.file = file

    def add(self, anchor: Anchor) -> None:
        """Append an anchor, whole or not at all for a reader.

        That it cannot be written is logged and does not stop the writer: the event itself is committed.
        """
        try:
            with self.file.open("ab") as file:
                file.write(_line(anchor).encode())
        except OSError as error:
            logger.warning("%s was not written: %s; the ledger itself is whole", self.file, error.strerror)

    def read(self) -> tuple[Anchor, ...]:
        """Return all anchors; lines that a killed process has left incomplete are skipped."""
        return _parse(self.file.read_bytes()) if self.file.exists() else ()

    def newest(self) -> Anchor | None:
        """Return the anchor with the highest number among the last lines."""
        if not self.file.exists():
            return None
        with self.file.open("rb") as file:
            file.seek(max(file.seek(0, os.SEEK_END) - _TAIL_BYTES, 0))
            return max(_parse(file.read()), default=None)

    def replace(self, anchors: Iterable[Anchor]) -> None:
        """Replace all of them, for a ledger that was restored by the operator."""
        write_text(self.file, "".join(map(_line, anchors)))

    def begin(self, newest: Anchor | None, where: str, known: Anchor | None) -> None:
        """Check a ledger that is opened for writing; one without anchors gets its first.

        Raises
        ------
        AccountError
            See `require`.
        """
        self.require(0 if newest is None else newest.sequence, where, known)
        if newest is not None and not self.file.exists():
            self.add(newest)

    def require(self, found: int, where: str, known: Anchor | None) -> None:
        """Refuse a ledger that ends before its anchors do.

        Parameters
        ----------
        found
            How many events the ledger has.
        where
            The ledger, for the message.
        known
            The newest anchor, read before the ledger: what another process appends meanwhile is only more.

        Raises
        ------
        AccountError
            When events that were committed are missing.
        """
        if known is not None and known.sequence > found:
            has = f"has only {found} events" if found else "has no events or is missing"
            raise AccountError(
                f"the ledger {where} {has}, but {self.file} shows that it had {known.sequence}. Restore it with "
                "`kedro account restore BACKUP`; to begin a new account instead, remove the folder of this one"
            )

    def compare(self, chain: Sequence[str], where: str, known: Sequence[Anchor]) -> None:
        """Compare a whole chain with all anchors.

        Parameters
        ----------
        chain
            Hashes of the ledger's events, in order.
        where
            The ledger, for the message.
        known
            All anchors, read before the chain.

        Raises
        ------
        AccountError
            When events are missing at its end, or it is another chain.
        """
        self.require(len(chain), where, max(known, default=None))
        for anchor in known:
            if anchor.sequence > len(chain) or chain[anchor.sequence - 1] != anchor.hash:
                raise AccountError(
                    f"the chain of the ledger {where} was rewritten: its event {anchor.sequence} is not the one "
                    f"that {self.file} knows. Keep both and restore a backup with `kedro account restore BACKUP`"
                )


def _line(anchor: Anchor) -> str:
    return f"{anchor.sequence} {anchor.hash}\n"


def _parse(content: bytes) -> tuple[Anchor, ...]:
    matches = (_LINE.fullmatch(line) for line in content.decode("ascii", "replace").splitlines())
    return tuple(Anchor(int(match["sequence"]), match["hash"]) for match in matches if match is not None)
