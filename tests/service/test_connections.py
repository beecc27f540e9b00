"""Connections that begin a request and do not end it, or do not read their answer, keep no place for long."""

import socket
import time
from contextlib import ExitStack, contextmanager
from threading import Thread

import httpx
import pytest
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from quant_pipeline.service import connections
from quant_pipeline.service.connections import Bounds
from quant_pipeline.service.server import settings_of
from tests.helpers.servers import free_port

LARGE = 64 * 2**20
HEAD = b"GET / HTTP/1.1\r\nHost: a\r\n"


class OnHttptools(Bounds, HttpToolsProtocol):
    pass


class OnH11(Bounds, H11Protocol):
    pass


async def application(scope, receive, send):
    """Answers with as many bytes as the path says, after the whole request has come."""
    while (await receive()).get("more_body"):
        pass
    body = b"x" * int(scope["path"].strip("/") or 2)
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture(scope="module", params=[OnHttptools, OnH11])
def server(request):
    """A running server, and its open connections."""
    port = free_port()
    settings = settings_of(application, port=port, lifespan="off")
    settings.http = request.param
    served = uvicorn.Server(settings)
    thread = Thread(target=served.run, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{port}"
    until = time.monotonic() + 60
    while not served.started:
        assert time.monotonic() < until
        time.sleep(0.01)
    yield port, url, served
    served.should_exit = True
    thread.join(30)


@contextmanager
def opened(port, first=b""):
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(first)
        yield connection


def is_closed(connection):
    """Whether the server has closed a connection; it waits for that, and answers end nothing."""
    try:
        while connection.recv(65_536):
            pass
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False
    return True


def until_alone(served):
    """Wait until a server has no connection, also none that its client has just closed."""
    until = time.monotonic() + 30
    while served.server_state.connections:
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.parametrize("first", [b"", b"GET", HEAD], ids=["nothing", "a word", "some headers"])
def test_a_head_that_does_not_end_ends_its_connection(server, monkeypatch, first):
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.2)
    with opened(server[0], first) as connection:
        assert is_closed(connection)


def test_a_second_head_has_no_longer_than_the_first(server, monkeypatch):
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.2)
    with opened(server[0], HEAD + b"\r\n") as connection:
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        connection.sendall(HEAD)
        begun = time.monotonic()
        assert is_closed(connection)
        # Before uvicorn would have closed one that is idle.
        assert time.monotonic() - begun < 4


def test_a_head_without_end_is_not_kept_in_memory(server):
    with opened(server[0], HEAD) as connection:
        try:
            for _ in range(200):
                connection.sendall(b"a" * 1000 + b": 1\r\n")
        except (BrokenPipeError, ConnectionResetError):
            return
        assert is_closed(connection)


def test_a_request_that_is_whole_has_its_answer_however_long_that_takes(server, monkeypatch):
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.05)
    body = iter([b"x"] * 3)

    def slowly():
        for part in body:
            time.sleep(0.05)
            yield part

    assert httpx.post(server[1], content=slowly()).status_code == 200


def test_of_too_many_unfinished_requests_the_oldest_makes_room(server, monkeypatch):
    until_alone(server[2])
    # As many as are accepted within one tick of the clock of the event loop.
    monkeypatch.setattr(connections, "UNFINISHED", 20)
    monkeypatch.setattr(connections, "HEAD_SECONDS", 600)
    with ExitStack() as stack:
        waiting = [stack.enter_context(opened(server[0])) for _ in range(20)]
        assert httpx.get(server[1]).text == "xx"
        assert is_closed(waiting[0])


def test_an_answer_that_is_not_read_is_given_up(server, monkeypatch):
    monkeypatch.setattr(connections, "UNREAD_SECONDS", 0.2)
    with opened(server[0], b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % LARGE) as connection:
        assert connection.recv(1)
        until_alone(server[2])


def test_an_answer_that_is_read_slowly_is_given_whole(server, monkeypatch):
    monkeypatch.setattr(connections, "UNREAD_SECONDS", 0.2)
    with httpx.stream("GET", f"{server[1]}/{LARGE}") as answer:
        got = 0
        for part in answer.iter_raw(2**22):
            got += len(part)
            time.sleep(0.02)
    assert got == LARGE
