"""One thread for the libraries of linear algebra: how sums are rounded that threads share depends on how many they are.

Work that is worth a second core is divided by `quant_pipeline.common.cores`, whose results do not depend on them.
"""

from __future__ import annotations

import os
import sys

READ_WHEN_LOADED = ("OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
"""Variables of OpenBLAS and Accelerate, of which NumPy and SciPy each bring one of their own."""


def use_one_thread() -> None:
    """Let what is loaded already, and what this process or one that it starts loads later, use one thread."""
    os.environ |= dict.fromkeys(READ_WHEN_LOADED, "1")
    if "numpy" in sys.modules:
        # Only then: a command that computes nothing does not wait for it.
        from threadpoolctl import threadpool_limits

        threadpool_limits(limits=1, user_api="blas")
