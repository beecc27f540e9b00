"""How much memory this process may use: less than the machine has in a container, under a limit, or beside others."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

from quant_pipeline.common.control_groups import GROUPS, OWN, read_of_groups

_shares: list[int] = []
"""Of the tasks that run in this process. Threads of Kedro's runners would not know a context variable."""


def usable_memory() -> int:
    """Return how many bytes of memory this process may use.

    The least of what the machine has, its control groups (versions 1 and 2) allow, its limit of address space is, and
    the share that `share_of_memory` has given to a task.
    """
    most = [psutil.virtual_memory().total, *_limits_of_groups()]
    addresses = resource.getrlimit(resource.RLIMIT_AS)[0]
    if addresses != resource.RLIM_INFINITY:
        most.append(addresses)
    return min(most + _shares)


@contextmanager
def share_of_memory(most: int | None) -> Iterator[None]:
    """Let the tasks of a block use no more than some bytes, because others run beside them; None is no limit."""
    share = [] if most is None else [most]
    _shares.extend(share)
    try:
        yield
    finally:
        for each in share:
            _shares.remove(each)


def _limits_of_groups() -> Iterator[int]:
    """Yield the limits of the control groups of this process; "max", and what is no number, is none."""
    for text in read_of_groups(GROUPS, OWN, "memory.max", "memory", "memory.limit_in_bytes"):
        with suppress(ValueError):
            if (limit := int(text)) > 0:
                yield limit
