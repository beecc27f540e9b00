"""Real servers for tests: a PostgreSQL and an S3 of their own, free ports, and waiting for an answer."""

import socket
import time
import urllib.request
from contextlib import contextmanager

import pytest

from quant_pipeline.testing.postgres_server import PostgresServer, programs_of_postgres
from quant_pipeline.testing.s3_server import S3Server


@contextmanager
def running_postgres():
    """Start an empty server, give its URL, and remove every trace; skip where its programs are not installed."""
    if programs_of_postgres() is None:
        pytest.skip("no PostgreSQL server is installed")
    pytest.importorskip("psycopg")
    with PostgresServer() as server:
        yield server.url


@contextmanager
def running_s3():
    """Start an empty S3 server; skip where it or the client is not installed."""
    pytest.importorskip("moto")
    pytest.importorskip("s3fs")
    with S3Server() as server:
        yield server


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
