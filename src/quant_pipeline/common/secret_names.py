"""By which names secrets go, in files of a configuration and in addresses, and addresses without them."""

import re

_NAMES = re.compile(r"secret|passw|passphrase|pwd|token|apikey|accesskey|accountkey|privatekey|keyid|bearer")
"""What the name of a secret contains when case and all that is no letter or digit are taken out of it."""
_IN_QUERIES = re.compile(r"signature$|credential$|^sig$|^odbcconnect$")
"""What only the query of an address calls a secret: signed addresses of buckets, and settings of ODBC in one text."""
_HARMLESS = re.compile(
    r"versionid|user|username|host|port|dbname|database|schema|service|driver|charset|region|warehouse|role|httppath|"
    r"sslmode|sslrootcert|sslcert|applicationname|connecttimeout|timeout|mode|cache|uri|sv|se|expires|"
    r"xamzalgorithm|xamzdate|xamzexpires|xamzsignedheaders"
)
"""What a query may show; by what names others hold secrets is not known."""
_HARMLESS_VALUE = re.compile(r"[\w.:/+,-]*")
_BEGINS = re.compile(r"(?:^|(?<=::)|(?<=[\s\"'(<]))(?:jdbc:)?[A-Za-z][\w+.-]*://")
_PAIR = re.compile(r"(?<=[?&;#])([^=&;?#]+)=([^&]*)")
_BARE = re.compile(r"(?<=[?&])[^=&;?#]+(?=[&;#]|$)")
_WITH_PORTS = ("http", "https", "hdfs", "webhdfs")
"""Protocols in which what follows the first colon is a port although an ``@`` comes later, in a path."""
_HOSTS = re.compile(r"(?:(?:\[[^\]]*\]|[^:@,]*)(?::\d{0,5})?(?:,|$))*")


def names_a_secret(key: str) -> bool:
    """Return whether a name is one of a secret, in whatever case and with whatever signs between its words."""
    return _NAMES.search(_letters_of(key)) is not None


def without_secrets(address: str) -> str:
    """Return an address with ``***`` for its password and for what its query says, whatever its protocol.

    Where it is not clear where a password ends, more is hidden than it: up to the last ``@``. Of HTTP the user is
    hidden, too, who may be a token. A path without a protocol keeps what no secret is called by.

    Parameters
    ----------
    address
        Also of several parts, ``zip://a.csv::ftp://…``, or a text that holds addresses.
    """
    begins = [found.start() for found in _BEGINS.finditer(address)] or [address.find("://")]
    if begins[0] < 0:
        return _without_pairs(address, len(address))
    parts = [address[begin:end] for begin, end in zip(begins, [*begins[1:], len(address)], strict=True)]
    return address[: begins[0]] + "".join(map(_without_secrets, parts))


def _without_secrets(part: str) -> str:
    protocol, _, rest = part.partition("://")
    is_chained = rest.endswith("::")
    rest = rest.removesuffix("::")
    query = min((rest.index(sign) for sign in "?#" if sign in rest), default=len(rest))
    has_user = "@" in rest
    rest = _without_pairs(rest, query)
    is_web = "http" in protocol.lower()
    if has_user:
        rest = _without_user(rest, is_web, protocol.lower() in _WITH_PORTS)
    if is_web or "=***" in rest:
        rest = _BARE.sub("***", rest)
    return f"{protocol}://{rest}{'::' * is_chained}"


def _without_pairs(rest: str, query: int) -> str:
    """Hide values of a query, which begins at some place, and before it those of a secret's name."""

    def shown(found: re.Match[str]) -> str:
        letters = _letters_of(found[1])
        is_secret = _NAMES.search(letters) is not None or _IN_QUERIES.search(letters) is not None
        if found.start() > query:
            is_secret = is_secret or not _HARMLESS.fullmatch(letters) or not _HARMLESS_VALUE.fullmatch(found[2])
        if is_secret:
            return f"{found[1]}=***"
        value, *others = re.split(r"(?=[;?#])", found[2], maxsplit=1)
        return f"{found[1]}={value}" + "".join(
            _without_pairs(other, query - found.end() + len(other)) for other in others
        )

    return _PAIR.sub(shown, rest)


def _without_user(rest: str, is_web: bool, has_port: bool) -> str:
    """Hide the password of an address, which may hold ``@``, ``/`` and ``?`` that should have been ``%40`` and so on.

    What names the server ends at a slash. It has a password where it has a colon before its last ``@``, or one that is
    followed by no port: the password goes on beyond the slash. What looks like a port may begin a password, too, unless
    the protocol is one of ports.
    """
    server = re.split(r"[/?#]", rest, maxsplit=1)[0]
    user, at, host = server.rpartition("@")
    has_password = ":" in host and not has_port and "@" in rest[len(server) :]
    if ":" not in user and _HOSTS.fullmatch(host) and not has_password:
        return f"***@{rest[len(user) + 1 :]}" if at and is_web else rest
    begin = "***" if is_web else f"{rest.partition(':')[0]}:***"
    return begin + (rest[rest.rindex("@") :] if "@" in rest else "")


def _letters_of(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
