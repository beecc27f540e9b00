"""Threads of the libraries of linear algebra, whatever the machine has and the shell asks for."""

import os
import subprocess
import sys

import scipy.linalg  # noqa: F401 - it brings a library of its own
from threadpoolctl import threadpool_info, threadpool_limits

import quant_pipeline
from quant_pipeline.common.linear_algebra import use_one_thread

COUNTS = """
from threadpoolctl import threadpool_info
print([library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"])
"""


def threads():
    """Threads of the libraries: NumPy's, SciPy's, and those that other packages bring when they are imported."""
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


def test_this_process_has_one_thread():
    assert quant_pipeline.__version__
    assert len(threads()) >= 2
    assert set(threads()) == {1}


def test_libraries_that_are_loaded_already_are_told():
    with threadpool_limits(limits=2, user_api="blas"):
        assert max(threads()) == 2
        use_one_thread()
        assert set(threads()) == {1}


def test_a_shell_cannot_ask_for_more_before_or_after_a_library_is_loaded():
    program = "import numpy, quant_pipeline, scipy.linalg" + COUNTS
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "2"}
    child = subprocess.run([sys.executable, "-c", program], env=environment, check=True, capture_output=True, text=True)
    assert child.stdout == "[1, 1]\n"
