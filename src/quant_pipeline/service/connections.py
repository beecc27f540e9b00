"""Connections: who begins a request has to end it, who asks has to read the answer, and a newcomer finds room.

uvicorn limits how long a connection may be idle after an answer; how long a head of a request may take, how large it
may be, and how long an answer may lie unread, are limited here. Bodies are limited by the gate, which knows who asks.
"""

from __future__ import annotations

import asyncio
import logging
from itertools import count
from typing import Any, Final

from uvicorn.protocols.http.auto import AutoHTTPProtocol

logger = logging.getLogger(__name__)

HEAD_SECONDS: Final = 10.0
"""Seconds within which the head of a request has to be there, from the connection or its first byte on."""
HEAD_BYTES: Final = 65_536
"""Bytes of a head; that of a browser has one or two thousand."""
UNFINISHED: Final = 256
"""Connections without a whole request; when there is one more, the one that waits longest makes room."""
UNREAD_SECONDS: Final = 60.0
"""Seconds within which `UNREAD_BYTES` of an answer that fills its buffer have to be read."""
UNREAD_BYTES: Final = 65_536

_ORDER: Final = count()
"""Who began to wait before whom: the clock of an event loop may stand still while it accepts several connections."""

_Protocol: Any = object
"""Stands for uvicorn's protocol, of which there are two: one with httptools, one with h11."""


class Bounds(_Protocol):  # type: ignore[misc]
    """Limits of time and number for what is not answered yet, or not read; before a protocol of uvicorn."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._turn = 0
        self._head_bytes, self._is_in_head = 0, False
        self._head: asyncio.TimerHandle | None = None
        self._reading: asyncio.TimerHandle | None = None
        self._unread = 0

    @property
    def is_unfinished(self) -> bool:
        """Whether no whole request is there that is not answered yet."""
        cycle = self.cycle
        return cycle is None or bool(cycle.response_complete or cycle.more_body)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for a head; the connection that waits longest makes room when there are too many."""
        super().connection_made(transport)
        self._wait_for_head()
        unfinished = [each for each in self.connections if each.is_unfinished]
        if len(unfinished) > UNFINISHED:
            min(unfinished, key=lambda each: each._turn).transport.abort()

    def data_received(self, data: bytes) -> None:
        """Take a part of a request, and notice whether its head is there."""
        before = self.cycle
        if self._head is None and (before is None or before.response_complete):
            self._wait_for_head()
        super().data_received(data)
        if self.cycle is not before:
            self._forget_head()
        if self._is_in_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self._end("the head of a request is too large")

    def on_message_begin(self) -> None:
        """Count the bytes of a head: httptools keeps any number of them; h11, which calls nothing, has a limit."""
        self._head_bytes, self._is_in_head = 0, True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Count no more."""
        self._is_in_head = False
        super().on_headers_complete()

    def pause_writing(self) -> None:
        """Let the reader take something of the answer within a while."""
        super().pause_writing()
        self._wait_for_reader()

    def resume_writing(self) -> None:
        """Go on: the reader has taken enough."""
        super().resume_writing()
        self._forget_reader()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._forget_head()
        self._forget_reader()
        super().connection_lost(exc)

    def _wait_for_head(self) -> None:
        self._turn = next(_ORDER)
        self._head = self.loop.call_later(HEAD_SECONDS, self._end, "the head of a request took too long")

    def _forget_head(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None

    def _wait_for_reader(self) -> None:
        self._unread = self.transport.get_write_buffer_size()
        self._reading = self.loop.call_later(UNREAD_SECONDS, self._require_reader)

    def _forget_reader(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def _require_reader(self) -> None:
        if self.transport.get_write_buffer_size() > self._unread - UNREAD_BYTES:
            self._end("an answer was not read")
        else:
            self._wait_for_reader()

    def _end(self, why: str) -> None:
        logger.info("a connection from %s is closed: %s", (self.client or ("?",))[0], why)
        self.transport.abort()


class BoundedProtocol(Bounds, AutoHTTPProtocol):  # type: ignore[misc, valid-type]
    """The protocol that uvicorn chooses by itself, with limits."""
