"""Compiling is announced where it happens, and kept machine code is loaded without a word."""

import os
import subprocess
import sys

SCORE_A_FACTOR = """
import logging
import numpy as np
logging.basicConfig(level=logging.INFO, format="%(message)s")
from quant_pipeline.common import compilation_progress
compilation_progress.SECONDS_WORTH_TELLING = 1.0
from quant_pipeline.evaluation.factor_kernels import correlate_with_labels
values, labels = np.random.default_rng(7).random((2, 8)), np.random.default_rng(8).random((1, 2, 8))
orders, label_orders = np.argsort(values, axis=1), np.argsort(labels, axis=2)
ic, rank_ic = np.empty((2, 1)), np.empty((2, 1))
correlate_with_labels(values, orders, labels, label_orders, 3, np.empty((2, 8)), np.empty(8, bool), ic, rank_ic)
"""
ANNOUNCEMENT = "Compiling correlate_with_labels and the 2 kernels inside it, once, about 2 s"


def test_first_compilation_is_announced_and_kept_code_is_not(tmp_path):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    first, second = (
        subprocess.run(
            [sys.executable, "-c", SCORE_A_FACTOR], env=environment, capture_output=True, text=True, check=True
        )
        for _ in range(2)
    )
    assert first.stderr.count(ANNOUNCEMENT) == 1
    assert "Compiling" not in second.stderr
