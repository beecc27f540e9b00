"""What is refused before it is read, and what the audit log says of refusals and failures."""

import logging

import anyio
import httpx
import pytest
from fastapi import FastAPI, Request

from quant_pipeline.service.access import Access, Asker, Reader
from quant_pipeline.service.audit_file import audit_to
from quant_pipeline.service.gate import OF_STRANGERS, Gate, _write_down
from quant_pipeline.service.parameters import Token
from quant_pipeline.service.problems import answer_errors

READER, HALTER = "reader-" + "x" * 20, "halter-" + "y" * 20
TOKENS = {
    "reader": Token.model_validate({"token": READER}),
    "halter": Token.model_validate({"token": HALTER, "scopes": ["halt"]}),
}
READING = Asker("reader", frozenset())


@pytest.fixture
def ask(tmp_path, caplog):
    """Returns what an application behind the gate answers."""
    caplog.set_level(logging.INFO, logger="quant_pipeline.service.audit")
    app = FastAPI()
    app.state.access = access = Access(TOKENS, {"127.0.0.1"}, 2**20, 6)
    app.add_middleware(Gate, access=access)
    answer_errors(app, tmp_path)

    @app.post("/taken")
    async def taken(request: Request):
        return {"bytes": len(await request.body())}

    @app.get("/broken")
    async def broken():
        raise ZeroDivisionError("a fault of the service")

    @app.get("/read")
    async def read(asker: Reader):
        return {"asker": asker.name}

    async def answered(method, path, **more):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.request(method, path, **more)

    return lambda method, path, **more: anyio.run(lambda: answered(method, path, **more))


@pytest.mark.parametrize(
    "kind", [None, "application/json", "APPLICATION/JSON; charset=utf-8", "text/plain", "a/b+json"]
)
def test_a_deep_body_is_refused_whatever_its_type_is_said_to_be(ask, kind):
    headers = {} if kind is None else {"Content-Type": kind}
    answer = ask("POST", "/taken", content=b"[" * 7 + b"]" * 7, headers=headers)
    assert (answer.status_code, answer.json()["title"]) == (422, "too deep")
    assert ask("POST", "/taken", content=b"[" * 6 + b"]" * 6, headers=headers).json() == {"bytes": 12}


def counted(parts, size, taken):
    async def give():
        for _ in range(parts):
            taken.append(size)
            yield b"1" * size

    return give()


@pytest.mark.parametrize("stated", [True, False], ids=["with its length", "in parts"])
def test_a_large_body_of_a_stranger_is_refused_before_it_is_read(ask, stated):
    taken, parts, size = [], 100, 8_192
    length = {"Content-Length": str(parts * size)} if stated else {}
    answer = ask("POST", "/taken", content=counted(parts, size, taken), headers=length)
    assert answer.status_code == 401
    assert sum(taken) <= (0 if stated else OF_STRANGERS + size)
    taken.clear()
    known = {**length, "Authorization": f"Bearer {READER}"}
    answer = ask("POST", "/taken", content=counted(parts, size, taken), headers=known)
    assert answer.json() == {"bytes": parts * size}


def test_a_failure_of_the_service_is_written_down(ask, caplog):
    assert ask("GET", "/broken").status_code == 500
    assert "500 GET /broken by ? from 127.0.0.1" in caplog.messages


def test_a_refusal_names_whose_token_it_was(ask, caplog):
    assert ask("GET", "/read", headers={"Authorization": f"Bearer {HALTER}"}).status_code == 403
    assert ask("GET", "/read").status_code == 401
    assert caplog.messages == ["403 GET /read by halter from 127.0.0.1", "401 GET /read by ? from 127.0.0.1"]
    assert ask("GET", "/read", headers={"Authorization": f"Bearer {READER}"}).json() == {"asker": "reader"}
    assert len(caplog.messages) == 2


def given(path, messages, access=None, headers=None):
    """Returns the bodies that an application was given, and what was answered, when messages come one by one."""
    taken, sent = [], []

    async def application(scope, receive, send):
        taken.append((await receive())["body"])

    async def receive():
        if not messages:
            await anyio.sleep_forever()
        await anyio.lowlevel.checkpoint()
        return messages.pop(0)

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": path, "headers": headers or [(b"host", b"127.0.0.1")]}
    access = access or Access(TOKENS, {"127.0.0.1"}, 2**20, 6)
    anyio.run(Gate(application, access), scope, receive, send)
    return taken, sent


def part(body, more=True):
    return {"type": "http.request", "body": body, "more_body": more}


GONE = {"type": "http.disconnect"}


def test_of_a_request_that_is_cut_off_nothing_is_run(caplog):
    caplog.set_level(logging.INFO, logger="quant_pipeline.service.audit")
    assert given("/v1/search", [part(b"{}"), GONE]) == ([], [])
    assert given("/v1/search", [GONE]) == ([], [])
    assert caplog.messages[-1].startswith("499 POST /v1/search")
    assert given("/v1/search", [part(b"{"), part(b"}", False)])[0] == [b"{}"]


@pytest.mark.parametrize("path", ["/v1/account/halt", "/page/halt"])
def test_a_halt_is_run_whatever_comes_of_its_body(path, monkeypatch):
    monkeypatch.setattr("quant_pipeline.service.gate.PATIENCE", 0.05)
    assert given(path, [part(b'{"rea'), GONE])[0] == [b'{"rea']
    assert given(path, [part(b"slow")])[0] == [b"slow"]
    assert given(path, [part(b"[" * 70_000)])[0] == [b"[" * OF_STRANGERS]
    assert given(path, [part(b"\0", False)])[0] == [b"\0"]


def test_two_large_requests_are_held_at_once_and_a_third_is_asked_to_come_again():
    """A place is held until the answer; small requests and halts need none."""
    held, statuses = [], []

    async def ask_together():
        done = anyio.Event()

        async def application(scope, receive, send):
            held.append(scope["path"])
            if len((await receive())["body"]) > OF_STRANGERS:
                await done.wait()

        gate = Gate(application, Access({}, {"127.0.0.1"}, 2**22, 6))

        async def one(path, body):
            async def receive():
                return part(body, False)

            async def send(message):
                if message["type"] == "http.response.start":
                    statuses.append(message["status"])

            scope = {"type": "http", "method": "POST", "path": path, "headers": [(b"host", b"127.0.0.1")]}
            await gate(scope, receive, send)

        large = b"1" * (OF_STRANGERS + 1)
        async with anyio.create_task_group() as tasks:
            for _ in range(2):
                tasks.start_soon(one, "/v1/backtest", large)
            await anyio.wait_all_tasks_blocked()
            await one("/v1/backtest", large)
            await one("/v1/search", b"{}")
            await one("/v1/account/halt", large)
            done.set()
        await one("/v1/backtest", large)

    anyio.run(ask_together)
    assert statuses == [503]
    assert held == ["/v1/backtest", "/v1/backtest", "/v1/search", "/v1/account/halt", "/v1/backtest"]


def test_a_body_that_does_not_come_in_time_is_refused(monkeypatch):
    """Of those who have shown a token, too: their place among the large requests is given back."""
    monkeypatch.setattr("quant_pipeline.service.gate.BODY_SECONDS", 0.05)
    monkeypatch.setattr("quant_pipeline.service.gate.BODY_PACE", 2**40)
    access = Access({}, {"127.0.0.1"}, 2**22, 6)
    for begun in (b"{", b"1" * (OF_STRANGERS + 1)):
        taken, sent = given("/v1/backtest", [part(begun)], access)
        assert (taken, sent[0]["status"]) == ([], 408)


def test_a_body_that_keeps_pace_has_all_the_time_it_needs(monkeypatch):
    """A hundred bytes have bought a hundred seconds, and the rest comes within them."""
    monkeypatch.setattr("quant_pipeline.service.gate.BODY_SECONDS", 5.0)
    monkeypatch.setattr("quant_pipeline.service.gate.BODY_PACE", 1.0)
    now = iter([0.0, 0.0, 99.0, 104.0])
    monkeypatch.setattr("quant_pipeline.service.gate.anyio.current_time", lambda: next(now))
    assert given("/v1/search", [part(b"1" * 100), part(b"1", False)])[0] == [b"1" * 101]


def test_a_length_in_strange_digits_is_none():
    headers = [(b"host", b"127.0.0.1"), (b"content-length", "\N{SUPERSCRIPT TWO}".encode("latin-1"))]
    assert given("/v1/search", [part(b"{}", False)], headers=headers)[0] == [b"{}"]


def test_one_holder_of_a_token_has_one_of_the_large_requests_and_another_the_other():
    statuses = []

    async def ask_together():
        done = anyio.Event()

        async def application(scope, receive, send):
            await receive()
            await done.wait()

        gate = Gate(application, Access(TOKENS, {"127.0.0.1"}, 2**22, 6))

        async def one(token):
            async def receive():
                return part(b"1" * (OF_STRANGERS + 1), False)

            async def send(message):
                if message["type"] == "http.response.start":
                    statuses.append((token, message["status"]))

            headers = [(b"host", b"127.0.0.1"), (b"authorization", f"Bearer {token}".encode())]
            scope = {"type": "http", "method": "POST", "path": "/v1/backtest", "headers": headers}
            await gate(scope, receive, send)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one, READER)
            await anyio.wait_all_tasks_blocked()
            await one(READER)
            tasks.start_soon(one, HALTER)
            await anyio.wait_all_tasks_blocked()
            done.set()

    anyio.run(ask_together)
    assert statuses == [(READER, 503)]


@pytest.mark.parametrize(
    ("state", "status", "is_done"),
    [
        ({"asker": READING, "acts": True}, 200, True),
        ({"asker": READING, "acts": True}, 500, True),
        ({"asker": READING, "acts": True}, 422, False),
        ({"asker": READING, "acts": False}, 200, False),
        ({"asker": READING}, 403, False),
        ({}, 303, False),
        ({}, 401, False),
    ],
)
def test_only_what_was_done_by_those_who_were_let_in_is_written_beside_halts(state, status, is_done, tmp_path):
    with audit_to(tmp_path):
        _write_down({"state": state, "method": "POST", "path": "/v1/search"}, status)
    files = {file.name for file in tmp_path.iterdir()}
    assert files == {"audit.jsonl" if is_done else "refusals.jsonl"}


def test_only_scores_may_be_larger_than_a_question():
    body = [part(b"1" * (2**20 + 1), False)]
    assert given("/v1/backtest", list(body))[0] == []
    for path, taken in (("/v1/factors/calculate", 0), ("/v1/backtest", 1)):
        access = Access({}, {"127.0.0.1"}, 2**22, 6)
        assert len(given(path, list(body), access)[0]) == taken
