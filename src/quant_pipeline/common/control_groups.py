"""What Linux says of the control groups of this process, by which containers and services are limited."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

GROUPS: Final = Path("/sys/fs/cgroup")
OWN: Final = Path("/proc/self/cgroup")


def read_of_groups(groups: Path, own: Path, name: str, controller: str = "", former_name: str = "") -> Iterator[str]:
    """Read a file of every control group that this process is in, from its own up to the root.

    Parameters
    ----------
    groups
        Where the groups are shown, `GROUPS`.
    own
        File that names those of the process, `OWN`; without it there are none.
    name
        File of a group, such as ``memory.max``.
    controller, former_name
        Controller and file of version 1 of the groups, such as ``memory`` and ``memory.limit_in_bytes``; empty to look
        at version 2 alone.
    """
    try:
        lines = own.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return
    for number, controllers, path in (line.split(":", 2) for line in lines if line.count(":") > 1):
        if number == "0":
            yield from _read_upwards(groups, path, name)
        elif former_name and controller in controllers.split(","):
            yield from _read_upwards(groups / controller, path, former_name)


def _read_upwards(root: Path, path: str, name: str) -> Iterator[str]:
    """Read a file of a group and of those above it; a container sees its own group as the root, whatever its path."""
    group = root / path.strip("/")
    for folder in (group, *group.parents):
        if not folder.is_relative_to(root):
            return
        try:
            yield (folder / name).read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            continue
