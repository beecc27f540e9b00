"""Who may ask: names of hosts, origins of pages, tokens and their scopes, sizes of requests."""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlsplit

import numpy as np
from fastapi import Depends, Request
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as Connection

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.common.loopback import LOOPBACK
from quant_pipeline.service.parameters import Scope, ServiceParameters, Token
from quant_pipeline.service.problems import Refused, problem

audit = logging.getLogger("quant_pipeline.service.audit")

HERE = ("127.0.0.1", "localhost", "[::1]")
"""Names by which this machine addresses itself."""
THIS_MACHINE = "this machine"
"""Who asks when there are no tokens: then only programs of this machine reach the service."""
TEXTS = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
"""Strings of JSON, also one that does not end; it never goes back, so that no body takes longer than its length."""


@dataclass(frozen=True)
class Asker:
    """Who sent a request, and what they may do."""

    name: str
    scopes: frozenset[Scope]


@dataclass(frozen=True)
class Access:
    """Who is let in.

    Attributes
    ----------
    tokens
        By name of the holder; without any, every program that reaches the service may do everything, so it
        listens on an address of this machine only.
    hosts
        Names that the header ``Host`` may have. A page of another site that a browser is made to open under a name of
        its own that resolves to this machine ("DNS rebinding") has another one.
    max_bytes, max_depth
        Limits of a request.
    """

    tokens: Mapping[str, Token]
    hosts: Collection[str]
    max_bytes: int
    max_depth: int

    @classmethod
    def of(cls, rules: ServiceParameters, tokens: Mapping[str, Token], public: bool) -> Access:
        """Read the rules.

        Raises
        ------
        ConfigurationError
            When the address is not one of this machine and there is no token, or it was not asked for.
        """
        here = rules.host in LOOPBACK
        if not here and not (tokens and public):
            raise ConfigurationError(
                f"service.host is {rules.host}, which other machines reach. Name tokens under `service:` in "
                "credentials.yml and start with `kedro service --public`, behind a proxy that speaks TLS; or leave "
                "service.host at 127.0.0.1."
            )
        hosts = {name.lower() for name in (*HERE, *rules.hosts, *(() if here else (rules.host,)))}
        return cls(tokens, hosts, int(rules.max_body_megabytes * 2**20), rules.max_depth)

    def asker(self, authorization: str | None) -> Asker:
        """Return whose token a request has; every token is compared, in a time that tells nothing.

        Raises
        ------
        Refused
            401 when there is none, or a wrong one.
        """
        if not self.tokens:
            return Asker(THIS_MACHINE, frozenset(Scope))
        kind, _, given = (authorization or "").partition(" ")
        found = None
        for name, token in self.tokens.items():
            expected = token.token.get_secret_value().encode()
            if secrets.compare_digest(given.strip().encode("utf-8", "replace"), expected):
                found = Asker(name, token.scopes)
        if kind.lower() != "bearer" or found is None:
            raise Refused(
                401,
                "not known",
                "this service needs a token",
                "Send `Authorization: Bearer TOKEN` with one of the tokens of credentials.yml.",
                headers={"WWW-Authenticate": "Bearer"},
            )
        return found

    def is_origin(self, origin: str, host: str) -> bool:
        """Return whether a page of this service asks: of the same host and port, or of a name that was added."""
        try:
            authority = urlsplit(origin).netloc.lower()
        except ValueError:
            return False
        name = re.sub(r":\d*$", "", authority)
        return authority == host.strip().lower() or (name in self.hosts and name not in HERE)

    def is_named(self, host: str) -> bool:
        """Return whether a ``Host`` header names this service."""
        name = re.sub(r":\d*$", "", host.strip().lower())
        return name in self.hosts


def needs(scope: Scope) -> Any:
    """Let a route need a scope; the route is given the `Asker`."""

    def check(request: Request) -> Asker:
        access: Access = request.app.state.access
        asker = access.asker(request.headers.get("authorization"))
        if scope not in asker.scopes:
            raise Refused(
                403,
                "not allowed",
                f"the token of '{asker.name}' does not allow '{scope}'",
                f"Add '{scope}' to its scopes in credentials.yml, and start the service again.",
            )
        request.state.asker = asker
        return asker

    return Depends(check)


Reader = Annotated[Asker, needs(Scope.READ)]
Researcher = Annotated[Asker, needs(Scope.RESEARCH)]
Halter = Annotated[Asker, needs(Scope.HALT)]


class Gate:
    """ASGI middleware: refuses strange hosts and origins, and requests that are too large, before anything reads them.

    Every request that changes something, and every refusal, is written to the audit log.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in scope["headers"]}
        status = 0

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            self._check(headers)
            body = await self._body(receive, headers)
        except Refused as refused:
            await problem(refused)(scope, receive, noting)
        else:
            await self._app(scope, _replaying(body, receive), noting)
        if scope["method"] not in ("GET", "HEAD") or status >= 400:
            asker = scope.get("state", {}).get("asker")
            audit.info(
                "%s %s %s by %s from %s",
                status,
                scope["method"],
                scope["path"].encode("ascii", "backslashreplace").decode()[:200],
                asker.name if asker else "?",
                (scope.get("client") or ("?",))[0],
            )

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

    async def _body(self, receive: Receive, headers: Mapping[str, str]) -> bytes:
        access = self._access
        stated = headers.get("content-length", "0")
        if stated.isdigit() and int(stated) > access.max_bytes:
            raise _too_large(access.max_bytes)
        parts, size = [], 0
        while True:
            message = await receive()
            if message["type"] != "http.request":
                break
            part = message.get("body", b"")
            size += len(part)
            if size > access.max_bytes:
                raise _too_large(access.max_bytes)
            parts.append(part)
            if not message.get("more_body"):
                break
        body = b"".join(parts)
        if "json" in headers.get("content-type", "json") and depth_of(body) > access.max_depth:
            raise Refused(
                422,
                "too deep",
                f"the JSON nests deeper than {access.max_depth} levels",
                "Send a request as GET /v1/openapi.json shows it.",
            )
        return body


def depth_of(text: bytes) -> int:
    """Return how deep brackets nest in a text of JSON; those within strings do not count."""
    signs = np.frombuffer(TEXTS.sub(b"", text), np.uint8)
    opened = (signs == ord("[")) | (signs == ord("{"))
    closed = (signs == ord("]")) | (signs == ord("}"))
    return int((opened.astype(np.int64) - closed).cumsum().max(initial=0))


def _too_large(most: int) -> Refused:
    return Refused(
        413,
        "too large",
        f"the request has more than {most / 2**20:g} MiB",
        "Ask for less at once, or raise service.max_body_megabytes.",
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
