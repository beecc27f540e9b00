"""The bodies of the kernels run as Python too: what numba makes of them is what they say, and coverage sees them."""

import os
import subprocess
import sys

from tests.helpers.properties import FEW
from tests.helpers.tracing import tracing_environment

# In one process: its start takes longer than most of these.
SUITES = [
    "tests/evaluation/test_factor_scores.py",
    "tests/evaluation/test_information_coefficient.py",
    "tests/factors/test_kernels.py",
    "tests/factors/test_processors.py",
    "tests/factors/test_sorted_panel.py",
    "tests/market/sources/test_compiled_reading.py",
    "tests/strategy",
    "tests/exchange/test_session.py",
    "tests/backtest/test_array_engine.py",
    "tests/backtest/test_combination_engine.py::test_periods_hold_the_sums_of_excess_returns",
]
# Its subject is machine code, which it compiles whatever the environment says.
COMPILE = ["--ignore", "tests/common/test_compiled.py"]
# The same values as with machine code are the subject: the properties themselves are tried there.
SHORT = ["-q", "-p", "no:cacheprovider", "--hypothesis-profile", FEW]


def test_kernels_give_the_same_without_compilation(project_path):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *SUITES, *COMPILE, *SHORT, "--no-cov"],
        cwd=project_path,
        env={**os.environ, **tracing_environment(), "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    assert " passed" in done.stdout
