"""How much memory this process may use: less than the machine has in a container, under a limit, or beside others."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psutil

CONTROL_GROUPS: Final = Path("/sys/fs/cgroup")
GROUPS_OF_PROCESS: Final = Path("/proc/self/cgroup")

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
    """Yield the limits of the control groups of this process and of those above them."""
    try:
        groups = [line.split(":", 2) for line in GROUPS_OF_PROCESS.read_text().splitlines()]
    except OSError:
        return
    for number, controllers, path in groups:
        if number == "0":
            yield from _limits_in(CONTROL_GROUPS, path, "memory.max")
        elif "memory" in controllers.split(","):
            yield from _limits_in(CONTROL_GROUPS / "memory", path, "memory.limit_in_bytes")


def _limits_in(root: Path, path: str, name: str) -> Iterator[int]:
    """Yield the limits from a group up to the root; a container sees its own group as the root, whatever its path."""
    group = root / path.strip("/")
    for folder in (group, *group.parents):
        if not folder.is_relative_to(root):
            return
        try:
            yield int((folder / name).read_text())
        except (OSError, ValueError):
            # There is no such file, or it says "max".
            continue
