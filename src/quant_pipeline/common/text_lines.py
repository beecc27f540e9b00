r"""Lines of a text that a user brings: they end with ``\n``, ``\r\n`` or ``\r``, as readers of tables count.

`str.splitlines` also cuts at other signs, such as a form feed or U+2028, that stand inside of titles and names. Rows
that are counted by one and skipped by the other are lost.
"""

from __future__ import annotations

import re

_END = re.compile(r"\r\n?|\n")
_BLANK = re.compile(r"[ \t]*(?:\r\n?|\n)")


def lines_of(text: str) -> list[str]:
    """Return the lines of a text without their ends."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return lines if lines[-1] else lines[:-1]


def first_lines_of(text: str, number: int, n_signs: int) -> list[str]:
    """Return the first lines of a text, of so many signs of it at most, without cutting all of it."""
    end = 0
    for _ in range(number):
        end = text.find("\n", end, n_signs) + 1
        if not end:
            return lines_of(text[:n_signs])[:number]
    return lines_of(text[:end])[:number]


def end_of_lines(text: str, number: int) -> int:
    """Return where so many lines of a text have ended, and the next one begins."""
    end = 0
    for _ in range(number):
        found = _END.search(text, end)
        if found is None:
            return len(text)
        end = found.end()
    return end


def count_blank_lines(text: str, start: int) -> int:
    """Count the blank lines that follow a place, up to the first one that is not."""
    number = 0
    while (found := _BLANK.match(text, start)) is not None:
        start, number = found.end(), number + 1
    return number
