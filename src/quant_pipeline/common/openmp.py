"""Threads of OpenMP, in which LightGBM, XGBoost and PyTorch compute, while they wait for each other."""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from typing import Final

WAIT_POLICY: Final = "OMP_WAIT_POLICY"
"""Variable of the OpenMP specification; a library reads it when it is loaded."""
LOOKS: Final = "GOMP_SPINCOUNT"
"""Variable of GNU's OpenMP: how often a thread looks whether the others are done before it sleeps."""


def let_waiting_threads_sleep(environment: MutableMapping[str, str] = os.environ) -> None:
    """Let threads that wait for each other leave their core to others; what the user has set is kept.

    By default they look again and again whether the others are done. That gains a little on an idle machine; beside
    another program it takes the core from the very thread that they wait for. They look for some millionths of a second
    only, in which most of their waits are over, and then sleep. It must come before the first import of a library that
    computes so.

    Parameters
    ----------
    environment
        Variables of the process, or of one that will be started.
    """
    if WAIT_POLICY not in environment:
        environment[WAIT_POLICY] = "passive"
        environment.setdefault(LOOKS, "1000")
