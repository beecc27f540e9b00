"""Databases by their URL: which one an address names, and what is refused before anything is written into it."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

import sqlalchemy as sa

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.common.places import is_bucket, protocol_of
from quant_pipeline.common.secret_names import without_secrets

_TRUE = ("true", "yes", "on", "y", "t", "1")
"""How the query of a URL switches something on, in SQLAlchemy's words."""


def sqlite_url(file: Path) -> str:
    """Return the URL of a SQLite file, whatever signs the names of its folders have.

    Only signs that mean something in a URL are escaped, so that users can read it. Then the driver is named as well:
    MLflow would make the folder that an escaped path spells.
    """
    path = str(file.absolute())
    escaped = path.replace("%", "%25").replace("?", "%3F")
    return f"{'sqlite' if escaped == path else 'sqlite+pysqlite'}:///{escaped}"


def sqlite_file(url: str | sa.URL) -> Path | None:
    """Return the file that a URL names; None for a server, and for a database that is kept in no file.

    With ``uri=true`` the name may itself be an address, ``file:…``, as described in SQLite's "URI Filenames".
    """
    url = sa.make_url(url)
    if url.get_backend_name() != "sqlite" or not url.database:
        return None
    path, options = url.database, {}
    if path.startswith("file:") and str(url.query.get("uri")).lower() in _TRUE:
        parts = urlsplit(path)
        path, options = unquote(parts.path), {**dict(parse_qsl(parts.query)), **url.query}
    is_kept = path not in ("", ":memory:") and options.get("mode") != "memory" and options.get("vfs") != "memdb"
    return Path(path) if is_kept else None


def read_url(address: str, what: str) -> sa.URL:
    """Read the URL of a database.

    Parameters
    ----------
    address
        The URL, with the password that it may carry.
    what
        What lies there, for messages.

    Raises
    ------
    ConfigurationError
        When it cannot be read, or SQLAlchemy knows no database of its protocol, or none that it can use from here; no
        message shows a part of the password.
    """
    protocol = address.partition("://")[0]
    shown = without_secrets(address) if address.count("@") < 2 else f"{protocol}://…"
    try:
        url = sa.make_url(address)
        dialect = url.get_dialect()
    except sa.exc.NoSuchModuleError:
        raise ConfigurationError(
            f"{what} cannot lie at {shown}: SQLAlchemy knows no database {protocol}://. Write the path of a file of "
            "this machine, or a URL as postgresql+psycopg://user@host/name."
        ) from None
    except (sa.exc.ArgumentError, ValueError):
        # What was read instead of a port, and the cause, may be a part of the password.
        url = None
    if url is None or _is_misread(url, address):
        raise ConfigurationError(
            f"{what} cannot lie at {protocol}://…, which cannot be read as a URL. Write @ : / ? # and % in its user, "
            "password and database as %40 %3A %2F %3F %23 and %25, and its port as a number."
        )
    if dialect.is_async:
        raise ConfigurationError(
            f"{what} cannot lie at {shown}: the driver {url.get_driver_name()} is an asynchronous one. Name another "
            "one, as in postgresql+psycopg://user@host/name."
        )
    return url


def _is_misread(url: sa.URL, address: str) -> bool:
    """Return whether the password may end elsewhere than at the first ``@`` after its colon, where SQLAlchemy ends it.

    A user may hold an ``@``, ``user@tenant``, and without a password so may the name of a database.
    """
    user, _, others = address.partition("://")[2].partition(":")
    password, _, server = others.partition("@")
    is_port = "@" in user and "/" in password
    return url.password is not None and (is_port or "@" in server.partition("?")[0])


def lasting_database(address: str, what: str) -> str | None:
    """Return an address that is the URL of a database; None for one of files.

    Parameters
    ----------
    address
        URL, path, or address of a bucket.
    what
        What lies there and has to last, for messages.

    Raises
    ------
    ConfigurationError
        When no database can be meant, or SQLite would forget what is written there, or look for it elsewhere as soon as
        a command is typed in another folder. Whether a server knows the database, it says itself: its name may be in
        the query, in a service file, or be that of the user.
    """
    if protocol_of(address) is None or is_bucket(address):
        return None
    url = read_url(address, what)
    if url.get_backend_name() == "sqlite":
        file = sqlite_file(url)
        fault = (
            "a file has three slashes before its path" if url.host
            else "it would be kept in memory alone" if file is None
            else "its file would lie in the folder in which a command is typed" if not file.is_absolute()
            else None
        )  # fmt: skip
        if fault is not None:
            raise ConfigurationError(
                f"{what} cannot lie at {without_secrets(address)}: {fault}. Write the path of the file alone."
            )
    return address
