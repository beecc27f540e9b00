"""Which processes coverage traces: those that run tests, and not the commands that they start.

Forks that are killed, servers and commands would each be traced from their first import on.
`test_kernels_uncompiled.py` asks for it: only there the bodies of kernels run as Python.
"""

import os

TRACES_PROCESSES = "COVERAGE_PROCESS_CONFIG"
"""Name of the variable by which coverage traces every Python process that is started below."""
_traced: dict[str, str] = {}


def leave_processes_untraced() -> None:
    """Keep for those who ask what would trace every process that a test starts."""
    if (config := os.environ.pop(TRACES_PROCESSES, None)) is not None:
        _traced[TRACES_PROCESSES] = config


def tracing_environment() -> dict[str, str]:
    """Return what a process needs in its environment to be traced: nothing where coverage is not measured."""
    return dict(_traced)
