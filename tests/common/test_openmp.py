"""Threads that wait for each other sleep in a command, as LightGBM and PyTorch read when they are loaded."""

import os
import subprocess
import sys

import pytest

from quant_pipeline.common.openmp import LOOKS, WAIT_POLICY, let_waiting_threads_sleep

OPEN = """
import os, sys
sys.argv[0] = sys.argv[1]
import quant_pipeline.settings
print(os.environ.get(sys.argv[2]), *sorted({"lightgbm", "torch", "sklearn", "xgboost"} & set(sys.modules)))
"""


MAIN = """
import os, sys
sys.argv[1:], variable = ["live", "--help"], sys.argv[1]
from quant_pipeline.__main__ import main
try:
    main()
except SystemExit:
    print(os.environ.get(variable))
"""


def printed_by(program, *arguments, own=None):
    """The last line of a program whose shell says nothing of the policy, or its own."""
    environment = {name: value for name, value in os.environ.items() if name != WAIT_POLICY}
    environment |= {} if own is None else {WAIT_POLICY: own}
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    ("program", "own", "found"),
    [
        ("kedro", None, "passive"),
        ("kedro", "active", "active"),
        ("/lib/kedro/__main__.py", None, "passive"),
        ("/lib/distributed/cli/dask_worker.py", None, "None"),
        ("ipykernel_launcher.py", None, "None"),
    ],
)
def test_a_command_sets_the_policy_before_anything_reads_it(program, own, found):
    assert printed_by(OPEN, program, WAIT_POLICY, own=own) == found


def test_commands_that_need_no_session_set_it_too():
    """As the live process starts them: python -m quant_pipeline."""
    assert printed_by(MAIN, WAIT_POLICY) == "passive"


@pytest.mark.parametrize(
    ("own", "found"),
    [
        ({}, {WAIT_POLICY: "passive", LOOKS: "1000"}),
        ({LOOKS: "0"}, {WAIT_POLICY: "passive", LOOKS: "0"}),
        ({WAIT_POLICY: "active"}, {WAIT_POLICY: "active"}),
        ({WAIT_POLICY: "passive"}, {WAIT_POLICY: "passive"}),
    ],
)
def test_what_the_user_has_set_of_waiting_is_kept(own, found):
    let_waiting_threads_sleep(own)
    assert own == found
