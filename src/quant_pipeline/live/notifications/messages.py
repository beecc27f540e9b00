"""Messages, and the secrets that stand in none of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from quant_pipeline.live.parameters import Level, Topic

HIDDEN = "•••"
"""What stands in the place of a secret."""
SHORTEST = 6
"""Characters of the shortest text that is taken for a secret: shorter ones occur by chance."""
LONGEST = 3000
"""Characters of a message; services refuse longer ones."""


@dataclass(frozen=True)
class Message:
    """What the operator should know.

    Attributes
    ----------
    topic, level
        What it is about, and how much it matters.
    title, text
        One line, and what there is to say beside it.
    """

    topic: Topic
    level: Level
    title: str
    text: str = ""


def secrets_of(credentials: Mapping[str, Any]) -> tuple[str, ...]:
    """Return every text of the credentials that must stand in no message, log or metric, the longest first.

    Of an address these are also its parts: tokens are users, passwords, hosts and places of addresses.
    """
    found: set[str] = set()
    for value in _texts(credentials):
        found |= {value, unquote(value)}
        if "://" in value:
            with suppress(ValueError):  # It is no address: no service takes it, and it is hidden as a whole.
                found |= set(_parts(value))
    return tuple(sorted((text for text in found if len(text) >= SHORTEST), key=len, reverse=True))


def without_secrets(text: str, secrets: Iterable[str]) -> str:
    """Return a text in which no secret stands."""
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
    return text


def cleaned(value: Any, secrets: Sequence[str]) -> Any:
    """Return nested values in whose texts no secret stands; a text that is written as JSON looks different."""
    if isinstance(value, Mapping):
        return {cleaned(name, secrets): cleaned(inner, secrets) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [cleaned(inner, secrets) for inner in value]
    return without_secrets(value, secrets) if isinstance(value, str) else value


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)
    elif value is not None:
        yield str(value)


def _parts(address: str) -> Iterable[str]:
    parts = urlsplit(address)
    place = parts.netloc.rpartition("@")
    yield from (each for part in place[0].split(":") if part for each in (part, unquote(part)))
    # Messengers take tokens where others have host and port; a host with a dot, or of this machine, is none.
    host, *port = place[2].split(":")
    if "." not in host and host != "localhost":
        yield unquote(host)
    yield from (unquote(part) for part in port if not part.isdigit())
    yield from (unquote(part) for part in parts.path.split("/") if part)
    yield from (unquote(pair.partition("=")[2]) for pair in parts.query.split("&"))
