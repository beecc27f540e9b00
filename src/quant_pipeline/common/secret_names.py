"""By which names secrets go, in files of a configuration and in the queries of addresses."""

import re

_NAMES = re.compile(r"secret|passw|passphrase|pwd|token|apikey|accesskey|accountkey|privatekey|keyid|bearer")
"""What the name of a secret contains when case and all that is no letter or digit are taken out of it."""
_IN_QUERIES = re.compile(r"signature$|credential$|^sig$|^odbcconnect$")
"""What only the query of an address calls a secret: signed addresses of buckets, and settings of ODBC in one text."""
_WITHIN_AUTHORITY = r"(?P<user>://[^:/?#]*):[^/?#]*@"
_WITH_SLASHES = r"(?P<same>://[^:/?#@]*):[^@]*@"
_PASSWORD = re.compile(f"{_WITHIN_AUTHORITY}|{_WITH_SLASHES}")
"""User and password: up to the last ``@`` of what names the server, or up to the next one where there is none."""
_QUERY = re.compile(r"(?<=[?&;])([^=&;?#]+)=[^&]+")


def names_a_secret(key: str) -> bool:
    """Return whether a name is one of a secret, in whatever case and with whatever signs between its words."""
    return _NAMES.search(_letters_of(key)) is not None


def without_secrets(address: str) -> str:
    """Return an address with ``***`` for its password and for secrets of its query, whatever its protocol.

    Where it is not clear where a password ends, more is hidden than it.
    """
    address = _QUERY.sub(lambda found: f"{found[1]}=***" if _is_hidden(found[1]) else found[0], address)
    return _PASSWORD.sub(lambda found: f"{found['user'] or found['same']}:***@", address)


def _is_hidden(name: str) -> bool:
    return names_a_secret(name) or _IN_QUERIES.search(_letters_of(name)) is not None


def _letters_of(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
