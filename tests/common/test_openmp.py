"""Threads that wait for each other sleep in a command, as LightGBM and PyTorch read when they are loaded."""

import os
import subprocess
import sys

import pytest

from quant_pipeline.common.openmp import WAIT_POLICY

OPEN = """
import os, sys
sys.argv[0] = sys.argv[1]
import quant_pipeline.settings
print(os.environ.get(sys.argv[2]), *sorted({"lightgbm", "torch", "sklearn", "xgboost"} & set(sys.modules)))
"""


@pytest.mark.parametrize(
    ("program", "own", "found"),
    [("kedro", None, "passive"), ("kedro", "active", "active"), ("ipykernel_launcher.py", None, "None")],
)
def test_a_command_sets_the_policy_before_anything_reads_it(program, own, found):
    environment = {name: value for name, value in os.environ.items() if name != WAIT_POLICY}
    environment |= {} if own is None else {WAIT_POLICY: own}
    command = [sys.executable, "-c", OPEN, program, WAIT_POLICY]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [found]
