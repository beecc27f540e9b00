"""A PostgreSQL server on this machine for tests and rehearsals: empty, of its own, and gone without a trace."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from tempfile import mkdtemp
from types import TracebackType
from typing import Any, Self

import sqlalchemy as sa

# The server refuses to run as root; root lends it the account that owns nothing.
OWNS_NOTHING = 65534
AS_ANOTHER: dict[str, Any] = (
    {"user": OWNS_NOTHING, "group": OWNS_NOTHING, "extra_groups": []} if os.geteuid() == 0 else {}
)
PATIENCE = 300.0
"""Seconds for a server to answer, and to end."""


def programs_of_postgres() -> Path | None:
    """Return the folder of the newest installed server; None when there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("postgres")
    return found[-1].parent if found else Path(on_path).resolve().parent if on_path else None


class PostgresServer:
    """Use it in a ``with`` block.

    Attributes
    ----------
    url
        SQLAlchemy URL of an empty database.
    """

    def __init__(self) -> None:
        self._port = free_port()
        self._folder = Path(mkdtemp(prefix="quant-pipeline-postgres-", dir="/tmp"))
        self.url = f"postgresql+psycopg://trader@127.0.0.1:{self._port}/postgres"
        self._running: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        programs = programs_of_postgres()
        if programs is None:
            raise FileNotFoundError("no PostgreSQL server is installed")
        self._programs = programs
        if AS_ANOTHER:
            shutil.chown(self._folder, OWNS_NOTHING, OWNS_NOTHING)
        words = ["-D", str(self._folder / "data"), "-U", "trader", "-A", "trust", "-E", "UTF8", "--no-sync"]
        subprocess.run([programs / "initdb", *words], check=True, capture_output=True, cwd="/", **AS_ANOTHER)  # noqa: S603 - the words are ours
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self._folder)

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        words = ["-D", str(self._folder / "data"), "-k", str(self._folder), "-p", str(self._port), "-h", "127.0.0.1"]
        with (self._folder / "log").open("ab") as log:
            running: subprocess.Popen[bytes] = subprocess.Popen(  # noqa: S603 - the words are ours
                [self._programs / "postgres", *words], stdout=log, stderr=log, cwd="/", **AS_ANOTHER
            )
        self._running = running
        engine, deadline = sa.create_engine(self.url, poolclass=sa.NullPool), time.monotonic() + PATIENCE
        while True:
            try:
                engine.connect().close()
            except sa.exc.OperationalError:
                if running.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            else:
                return

    def stop(self) -> None:
        """End the server although connections are open."""
        if self._running is not None:
            self._running.send_signal(signal.SIGINT)
            self._running.wait(PATIENCE)
            self._running = None


def free_port() -> int:
    """Return a port of this machine that no process listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
