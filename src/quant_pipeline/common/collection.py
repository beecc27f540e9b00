"""Python's garbage collector while a command starts and ends: a fifth of its time goes into looking for nothing.

Imports make hundreds of thousands of objects that stay as long as the process does. The collector looks through all of
them again and again while they are made, and several times as the process ends.
"""

from __future__ import annotations

import atexit
import gc
from typing import Final

USUAL: Final = gc.get_threshold()
RARELY: Final = 1_000_000
"""Objects made before the collector looks again."""


def collect_rarely() -> None:
    """Let the collector of this process look rarely, and at the end through nothing that is left."""
    gc.set_threshold(RARELY, *USUAL[1:])
    # Functions of atexit are called in reverse order: everything that cleans up comes before.
    atexit.register(gc.freeze)


def collect_as_usual() -> None:
    """Let the collector look as often as Python does, but no more through what has been made so far."""
    if gc.get_threshold() != USUAL:
        gc.freeze()
        gc.set_threshold(*USUAL)
