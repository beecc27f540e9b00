"""One line instead of a traceback where a benchmark compares with Qlib and Qlib is not there."""

import sys
from importlib.util import find_spec


def require_qlib() -> None:
    """End the process when Qlib is not installed."""
    if find_spec("qlib") is None:
        sys.exit("This benchmark compares with Qlib, which has no release for Python 3.13 and later: use 3.11 or 3.12.")
