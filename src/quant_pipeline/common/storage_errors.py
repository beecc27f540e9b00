"""What the operating system and SQLite refuse, and libraries that are not there, as one line with the remedy."""

from __future__ import annotations

import errno
import re
import sqlite3
from types import TracebackType

from quant_pipeline.common.exceptions import QuantPipelineError, StorageError, causes_of
from quant_pipeline.common.missing_libraries import explain_missing_library

_NO_SPACE = "no space is left on the disk. Free some and run again; nothing was left half written"
_READ_ONLY = "it cannot be written. Give this user the right to write there, or run in a folder that can be written"
_NO_PERMISSION = "this user may not use it. Correct the permissions of the file and of the folders above it"
_TOO_MANY_FILES = "too many files are open. Raise the limit with `ulimit -n` and run again"

_TOO_LARGE = "a file would be larger than this process may write. Raise the limit with `ulimit -f` and run again"

_NOT_A_FILE = "a folder is there instead of a file, or a file instead of a folder. Move it away and run again"

_BY_NUMBER = {
    errno.EISDIR: _NOT_A_FILE,
    errno.ENOTDIR: _NOT_A_FILE,
    errno.EFBIG: _TOO_LARGE,
    errno.ENOSPC: _NO_SPACE,
    errno.EDQUOT: _NO_SPACE,
    errno.EROFS: _READ_ONLY,
    errno.EACCES: _NO_PERMISSION,
    errno.EPERM: _NO_PERMISSION,
    errno.EMFILE: _TOO_MANY_FILES,
    errno.ENFILE: _TOO_MANY_FILES,
    errno.EIO: "the disk reports an error. Check it before you run again",
}
_OF_BUCKETS = ("botocore.", "aiobotocore.", "gcsfs.", "google.api_core.", "google.auth.")
"""How the modules of the errors begin that the clients of buckets raise."""
_CANNOT_LOAD = "Failed while loading data from dataset"
"""How Kedro's error of a dataset begins."""
_DAMAGE = (
    "builtins.RecursionError",
    "builtins.UnicodeDecodeError",
    "json.decoder.JSONDecodeError",
    "pyarrow.lib.ArrowInvalid",
)
"""What readers of Parquet, JSON and text raise of a file that is torn, or of another kind."""
_NO_BUCKET = (
    "the bucket cannot be used. Check its name, the keys and the address in the shell (AWS_ACCESS_KEY_ID, "
    "AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL) or in the files of its client"
)
_BY_SQLITE_NAME = {
    "SQLITE_FULL": _NO_SPACE,
    "SQLITE_READONLY": _READ_ONLY,
    "SQLITE_CANTOPEN": "it cannot be opened. Check that its folder exists and that this user may write there",
    "SQLITE_BUSY": "another process is writing into it. Run again when that has ended",
    "SQLITE_LOCKED": "another process is writing into it. Run again when that has ended",
    "SQLITE_IOERR_SHM": _NO_SPACE,
    "SQLITE_IOERR": "the disk refuses it. Check for free space and run again",
    "SQLITE_CORRUPT": "it is damaged. Keep it as it is and restore a backup",
    "SQLITE_NOTADB": "it is no database. Restore a backup",
}


def explain_storage_error(error: BaseException) -> StorageError | None:
    """Return one line about what refused to store or to read, as `explain_missing_library` does of what is not there.

    None where the error is of another kind, or of this project: then it says already what to do.
    """
    for cause in causes_of(error):
        if isinstance(cause, QuantPipelineError):
            return None
        if isinstance(cause, OSError) and cause.errno in _BY_NUMBER:
            return StorageError(f"{cause.filename or _first_line(error)}: {_BY_NUMBER[cause.errno]}.")
        if isinstance(cause, sqlite3.Error) and (remedy := _sqlite_remedy(cause)):
            return StorageError(f"{_first_line(error)}: {remedy}.")
        if f"{type(cause).__module__}.".startswith(_OF_BUCKETS):
            return StorageError(f"{_first_line(cause)}: {_NO_BUCKET}.")
    return _explain_damage(error)


def _explain_damage(error: BaseException) -> StorageError | None:
    """Return one line about a file of which a dataset can make nothing."""
    if not str(error).startswith(_CANNOT_LOAD):
        return None
    cause = list(causes_of(error))[-1]
    is_of_arrow = isinstance(cause, OSError) and cause.errno is None
    if not is_of_arrow and f"{type(cause).__module__}.{type(cause).__name__}" not in _DAMAGE:
        return None
    file = re.search(r"filepath=(?:\w+\(')?([^,')]+)", str(error))
    named = file[1] if file else _first_line(error)
    return StorageError(
        f"{named}: it is damaged ({_first_line(cause)[:120]}). Remove it and run the stage again that makes it, or "
        "bring it once more."
    )


def repairable_cause(error: BaseException | None) -> QuantPipelineError | None:
    """Return the error of this project that another one, such as Kedro's of a dataset, was raised from, if any."""
    found = () if error is None else causes_of(error)
    return next((cause for cause in found if isinstance(cause, QuantPipelineError)), None)


class KnownErrorsInOneLine:
    """Context in which an error of storage, or a library that an execution host does without, becomes one line.

    An error of this project that Kedro has wrapped as one of a dataset is raised as it was.
    """

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Raise the one line in place of the error.

        Raises
        ------
        StorageError
            When something refuses to store or to read.
        ConfigurationError
            When a library is missing.
        QuantPipelineError
            When it was wrapped on its way.
        """
        if error is None or isinstance(error, QuantPipelineError):
            return
        explained = explain_storage_error(error) or explain_missing_library(error)
        if explained is not None:
            raise explained from error
        from kedro.io import DatasetError

        cause = repairable_cause(error)
        if cause is not None and isinstance(error, DatasetError):
            raise cause from error


def _sqlite_remedy(error: sqlite3.Error) -> str | None:
    name = getattr(error, "sqlite_errorname", "")
    if str(error).startswith(("no such column", "no such table")):
        return "it is of another version. Use the version that has written it, or restore a backup"
    return next((remedy for prefix, remedy in _BY_SQLITE_NAME.items() if name.startswith(prefix)), None)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
