"""A warm process that runs each command of the small desk in a fork of itself, until its client dies."""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import sys
import threading
from contextlib import suppress
from pathlib import Path

import alpaca.trading.client  # noqa: F401 - what every command needs is imported once

import quant_pipeline.models.algorithms.linear  # noqa: F401
from quant_pipeline.common.exceptions import QuantPipelineError
from quant_pipeline.testing.live_rehearsal import desk

LONGEST = 65_536
"""Bytes of an order."""


def serve(address: Path, folder: Path) -> None:
    """Take orders, one fork each."""
    settings = desk.Settings.of(folder)
    desk.tape(settings)
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
    found = json.loads(order)
    try:
        status = desk.run(found["words"], Path(found["folder"]))
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
