"""Notes to systemd: ready, still alive, stopping. The loop that does the work sends them, so that a hung one is seen.

The protocol is that of ``sd_notify(3)``: datagrams to the socket that ``NOTIFY_SOCKET`` names.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress


class Watchdog:
    """The service manager that has started this process, if one has.

    Parameters
    ----------
    environment
        Variables of the process.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        address = (os.environ if environment is None else environment).get("NOTIFY_SOCKET", "")
        # A name that begins with @ is one of the abstract namespace.
        self._address = f"\0{address[1:]}" if address.startswith("@") else address

    def ready(self) -> None:
        """Say that the start is over."""
        self._say("READY=1")

    def alive(self, status: str) -> None:
        """Say that the loop goes on, and what it does."""
        self._say(f"WATCHDOG=1\nSTATUS={status}")

    def reloading(self) -> None:
        """Say that the process begins again in its own place; `ready` says that this is over."""
        self._say(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """Say that the process ends because it was asked to."""
        self._say("STOPPING=1")

    def _say(self, text: str) -> None:
        if not self._address:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as way:
            way.sendto(text.encode(), self._address)
