"""Who looks at the page: a signed session in a cookie of this site alone, and a token in every form.

A token is asked for once. The cookie says whose it was and until when that is believed, signed with a key that only
this account's folder and the token itself give: another token in ``credentials.yml`` ends its sessions, a restart does
not.
Logging out ends a session for every browser that has it: what was signed is remembered as ended until its time is over.
Forms carry a second value that follows from the cookie, so that no other page can post them in this browser's name.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import os
import re
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl

from fastapi import Request, Response

from quant_pipeline.common.atomic import write_text
from quant_pipeline.common.locks import locked
from quant_pipeline.service.access import THIS_MACHINE, Access, Asker
from quant_pipeline.service.parameters import Scope
from quant_pipeline.service.problems import Refused

logger = logging.getLogger(__name__)

KEY: Final = "page.key"
ENDED: Final = "page.ended"
"""File of the sessions that were ended: until when each would have been believed, and its hash."""
_LINE: Final = re.compile(r"([0-9]+) ([0-9a-f]{64})")
DAYS: Final = 7
"""How long a session is believed."""
PATIENCE: Final = 5.0
"""Seconds to wait for another process that ends a session."""
FIELD: Final = "form_token"
LOGIN: Final = "/page/login"
LOGOUT: Final = "/page/leave"


@dataclass(frozen=True)
class Visitor:
    """Who looks at the page.

    Attributes
    ----------
    asker
        Whose token it was, and what that allows.
    session
        Value of the cookie.
    form_token
        What every form has to carry.
    is_new
        Whether the cookie has to be set.
    """

    asker: Asker
    session: str
    form_token: str
    is_new: bool = False

    def may(self, scope: Scope) -> bool:
        """Return whether something is allowed."""
        return scope in self.asker.scopes


class Visitors:
    """Sessions of the page of one account.

    Parameters
    ----------
    folder
        Where the key lies; it is made when there is none, readable by this user alone.
    access
        Tokens of the service.
    environment
        Part of the cookie's name: services of other accounts on this machine have cookies of their own.

    Attributes
    ----------
    may_logout
        Whether sessions begin with a token, and can be ended.
    """

    def __init__(self, folder: Path, access: Access, environment: str) -> None:
        self._folder, self._access = folder, access
        self.cookie = f"quant-pipeline-{environment}"
        self.may_logout = bool(access.tokens)

    def of(self, request: Request) -> Visitor:
        """Return who looks at the page.

        Raises
        ------
        Refused
            401 when a token is needed and was not given yet, or not any more.
        """
        given = request.cookies.get(self.cookie, "")
        if not self._access.tokens:
            session = self._signed(THIS_MACHINE, 0, "")
            asker = Asker(THIS_MACHINE, frozenset(Scope))
            return Visitor(
                asker, session, self._form_token(session), not hmac.compare_digest(given.encode(), session.encode())
            )
        name = self._name_of(given)
        if name is None:
            text = "the page needs a token, once"
            raise Refused(401, "not known", text, f"Give one of the tokens of credentials.yml at {LOGIN}.")
        return Visitor(Asker(name, self._access.tokens[name].scopes), given, self._form_token(given))

    def login(self, token: str) -> Visitor:
        """Begin a session of the holder of a token.

        Raises
        ------
        Refused
            401 when it is none.
        """
        asker = self._access.asker(f"Bearer {token}")
        secret = self._secret_of(asker.name)
        # Two sessions that begin in the same second are two all the same: each is ended alone.
        session = self._signed(f"{secrets.token_hex(8)} {asker.name}", int(time.time()) + DAYS * 86_400, secret)
        return Visitor(asker, session, self._form_token(session), True)

    def logout(self, response: Response, visitor: Visitor) -> None:
        """End a session: its cookie is taken back, and believed no more, also where it was copied to."""
        response.delete_cookie(self.cookie, httponly=True, samesite="strict")
        now = int(time.time())
        # A clock that was set back since the login would forget the session before its time is over.
        until = max(now + DAYS * 86_400, (_signed_in(visitor.session) or (0, ""))[0])
        with locked(self._folder / f".{ENDED}.lock", "the sessions of the page", patience=PATIENCE):
            ended = {known: last for known, last in self._ended().items() if last >= now}
            ended[_hash_of(visitor.session)] = until
            write_text(self._folder / ENDED, "".join(f"{last} {known}\n" for known, last in ended.items()))

    def has_ended(self, visitor: Visitor) -> bool:
        """Return whether a session was ended since it was let in."""
        return _hash_of(visitor.session) in self._ended()

    def _ended(self) -> dict[str, int]:
        """Return the sessions that were ended, by hash; another process of this account may have ended them."""
        try:
            lines = (self._folder / ENDED).read_text(encoding="ascii", errors="replace").splitlines()
        except FileNotFoundError:
            return {}
        ended = {}
        for line in lines:
            if (found := _LINE.fullmatch(line)) is None:
                _warn_of(line, self._folder / ENDED)
            else:
                ended[found[2]] = int(found[1])
        return ended

    def remember(self, response: Response, visitor: Visitor, is_secure: bool) -> None:
        """Set the cookie: scripts cannot read it, and no other site sends it."""
        response.set_cookie(
            self.cookie, visitor.session, DAYS * 86_400, httponly=True, samesite="strict", secure=is_secure
        )

    async def form_of(self, request: Request, visitor: Visitor) -> dict[str, str]:
        """Return the fields of a form.

        Raises
        ------
        Refused
            403 when it is not a form of this page, as this browser was given it.
        """
        fields = await fields_of(request)
        if not hmac.compare_digest(fields.pop(FIELD, "").encode(), visitor.form_token.encode()):
            text = "the form is not one that this page has given to this browser"
            raise Refused(403, "another form", text, "Load the page again, and repeat.", FIELD)
        return fields

    def _form_token(self, session: str) -> str:
        return self._mac(f"form {session}", "")

    def _signed(self, name: str, until: int, secret: str) -> str:
        text = base64.urlsafe_b64encode(f"{until} {name}".encode()).decode().rstrip("=")
        return f"{text}.{self._mac(text, secret)}"

    def _name_of(self, session: str) -> str | None:
        """Return whose session it is; None when it is none, or its time is over."""
        found = _signed_in(session)
        if found is None or found[0] < time.time() or found[1] not in self._access.tokens:
            return None
        name, (text, _, mac) = found[1], session.partition(".")
        right = self._mac(text, self._secret_of(name))
        is_right = hmac.compare_digest(mac.encode(), right.encode())
        return name if is_right and _hash_of(session) not in self._ended() else None

    def _secret_of(self, name: str) -> str:
        token = self._access.tokens.get(name)
        return "" if token is None else token.token.get_secret_value()

    def _mac(self, text: str, secret: str) -> str:
        key = hmac.digest(self._key, secret.encode(), hashlib.sha256)
        return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()

    @cached_property
    def _key(self) -> bytes:
        """The key; another process of this account may have made it."""
        file = self._folder / KEY
        if not file.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            beside = file.with_name(f"{KEY}.{secrets.token_hex(4)}")
            made = os.open(beside, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600)
            with os.fdopen(made, "wb") as opened:
                opened.write(secrets.token_bytes(32))
            # Of two that make it at the same time, the first counts.
            with suppress(FileExistsError):
                os.link(beside, file)
            beside.unlink()
        return file.read_bytes()


def _signed_in(session: str) -> tuple[int, str] | None:
    """Return until when a session is believed, and whose it is, by its own words; None when it has none."""
    text = session.partition(".")[0]
    try:
        until, _, named = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode().partition(" ")
        return int(until), named.partition(" ")[2]
    except ValueError:
        return None


@cache
def _warn_of(line: str, file: Path) -> None:
    """Say once that a line is no session that was ended: the others count, so that an operator who halts is let in."""
    logger.warning("a line of %s is left out, as it is no ended session: %.80r", file, line)


def _hash_of(session: str) -> str:
    return hashlib.sha256(session.encode()).hexdigest()


def is_secure(request: Request) -> bool:
    """Return whether a browser speaks TLS, to this service or, as the origin of its page says, to a proxy before it."""
    return request.url.scheme == "https" or request.headers.get("origin", "").lower().startswith("https://")


async def fields_of(request: Request) -> dict[str, str]:
    """Return the fields of a form as browsers send it.

    Raises
    ------
    Refused
        422 when it has more fields than any form of the page.
    """
    body = (await request.body()).decode("utf-8", "replace")
    try:
        return dict(parse_qsl(body, keep_blank_values=True, max_num_fields=50))
    except ValueError as error:
        raise Refused(422, "another form", "the form has too many fields", "Load the page again.", FIELD) from error
