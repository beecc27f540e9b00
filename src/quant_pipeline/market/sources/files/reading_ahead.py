"""Processes that read the last files of a folder into the cache, while the first process begins with the first ones.

Each goes backwards and stops where the others have been. The first process finds what they have read in the cache, and
reads whatever it does not find there itself, so that nothing depends on them: not that they start, nor that they live.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from quant_pipeline.market.sources.files.options import FilesMarketParameters
from quant_pipeline.market.sources.files.reading_cache import ReadingCache

SHARE = 48 * 2**20
"""Bytes of files to be read for which another process is worth its start of a second."""


@contextmanager
def reading_ahead(
    files: Sequence[Path], folder: Path, options: FilesMarketParameters, cache: Path | None
) -> Iterator[None]:
    """Let other processors help as long as the block reads files through the cache.

    Parameters
    ----------
    files, folder, options
        Files of a folder in the order in which the block reads them, and how they are read.
    cache
        Folder of the cache; without one no process can help.
    """
    kept = ReadingCache(cache)
    stale = [] if cache is None else [file for file in files if not kept.has(file, folder, options)]
    helpers = min(_processors() - 1, sum(file.stat().st_size for file in stale) // SHARE, len(stale) - 1)
    read_by = options.model_dump(mode="json", include=set(FilesMarketParameters.model_fields))
    task = {"folder": str(folder), "cache": str(cache), "options": read_by, "pid": os.getpid()}
    started = [
        _start(task | {"files": [str(file) for file in reversed(stale)][k::helpers]}) for k in range(max(helpers, 0))
    ]
    try:
        yield
    finally:
        for helper in filter(None, started):
            helper.wait()


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _start(task: dict[str, object]) -> subprocess.Popen[bytes] | None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with suppress(OSError):
        helper = subprocess.Popen(  # noqa: S603 - this module
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment,
        )  # fmt: skip
        assert helper.stdin is not None
        with suppress(BrokenPipeError), helper.stdin as words:
            words.write(json.dumps(task).encode())
        return helper
    return None


def _help() -> None:
    """Read files into the cache until one is there that another process has read, or the first process has ended."""
    task = json.load(sys.stdin)
    folder, kept = Path(task["folder"]), ReadingCache(Path(task["cache"]))
    options = FilesMarketParameters.model_validate(task["options"])
    for file in map(Path, task["files"]):
        if os.getppid() != task["pid"] or kept.has(file, folder, options):
            return
        kept.read(file, folder, options)


if __name__ == "__main__":
    _help()
