"""Real servers for tests: a PostgreSQL of its own, free ports, and waiting for an answer."""

import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

# The server refuses to run as root; whoever is root lends it the account that owns nothing.
AS_NOBODY = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}


@contextmanager
def running_postgres():
    """Start an empty server, give its URL, and remove every trace; skip where its programs are not installed."""
    if (programs := _programs()) is None:
        pytest.skip("no PostgreSQL server is installed")
    pytest.importorskip("psycopg")
    port = free_port()
    folder = Path("/tmp") / f"quant-pipeline-postgres-{port}"
    folder.mkdir(mode=0o700)
    if AS_NOBODY:
        shutil.chown(folder, "nobody", "nogroup")
    setup = [programs / "initdb", "-D", folder / "data", "-U", "trader", "-A", "trust", "-E", "UTF8", "--no-sync"]
    subprocess.run(setup, check=True, capture_output=True, cwd="/", **AS_NOBODY)
    command = [programs / "postgres", "-D", folder / "data", "-k", folder, "-p", str(port), "-h", "127.0.0.1"]
    with (folder.parent / f"{folder.name}.log").open("wb") as log:
        running = subprocess.Popen(command, stdout=log, stderr=log, cwd="/", **AS_NOBODY)
        try:
            url = f"postgresql+psycopg://trader@127.0.0.1:{port}/postgres"
            _wait_for(url, running)
            yield url
        finally:
            running.send_signal(signal.SIGINT)  # Ends it although connections are open.
            running.wait(timeout=300)
            shutil.rmtree(folder)
    Path(log.name).unlink()


def free_port():
    """Return a port that nobody listens on, below those for short connections: kedro-viz takes no higher one."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        if port < 49_152:
            return port


def answers(url, seconds):
    """Return whether a page answers within so many seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=60) as page:
                return page.status == 200
        except OSError:
            time.sleep(0.5)
    return False


def _programs():
    """Folder of the newest installed server, None when there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("postgres")
    return found[-1].parent if found else Path(on_path).resolve().parent if on_path else None


def _wait_for(url, running):
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    for _ in range(1500):
        assert running.poll() is None, "the server ended"
        try:
            engine.connect().close()
        except sa.exc.OperationalError:
            time.sleep(0.2)
        else:
            return
    raise AssertionError("the server did not answer")
