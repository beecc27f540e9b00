"""What is raised for files that hold no table, and how it is said."""

from __future__ import annotations

import csv
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from pyarrow import ArrowException

from quant_pipeline.market.sources.files.raw_table import UnreadableFileError

_UNREADABLE = (OSError, EOFError, ImportError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)
"""Pandas asks for a package that reads a kind of workbook where it is not installed, which is an ImportError."""
_DAMAGED = (ArrowException, ValueError, KeyError, TypeError, AttributeError, IndexError, NotImplementedError)
FAULTS = (*_UNREADABLE, *_DAMAGED, csv.Error)
"""What is raised for files that hold no table."""


@contextmanager
def naming_faults() -> Iterator[None]:
    """Say what is raised while a file is read as a fault of the file.

    Raises
    ------
    UnreadableFileError
        When the file holds no table.
    """
    try:
        yield
    except _UNREADABLE as error:
        raise UnreadableFileError(f"cannot be read: {first_line_of(error)}") from error
    except _DAMAGED as error:
        raise UnreadableFileError(f"is damaged: {first_line_of(error)}") from error
    except csv.Error as error:
        raise UnreadableFileError(f"is damaged in its first lines: {error}") from error


def first_line_of(error: BaseException) -> str:
    """Return the first line of a message, no longer than a line may be."""
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
