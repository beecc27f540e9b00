"""A warm process that runs each command of the small desk in a fork of itself, until its client dies."""

from __future__ import annotations

import gc
import importlib
import os
import signal
import socket
import sys
import threading
from contextlib import suppress
from pathlib import Path

from quant_pipeline.common.exceptions import QuantPipelineError
from quant_pipeline.testing.live_rehearsal import desk
from quant_pipeline.testing.live_rehearsal.project import opened_once

NEEDED = (
    "alpaca.trading.client",
    "psycopg",
    "pyarrow.dataset",
    "pyarrow.parquet",
    "quant_pipeline.models.algorithms.linear",
    "quant_pipeline.trading.brokers.alpaca.broker",
    "quant_pipeline.trading.brokers.alpaca.market_stream",
    "quant_pipeline.trading.brokers.alpaca.updates",
    "sqlalchemy.dialects.postgresql",
    "sqlalchemy.dialects.sqlite",
    "tenacity",
)
"""What commands import late: once here, and not again in every fork."""
LONGEST = 65_536
"""Bytes of an order."""


def serve(address: Path, folder: Path) -> None:
    """Take orders, one fork each."""
    for name in NEEDED:
        with suppress(ImportError):  # A ledger in a file needs no driver of a database.
            importlib.import_module(name)
    settings = desk.Settings.of(folder)
    settings.market()
    opened = opened_once(folder, settings.url)
    opened.gateway, opened.ledger, opened.catalog.exists("bars")
    desk._calendar(settings).hours(desk._calendar(settings).sessions[0])
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    gc.freeze()
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(address))
        door.listen(16)
        while True:
            way, _ = door.accept()
            if os.fork() == 0:
                door.close()
                os._exit(_run(way))
            way.close()


def _run(way: socket.socket) -> int:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    order, printed, *_ = socket.recv_fds(way, LONGEST, 1)
    for stream in (1, 2):
        os.dup2(printed[0], stream)
    threading.Thread(target=_die_with, args=(way,), daemon=True).start()
    folder, *words = order.decode().split("\0")
    try:
        status = desk.run(words, Path(folder))
    except QuantPipelineError as error:
        sys.stderr.write(f"Error: {error.message}\n")
        status = error.exit_code
    except Exception as error:  # noqa: BLE001 - as an interpreter reports whatever ends its program
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        status = 1
    sys.stderr.flush()
    with suppress(OSError):
        way.sendall(str(status).encode())
    return status


def _die_with(client: socket.socket) -> None:
    with suppress(OSError):
        client.recv(1)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    serve(Path(sys.argv[1]), Path(sys.argv[2]))
