"""The gate: host, origin, size, depth and pace of a request are looked at before anything reads it; the audit log."""

from __future__ import annotations

from collections.abc import Mapping

import anyio
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as Connection

from quant_pipeline.service.access import Access
from quant_pipeline.service.audit_file import audit, refusals
from quant_pipeline.service.depth import Depth
from quant_pipeline.service.problems import Refused, problem
from quant_pipeline.service.shares import Shares

OF_STRANGERS = 65_536
"""Bytes of a body that are read from those who have not shown a token, such as the page of a browser."""

OF_QUESTIONS = 2**20
"""Bytes of a body without scores: no question that names things is longer."""
WITH_SCORES = frozenset({"/v1/backtest"})
"""Paths whose bodies may carry a table, up to ``service.max_body_megabytes``."""
LARGE_AT_ONCE = 2
"""Bodies above `OF_STRANGERS` that are held at the same time: each takes a multiple of its size while it is read."""
GONE = 499
"""Status in the audit log of a request whose asker left before its end; no answer has it."""
HALTS = frozenset({"/v1/account/halt", "/page/halt"})
"""Paths of which no body is refused: what came of it, within `PATIENCE`, is what there is."""
PATIENCE = 2.0
"""Seconds that a halt waits for the rest of its body, which can hold nothing but a reason."""
BODY_SECONDS = 10.0
"""Seconds that any body may take, and `BODY_PACE` bytes more for each further one: a place is not held by waiting."""
BODY_PACE = 2**19


class _Gone(Exception):
    """The asker left before the whole request had come."""


class Gate:
    """ASGI middleware: refuses strange hosts and origins, and requests that are too large, before anything reads them.

    Every request that changes something, and every refusal, is written to the audit log.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access
        self._large = Shares(LARGE_AT_ONCE)

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in scope["headers"]}
        # What a failure is answered with outside of this gate.
        status = 500

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        held: list[str] = []
        try:
            self._check(headers)
            is_halt = scope["path"] in HALTS
            body = await (_beginning(receive) if is_halt else self._body(receive, headers, scope["path"], held))
        except Refused as refused:
            await problem(refused)(scope, receive, noting)
        except _Gone:
            # What came of it may be a whole question, another one than was meant.
            status = GONE
        else:
            await self._app(scope, _replaying(body, receive), noting)
        finally:
            for holder in held:
                self._large.give_back(holder)
            if scope["method"] not in ("GET", "HEAD") or status >= 400:
                _write_down(scope, status)

    def _check(self, headers: Mapping[str, str]) -> None:
        access = self._access
        if not access.is_named(headers.get("host", "")):
            raise Refused(
                421,
                "another host",
                "the Host header names another machine",
                "Address the service by 127.0.0.1, or add the name to service.hosts.",
                "Host",
            )
        origin = headers.get("origin")
        if origin is not None and not access.is_origin(origin, headers.get("host", "")):
            raise Refused(
                403, "another origin", "a page of another site asks", "Open the page of this service.", "Origin"
            )

    async def _body(self, receive: Receive, headers: Mapping[str, str], path: str, held: list[str]) -> bytes:
        """Return a whole body; one that is large takes a place until it is answered, for the holder in ``held``."""
        access, most = self._access, self._access.max_bytes
        if path not in WITH_SCORES:
            most = min(most, OF_QUESTIONS)
        stated = headers.get("content-length", "0")
        length = int(stated) if stated.isdecimal() else 0
        if length > most:
            raise _too_large(most)
        parts: list[bytes] = []
        size, depth, is_last, begun = 0, Depth(), False, anyio.current_time()
        while True:
            if max(size, length) > OF_STRANGERS and not held:
                held.append(self._take_place(access.asker(headers.get("authorization")).name))
            if is_last:
                return b"".join(parts)
            message = await _in_time(receive, begun + BODY_SECONDS + size / BODY_PACE)
            if message["type"] != "http.request":
                raise _Gone
            part = message.get("body", b"")
            size += len(part)
            if size > most:
                raise _too_large(most)
            # Whatever its type is said to be, and part by part: a large body keeps nothing else waiting.
            if depth.take(part) > access.max_depth:
                raise Refused(
                    422,
                    "too deep",
                    f"the JSON nests deeper than {access.max_depth} levels",
                    "Send a request as GET /v1/openapi.json shows it.",
                )
            parts.append(part)
            is_last = not message.get("more_body")

    def _take_place(self, holder: str) -> str:
        if not self._large.take(holder, len(self._access.tokens)):
            text = f"{LARGE_AT_ONCE} large requests are being answered, or one of '{holder}'"
            raise Refused(503, "busy", text, "Ask again later.", headers={"Retry-After": "1"})
        return holder


async def _in_time(receive: Receive, deadline: float) -> Message:
    """Return the next part of a body.

    Raises
    ------
    Refused
        408 when it does not come in time.
    """
    with anyio.move_on_after(deadline - anyio.current_time()):
        return await receive()
    raise Refused(
        408, "too slow", "the body of the request did not come in time", "Ask again over a faster connection."
    )


async def _beginning(receive: Receive) -> bytes:
    """Return as much of a body as comes in time, and as anyone may send; a halt waits for no more."""
    found = b""
    with anyio.move_on_after(PATIENCE):
        while len(found) < OF_STRANGERS:
            message = await receive()
            found += message.get("body", b"")
            if not message.get("more_body"):
                break
    return found[:OF_STRANGERS]


def _write_down(scope: Connection, status: int) -> None:
    """Write what was done to the audit log, what was refused or failed to the one of refusals.

    What has failed in the middle may have been done in part, so it counts as done.
    """
    state = scope.get("state", {})
    asker, was_let_in = state.get("asker"), state.get("acts", False)
    log = audit if was_let_in and (status < 400 or status >= 500) else refusals
    log.info(
        "%s %s %s by %s from %s",
        status,
        scope["method"],
        scope["path"].encode("ascii", "backslashreplace").decode()[:200],
        asker.name if asker else "?",
        (scope.get("client") or ("?",))[0],
    )


def _too_large(most: int) -> Refused:
    return Refused(
        413,
        "too large",
        f"the request has more than {most / 2**20:g} MiB",
        "Ask for less at once; for the scores of a backtest, raise service.max_body_megabytes.",
    )


def _replaying(body: bytes, receive: Receive) -> Receive:
    """Give the body that was read to the application, and then whatever the connection says."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
