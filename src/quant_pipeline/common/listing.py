"""Many names in one message: the first few, how many more there are, and where all of them can be read.

A market has thousands of instruments, and a message that names each hides the next one. What a message leaves out
stands in a table that it names, else in the log file of the environment.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

LISTED: Final = 10
"""Names that a message shows."""
WHOLE_LISTS: Final = "whole lists"
"""Logger of what messages leave out.

It is none of the project's, because the configuration of logs resets those: only the log file listens to it.
"""


def first_of(names: Iterable[object], separator: str = ", ", *, whole: str = "", limit: int = LISTED) -> str:
    """Write the first of many names, how many more there are, and where all of them are.

    Parameters
    ----------
    names
        What is listed, in its order.
    separator
        Between two of them.
    whole
        Table, page or command that has all of them. Without one, all of them are written to the log file of the
        environment, where there is one.
    limit
        So many are shown.

    Examples
    --------
    >>> first_of(["AAA", "BBB"])
    'AAA, BBB'
    >>> first_of(["AAA", "BBB", "CCC"], limit=1, whole="`kedro export instruments`")
    'AAA and 2 more (all: `kedro export instruments`)'
    """
    every = [str(name) for name in names]
    left = len(every) - limit
    if left <= 0:
        return separator.join(every)
    place = whole or _write_whole(every, separator)
    last = separator if "\n" in separator else " "
    return f"{separator.join(every[:limit])}{last}and {left:,} more{f' (all: {place})' if place else ''}"


def say_first(say: Callable[[str], object], lines: Iterable[object], *, whole: str = "", limit: int = LISTED) -> None:
    """Say the first of many lines one by one, and then how many more there are and where all of them are."""
    every = [str(line) for line in lines]
    for line in every[:limit]:
        say(line)
    if len(every) > limit:
        place = whole or _write_whole(every, "\n")
        say(f"and {len(every) - limit:,} more{f' (all: {place})' if place else ''}")


def _write_whole(every: list[str], separator: str) -> str:
    """Write a list to the log file; return the name of the file, or nothing where there is none."""
    logger = logging.getLogger(WHOLE_LISTS)
    files = [Path(handler.baseFilename) for handler in logger.handlers if isinstance(handler, logging.FileHandler)]
    if not files or not logger.isEnabledFor(logging.INFO):
        return ""
    logger.info("%d in all: %s", len(every), separator.join(every))
    return f"{files[0].parent.name}/{files[0].name}"
