"""Variables of the shell that a block may change: the next one of this process would read them as the shell's."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


@contextmanager
def kept_variables(names: Iterable[str]) -> Iterator[None]:
    """Put variables back as they were, at the end of a block.

    Parameters
    ----------
    names
        Their names.
    """
    before = {name: os.environ.get(name) for name in names}
    try:
        yield
    finally:
        set_variables(before)


def set_variables(values: dict[str, str | None]) -> None:
    """Set variables of the shell, and remove those that are None."""
    for name, value in values.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value
