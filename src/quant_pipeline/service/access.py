"""Who may ask: names of hosts, origins of pages, tokens and their scopes."""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import Depends, Request

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.common.loopback import LOOPBACK
from quant_pipeline.service.parameters import Scope, ServiceParameters, Token
from quant_pipeline.service.problems import Refused

HERE = ("127.0.0.1", "localhost", "[::1]")
"""Names by which this machine addresses itself."""
THIS_MACHINE = "this machine"
"""Who asks when there are no tokens: then only programs of this machine reach the service."""


@dataclass(frozen=True)
class Asker:
    """Who sent a request, and what they may do."""

    name: str
    scopes: frozenset[Scope]

    def require(self, scope: Scope) -> None:
        """Refuse what is not allowed.

        Raises
        ------
        Refused
            403, naming the scope.
        """
        if scope not in self.scopes:
            raise Refused(
                403,
                "not allowed",
                f"the token of '{self.name}' does not allow '{scope}'",
                f"Add '{scope}' to its scopes in credentials.yml, and start the service again.",
            )


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
            When the address is not one of this machine, or the service has further names, such as that of a proxy,
            and there is no token; or when another address was not asked for.
        """
        here = rules.host in LOOPBACK
        if not here and not (tokens and public):
            raise ConfigurationError(
                f"service.host is {rules.host}, which other machines reach. Name tokens under `service:` in "
                "credentials.yml and start with `kedro service --public`, behind a proxy that speaks TLS; or leave "
                "service.host at 127.0.0.1."
            )
        if rules.hosts and not tokens:
            raise ConfigurationError(
                f"service.hosts names {rules.hosts[0]}, by which others reach the service, and there are no tokens: "
                "every program there could do everything. Name tokens under `service:` in credentials.yml, "
                "or leave service.hosts empty."
            )
        own = () if here else (f"[{rules.host}]" if ":" in rules.host else rules.host,)
        hosts = {name.lower() for name in (*HERE, *rules.hosts, *own)}
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

    async def check(request: Request) -> Asker:
        access: Access = request.app.state.access
        return admitted(request, access.asker(request.headers.get("authorization")), scope)

    return Depends(check)


def admitted(request: Request, asker: Asker, scope: Scope) -> Asker:
    """Let an asker in for what needs a scope, and note for the audit log who it is, and whether they may change things.

    Raises
    ------
    Refused
        403 when it is not allowed.
    """
    # Before it is refused: the audit log names who was.
    request.state.asker = asker
    asker.require(scope)
    request.state.acts = scope is not Scope.READ
    return asker


Reader = Annotated[Asker, needs(Scope.READ)]
Researcher = Annotated[Asker, needs(Scope.RESEARCH)]
Halter = Annotated[Asker, needs(Scope.HALT)]
