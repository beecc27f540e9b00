"""Addresses that can only be this machine, where rehearsals run."""

from __future__ import annotations

from urllib.parse import urlsplit

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def is_loopback(url: str) -> bool:
    """Whether an http address can only be this machine, for every reader of addresses.

    Only a scheme, a host of `LOOPBACK` and a port are taken. With a name and a password, a backslash, blanks or a path,
    the host that is found here need not be the one that a client connects to.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return False
    if parts.scheme not in ("http", "https") or host not in LOOPBACK or port == 0:
        return False
    plain = f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{'' if port is None else f':{port}'}"
    return url.lower().rstrip("/") == plain
