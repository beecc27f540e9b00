"""Ctrl-C ends a command in one line with status 130, also while it still imports."""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

INTERRUPTED: Final = 128 + signal.SIGINT
"""Exit status by which shells know a command that Ctrl-C has ended."""
PROGRAMS = ("kedro", "quant-pipeline")
_AGAIN_AFTER = 0.01
"""Seconds after which code whose exceptions Python ignores has most often ended."""


class _Interruption(SystemExit):
    """The end of a process by Ctrl-C."""


def end_on_interrupt() -> None:
    """Let Ctrl-C end this process with one line: as SystemExit, so that everything that cleans up still does.

    `KeyboardInterrupt` would become a traceback of a hundred lines in Kedro, which catches it nowhere, and status 1 in
    click. Servers that a command starts set a handler of their own later.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, _end)
        sys.unraisablehook = _end_after_all


def is_command() -> bool:
    """Return whether this process is a command of the project, and no notebook, test or worker."""
    program = Path(sys.argv[0])
    name = program.parent.name if program.name == "__main__.py" else program.stem  # python -m quant_pipeline
    return name.replace("_", "-") in PROGRAMS


def _end(number: int, frame: Any) -> None:
    # A second Ctrl-C does not wait for what cleans up.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # Not `print`: the interrupted line may hold the lock of the stream.
    os.write(2, b"\nInterrupted. What was finished is kept; nothing is half written.\n")
    raise _Interruption(INTERRUPTED)


def _end_after_all(ignored: UnraisableHookArgs) -> None:
    """End a process whose interruption fell into code whose exceptions Python ignores, as it does in finalisers.

    The import system has such a callback for every module, so that a command which still imports would go on.
    """
    if not isinstance(ignored.exc_value, _Interruption):
        sys.__unraisablehook__(ignored)
        return
    signal.signal(signal.SIGINT, _end_in_silence)
    _thread.start_new_thread(_interrupt_again, ())


def _interrupt_again() -> None:
    time.sleep(_AGAIN_AFTER)
    _thread.interrupt_main()


def _end_in_silence(number: int, frame: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    raise _Interruption(INTERRUPTED)
