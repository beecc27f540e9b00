"""Databases by their URL: what names a file of SQLite, and which file a URL names."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

import sqlalchemy as sa

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
