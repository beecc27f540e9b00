"""The bodies of the kernels run as Python too: what numba makes of them is what they say, and coverage sees them."""

import os
import subprocess
import sys

import pytest

SUITES = {
    "factor scores": ["tests/evaluation/test_factor_scores.py"],
    "factors": ["tests/factors/test_kernels.py"],
    "strategy": ["tests/strategy"],
    "exchange": ["tests/backtest/test_exchange.py", "tests/backtest/test_array_engine.py"],
    "search": ["tests/backtest/test_combination_engine.py::test_periods_hold_the_sums_of_excess_returns"],
}


@pytest.mark.parametrize("suite", SUITES)
def test_kernels_give_the_same_without_compilation(project_path, suite):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *SUITES[suite], "-q", "-x", "-p", "no:cacheprovider", "--no-cov"],
        cwd=project_path,
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    assert " passed" in done.stdout
