"""One process at a time writes into a folder, and the next one learns which."""

import os
import signal
import subprocess
import sys

import pytest

from quant_pipeline.common.exceptions import BusyError
from quant_pipeline.common.locks import locked

HOLD = """
import sys
from pathlib import Path
from quant_pipeline.common.locks import locked
with locked(Path(sys.argv[1]), "the market 'x'", shared=sys.argv[2] == "shared"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def hold(tmp_path):
    """Hold the lock in other processes until the test ends."""
    started = []

    def start(kind):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(tmp_path / ".lock"), kind],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_the_second_writer_is_refused_with_the_holder_named(tmp_path, hold):
    holder = hold("exclusive")
    with (
        pytest.raises(BusyError, match=rf"the market 'x' is in use by process {holder.pid} \(`-c ") as refused,
        locked(tmp_path / ".lock", "the market 'x'"),
    ):
        pass
    assert "\n" not in refused.value.message


def test_a_killed_holder_holds_nothing(tmp_path, hold):
    holder = hold("exclusive")
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    with locked(tmp_path / ".lock", "the market 'x'"):
        pass


def test_a_patient_writer_waits_for_the_end(tmp_path, hold):
    holder = hold("exclusive")
    heard = []

    def end(message):
        heard.append(message)
        holder.stdin.close()

    with locked(tmp_path / ".lock", "the market 'x'", patience=60.0, on_wait=end):
        assert len(heard) == 1
    assert "waiting for up to 60 s" in heard[0]


def test_shared_holders_do_not_exclude_each_other(tmp_path, hold):
    hold("shared")
    with locked(tmp_path / ".lock", "the market 'x'", shared=True):
        pass
    with pytest.raises(BusyError), locked(tmp_path / ".lock", "the market 'x'"):
        pass


def test_the_end_of_one_that_shares_it_takes_away_the_name_of_no_other(tmp_path, hold):
    with locked(tmp_path / ".lock", "the market 'x'", shared=True):
        holder = hold("shared")
    with (
        pytest.raises(BusyError, match=f"in use by process {holder.pid}"),
        locked(tmp_path / ".lock", "the market 'x'"),
    ):
        pass


def test_a_free_lock_names_no_process(tmp_path):
    with locked(tmp_path / "new" / ".lock", "the market 'x'"):
        assert f'"pid": {os.getpid()}' in (tmp_path / "new" / ".lock").read_text()
    assert (tmp_path / "new" / ".lock").read_text() == ""
