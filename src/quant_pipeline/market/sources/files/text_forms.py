"""The forms of text files: what cuts their lines, and their headers.

Files of one folder mostly have the same header and numbers below it. Looking for it in the first lines of each of them
takes longer than reading what follows.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import repeat
from typing import NamedTuple

from quant_pipeline.market.sources.files.first_lines import SEPARATORS
from quant_pipeline.market.sources.files.header import Header, count_names
from quant_pipeline.market.sources.files.raw_table import FIRST_LINES

_DIGITS = b"0123456789"
_OF_NUMBERS = _DIGITS + b".-"
LONGEST = 8192
"""Bytes in which the first lines have to end."""


class TextForm(NamedTuple):
    """What was found in the first lines of a text."""

    separator: str
    header: Header


class KnownForms:
    """Forms of texts whose header is their first line, by that line.

    A text that begins with the same line has the same form where its next lines are cells of figures, as many as the
    header has: no other sign cuts these lines, and no cell in them is a name.

    Parameters
    ----------
    own
        Column names that the user maps, ours to the file's.
    """

    def __init__(self, own: Mapping[str, str]) -> None:
        self._own = {name.strip().lower() for name in own.values()}
        self._forms: dict[bytes, TextForm] = {}

    def add(self, content: bytes, form: TextForm) -> None:
        """Keep the form of a text where it is that of every other text of the same header and of figures."""
        first = _first_line(content)
        header, line = form.header, first.rstrip(b"\r\n")
        if (
            header.lines == 1
            and not header.levels
            and len(header.names) >= 5
            and form.separator in SEPARATORS
            and not any(sign in line for sign in (b'"', *(s.encode() for s in SEPARATORS if s != form.separator)))
            and line.replace(b"\t", b"").isascii()
            and line.replace(b"\t", b"").decode().isprintable()
            and line.count(form.separator.encode()) == len(header.names) - 1
            and count_names([header.names], self._own)[0] >= 3
            and all(any(map(str.isalpha, name)) for name in self._own)
        ):
            self._forms[first] = form

    def of(self, content: bytes) -> TextForm | None:
        """Return the form of a text; None where its first lines have to be looked at."""
        first = _first_line(content)
        form = self._forms.get(first)
        if form is None:
            return None
        lines = content[len(first) : LONGEST].split(b"\n", FIRST_LINES)[:-1]
        ending = b"\r" if first.endswith(b"\r\n") else b""
        separator = form.separator.encode()
        joined = b"".join(lines)
        if len(lines) < FIRST_LINES or joined.translate(None, _OF_NUMBERS + ending + separator):
            return None
        if joined.count(b"\r") != len(lines) * len(ending) or not all(map(bytes.endswith, lines, repeat(ending))):
            return None
        width = len(form.header.names)
        cells = lines[0].removesuffix(ending).split(separator)
        is_filled = all(cell.strip(b".-") for cell in cells)
        return form if is_filled and set(map(bytes.count, lines, repeat(separator))) == {width - 1} else None


def _first_line(content: bytes) -> bytes:
    return content[: content.find(b"\n", 0, LONGEST) + 1]
