"""Threads of OpenMP, in which LightGBM, XGBoost and PyTorch compute, while they wait for each other."""

from __future__ import annotations

import os
from typing import Final

WAIT_POLICY: Final = "OMP_WAIT_POLICY"
"""Variable of the OpenMP specification; a library reads it when it is loaded."""


def let_waiting_threads_sleep() -> None:
    """Let threads that wait for each other leave their core to others; what the user has set is kept.

    By default they look again and again whether the others are done. That gains a little on an idle machine; beside
    another program it takes the core from the very thread that they wait for. It must come before the first import of a
    library that computes so.
    """
    os.environ.setdefault(WAIT_POLICY, "passive")
