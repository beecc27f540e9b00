"""Files and folders that lie on this machine or in a bucket, ``s3://…``, ``gs://…``, ``memory://…``.

An address behind any other protocol is refused, whatever reads or writes there: a database is no place of files, and a
misspelt protocol would otherwise become a folder of this machine.

What lies behind a protocol is worked on in a copy on this machine, below ``QUANT_PIPELINE_MIRROR`` or the user's cache.
A reader fetches first: files whose version in the bucket is another one than the copy was made of. A writer publishes
afterwards: files that have changed here, in the order in which they were written, so that a manifest comes last there
as it does here. A bucket shows every file completely or not at all. Beside the copies it is noted which version in the
bucket each was made of.

One process at a time may write a place; on one machine the locks of runs see to it, between machines the operator does.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from glob import escape
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from quant_pipeline.common.atomic import replacing_file, write_text
from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.common.json_files import read_json
from quant_pipeline.common.secret_names import without_secrets

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

LOCAL: Final = ("file", "local")
MIRROR: Final = "QUANT_PIPELINE_MIRROR"
"""Variable of the shell that names the folder of the copies."""
VERSION_KEYS: Final = ("ETag", "etag", "md5Hash", "generation", "mtime", "LastModified", "last_modified", "created")
"""What file systems call the version of a file; the first one that they know counts."""
_ONE_SLASH = re.compile(r"([A-Za-z][\w+.-]+):/(?!/)(.*)", re.DOTALL)
_NO_ROOT = re.compile(f"({'|'.join(LOCAL)})://(?!/)(.*)", re.DOTALL)
"""A path of this machine whose first name Kedro takes for that of a machine, and drops."""


def protocol_of(address: str) -> str | None:
    """Return the protocol of an address; None for a path of this machine."""
    protocol, separator, _ = str(address).partition("://")
    return None if not separator or protocol in LOCAL else protocol


def is_bucket(address: str) -> bool:
    """Return whether an address is one of files elsewhere, and not that of a database or a path of this machine."""
    protocol = protocol_of(address)
    if protocol is None:
        return False
    from fsspec import available_protocols
    from fsspec.registry import registry

    return protocol in available_protocols() or protocol in registry


@dataclass(frozen=True, repr=False)
class Place:
    """A file or folder; as a text it is its address without passwords.

    Attributes
    ----------
    address
        Path, or protocol and path.
    """

    address: str

    def __str__(self) -> str:
        """Return the address as messages show it."""
        return without_secrets(self.address)

    def __repr__(self) -> str:
        """Return it as Python would write it, without passwords."""
        return f"Place({str(self)!r})"

    @classmethod
    def of(cls, address: str | Path | Place) -> Place:
        """Return the place of an address; ``~`` is the home of the user.

        Raises
        ------
        ConfigurationError
            When the slashes after its protocol are too few, or there is no such user.
        """
        if isinstance(address, Place):
            return address
        text = str(address)
        _require_slashes(text)
        if protocol_of(text) is not None:
            # As datasets of Kedro read it: two slashes in a path are one, here and there.
            protocol, _, rest = text.partition("://")
            path, mark, query = rest.partition("?")
            return cls(f"{protocol}://{re.sub('/+', '/', path)}{mark}{query}")
        return cls(str(Path(text.partition("://")[2] if "://" in text else at_home(text))))

    @property
    def is_remote(self) -> bool:
        """Whether it lies behind a protocol."""
        return protocol_of(self.address) is not None

    @property
    def path(self) -> Path:
        """Where it lies on this machine: itself, or its copy.

        Raises
        ------
        ConfigurationError
            When no file system has its protocol.
        """
        if not self.is_remote:
            return Path(self.address)
        require_files(self.address)
        return _mirror() / "files" / self._within

    def __truediv__(self, name: str) -> Place:
        """Return the place of a name below."""
        return Place(f"{self.address.rstrip('/')}/{name}")

    def glob(self, pattern: str) -> list[str]:
        """Return the names below that fit a pattern such as ``*/manifest.json``, where the place lies."""
        if not self.is_remote:
            return sorted(file.relative_to(self.path).as_posix() for file in self.path.glob(pattern))
        self._files.invalidate_cache()
        found = self._files.glob(f"{escape(self._root)}/{pattern}")
        return sorted(path.removeprefix(self._root).lstrip("/") for path in found)

    def fetch(self) -> Path:
        """Bring the copy up to date and return it; a place on this machine is returned as it is.

        Raises
        ------
        ConfigurationError
            When the protocol is unknown, or its library is not installed.
        """
        if self.is_remote:
            there = self._versions()
            for name, version in there.items():
                if not self._is_of(name, version):
                    with replacing_file(self._copy(name)) as beside:
                        self._files.get_file(self._remote(name), str(beside))
                    self._note(name, version)
            for name in self._noted() - there.keys():
                self._copy(name).unlink(missing_ok=True)
                self._note_of(name).unlink()
        return self.path

    def publish(self, *, whole: bool = False, completed_by: str | None = None) -> None:
        """Write what has changed here to where the place lies.

        Parameters
        ----------
        whole
            Whether the copy is all that belongs to the place: what else lies there is removed, and what another machine
            has written there is replaced.
        completed_by
            Name of the file without which the others do not count; it is taken away before they change.
        """
        if not self.is_remote:
            return
        there = self._versions() if whole else {}
        changed = [name for name in self._written() if self._differs(name, there if whole else None)]
        stale = (there.keys() if whole else self._noted()) - set(self._written())
        if completed_by is not None and stale | ({*changed} - {completed_by}):
            self._remove(completed_by)
            changed = [*(name for name in changed if name != completed_by), completed_by]
        for name in stale:
            self._remove(name)
        for name in changed:
            self._files.put_file(str(self._copy(name)), self._remote(name))
            self._note(name, _version(self._files.info(self._remote(name))))

    @cached_property
    def _files(self) -> AbstractFileSystem:
        import fsspec

        require_files(self.address)
        try:
            # Others write there too: what was listed once is not what is there now.
            return fsspec.filesystem(protocol_of(self.address), use_listings_cache=False)
        except ImportError as error:
            raise ConfigurationError(
                f"{self} cannot be used: {error}. For s3:// run pip install 'quant_pipeline[buckets]', for "
                "gs:// pip install gcsfs; for other protocols install the library of fsspec that knows them."
            ) from error

    @property
    def _root(self) -> str:
        return str(self._files._strip_protocol(self.address)).rstrip("/")

    @property
    def _within(self) -> str:
        protocol, _, rest = self.address.partition("://")
        server, *names = rest.split("/")
        parts = [part for part in (_server_folder(server, protocol), *map(_folder, names)) if part]
        if ".." in parts or not parts:
            raise ConfigurationError(f"{self} names no file or folder below {protocol}://; correct it")
        return "/".join((protocol, *parts))

    def _remote(self, name: str) -> str:
        return f"{self.address.rstrip('/')}/{name}" if name else self.address.rstrip("/")

    def _copy(self, name: str) -> Path:
        return self.path / name if name else self.path

    def _note_of(self, name: str) -> Path:
        place = _mirror() / "versions" / self._within
        return (place / name if name else place).with_name(f"{(place / name if name else place).name}.version")

    def _versions(self) -> dict[str, str]:
        """Return the versions there by names below the place; a place that is one file has the name ``""``."""
        self._files.invalidate_cache()
        found = self._files.find(self._root, detail=True)
        return {
            path.removeprefix(self._root).lstrip("/"): _version(facts)
            for path, facts in found.items()
            if facts.get("type") != "directory"
        }

    def _written(self) -> list[str]:
        """Name the files here in the order in which they were written; temporary neighbours and locks are none."""
        if self.path.is_file():
            return [""]
        files = [file for file in self.path.rglob("*") if file.is_file() and not _is_hidden(file, self.path)]
        return [str(file.relative_to(self.path).as_posix()) for file in sorted(files, key=_when)]

    def _noted(self) -> set[str]:
        root = _mirror() / "versions" / self._within
        one = {""} if self._note_of("").is_file() else set()
        return one | {file.relative_to(root).as_posix().removesuffix(".version") for file in root.rglob("*.version")}

    def _is_of(self, name: str, version: str) -> bool:
        """Return whether the copy is what the version there holds."""
        noted = self._read_note(name)
        return noted is not None and noted["version"] == version and noted["here"] == _stamp(self._copy(name))

    def _differs(self, name: str, there: dict[str, str] | None) -> bool:
        """Return whether a file has changed here since it was the same there, or there since then."""
        noted = self._read_note(name)
        if noted is None or noted["here"] != _stamp(self._copy(name)):
            return True
        return there is not None and there.get(name) != noted["version"]

    def _read_note(self, name: str) -> dict[str, Any] | None:
        try:
            return read_json(self._note_of(name))
        except (FileNotFoundError, ValueError):
            return None

    def _note(self, name: str, version: str) -> None:
        write_text(self._note_of(name), json.dumps({"version": version, "here": _stamp(self._copy(name))}))

    def _remove(self, name: str) -> None:
        if self._files.exists(self._remote(name)):
            self._files.rm_file(self._remote(name))
        self._note_of(name).unlink(missing_ok=True)


def at_home(path: str) -> str:
    """Return a path of this machine with the home of the user in the place of ``~``, or of ``~name`` that of another.

    Raises
    ------
    ConfigurationError
        When there is no such user, or no home is known: the path would become a folder called ``~``.
    """
    found = os.path.expanduser(path)
    if found.startswith("~"):
        user = Path(found).parts[0].removeprefix("~")
        whose = f"of the user '{user}', which this machine does not have" if user else "of a user who has none here"
        raise ConfigurationError(f"'{path}' begins at the home {whose}. Write the path in full, from / on.")
    return found


def path_here(project: Path, address: str) -> Path:
    """Return where a folder of the configuration lies on this machine: below the project, or the copy of a bucket's."""
    place = Place.of(address)
    return place.path if place.is_remote else Path(project, place.path).absolute()


def require_files(address: str) -> None:
    """Check that files can lie at an address.

    Raises
    ------
    ConfigurationError
        When it has a protocol that no file system has, or the slashes after it are too few.
    """
    _require_slashes(address)
    if protocol_of(address) is not None and not is_bucket(address):
        raise ConfigurationError(
            f"{without_secrets(address)} is neither a path of this machine nor one of a bucket: no file system has the "
            f"protocol {protocol_of(address)}. Correct it."
        )


def require_local(address: str, what: str) -> Path:
    """Return the path of something that has to lie on this machine.

    Raises
    ------
    ConfigurationError
        When it lies behind a protocol: in a bucket, in a database, or nowhere; or the slashes after one are too few.
    """
    if protocol_of(address) is not None:
        raise ConfigurationError(
            f"{what} cannot lie at {without_secrets(address)}: it needs a folder of this machine. Correct its path."
        )
    return Place.of(address).path


def _require_slashes(address: str) -> None:
    found = _NO_ROOT.fullmatch(address) or _ONE_SLASH.fullmatch(address)
    if found is None:
        return
    protocol, rest = found.groups()
    needed, slashes = ("three", "///") if protocol in LOCAL else ("two", "//")
    has = "two" if found.re is _NO_ROOT else "one"
    shown = without_secrets(f"{protocol}://{rest}").removeprefix(f"{protocol}://")
    raise ConfigurationError(
        f"{protocol}:{slashes}{shown} needs {needed} slashes after {protocol}:, and has {has}. "
        "Correct it, or write a path of this machine without a protocol."
    )


def _server_folder(server: str, protocol: str) -> str:
    """Return a folder's name for the server of an address: one for each user, whatever the password.

    The user of HTTP may be a token, and stands there by its hash.
    """
    user, at, host = server.rpartition("@")
    if at and "http" in protocol:
        user = _hash(user)
    elif ":" in user:
        user = f"{user.partition(':')[0]}:***"
    return f"{user}{at}{_folder(host)}"


def _folder(name: str) -> str:
    """Return a folder's name for a name of an address: itself, with a hash in the place of a secret.

    What messages hide of an address says not where a file lies, so that two places with one text have two folders.
    """
    query = re.search(r"[?&;#][^=]*=", name)
    shown = f"https://desk/{name}"
    if query is None or without_secrets(shown) == shown:
        return name
    return f"{name[: query.start() + 1]}{_hash(name[query.start() :])}"


def _hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:16]


def _mirror() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or at_home("~/.cache"))
    return Path(os.environ.get(MIRROR) or cache / "quant_pipeline").absolute()


def _is_hidden(file: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(root).parts)


def _when(file: Path) -> int:
    return file.stat().st_mtime_ns


def _stamp(file: Path) -> list[int] | None:
    """Return size and time of a file here; None when there is none."""
    try:
        found = file.stat()
    except FileNotFoundError:
        return None
    return [found.st_size, found.st_mtime_ns]


def _version(facts: dict[str, Any]) -> str:
    """Return what changes when a file there is written again."""
    known = next((facts[key] for key in VERSION_KEYS if facts.get(key) is not None), "")
    # Some file systems give an instant of one file, and its seconds in a list of files.
    text = str(known.timestamp() if isinstance(known, datetime) else known)
    return f"{facts.get('size')} {text.strip(chr(34))}"
