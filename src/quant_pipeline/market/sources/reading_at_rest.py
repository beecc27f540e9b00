"""Reading a folder while nothing in it is written: a market is never half of one state and half of another one.

A vendor's download takes the place of one file after the other, or writes into it. Who reads meanwhile gets bars of
two states, or of a file that ends where it has been written to.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from quant_pipeline.common.exceptions import MarketDataError
from quant_pipeline.common.listing import first_of
from quant_pipeline.market.sources.folder_state import states_of

logger = logging.getLogger(__name__)

ATTEMPTS: Final = 3
"""How often a folder is read until none of its files was written meanwhile."""
PAUSE: Final = 2.0
"""Seconds between them."""
LISTED: Final = 3

Found = TypeVar("Found")


def read_at_rest(
    read: Callable[[], Found], folder: Path, options: Mapping[str, Any], is_read: Callable[[Path], bool]
) -> Found:
    """Read a folder, again where some of its files were written meanwhile, and return what was read.

    Parameters
    ----------
    read
        Reads the folder. What it raises because a file is half written is raised only where none was written.
    folder, options
        As for `states_of`.
    is_read
        Whether a file is one of those that are read: others may be written at any time, as the log of a download.

    Raises
    ------
    MarketDataError
        When files were written each time.
    """
    written: list[str] = []
    for attempt in range(ATTEMPTS):
        if attempt:
            logger.warning("files of %s were written while they were read; they are read again", folder)
            time.sleep(PAUSE)
        before = _states(folder, options)
        failure = None
        try:
            found = read()
        except MarketDataError as error:
            failure = error
        changed = before ^ _states(folder, options)
        written = sorted(name for name in {state[0] for state in changed} if is_read(Path(name)))
        if not written and failure is not None:
            raise failure
        if not written:
            return found
    named = first_of((Path(name).name for name in written), limit=LISTED)
    raise MarketDataError(
        f"files of {folder} were written while they were read ({named}), {ATTEMPTS} times; run the command again "
        "when what writes them has ended"
    )


def _states(folder: Path, options: Mapping[str, Any]) -> set[tuple[Any, ...]]:
    return {tuple(state) for state in states_of(folder, options)}
