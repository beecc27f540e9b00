"""One sender at a time."""

import os
import subprocess
import sys

import pytest

from quant_pipeline.trading.ledger.store import Ledger
from quant_pipeline.trading.orders.lease import Lease, LeaseHeldError, LeaseLostError


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def engine(tmp_path):
    return Ledger.at(tmp_path / "ledger.sqlite").engine


def test_a_second_sender_learns_who_holds_the_lease(engine, clock):
    Lease.acquire(engine, 60, clock)
    with pytest.raises(LeaseHeldError, match=rf"another process \(.*/{os.getpid()}/"):
        Lease.acquire(engine, 60, clock)


def test_a_lease_that_was_given_back_or_ran_out_is_free(engine, clock):
    Lease.acquire(engine, 60, clock).release()
    assert Lease.acquire(engine, 60, clock).fence == 2
    clock.now += 61
    assert Lease.acquire(engine, 60, clock).fence == 3


def test_using_it_prolongs_it(engine, clock):
    lease = Lease.acquire(engine, 60, clock)
    clock.now += 50
    lease.check()
    clock.now += 50
    with pytest.raises(LeaseHeldError):
        Lease.acquire(engine, 60, clock)


def test_who_was_asleep_too_long_has_lost_it_and_cannot_give_it_back(engine, clock):
    sleeper = Lease.acquire(engine, 60, clock)
    clock.now += 61
    heir = Lease.acquire(engine, 60, clock)
    with pytest.raises(LeaseLostError, match="lost the right"):
        sleeper.check()
    sleeper.release()
    heir.check()
    with pytest.raises(LeaseHeldError):
        Lease.acquire(engine, 60, clock)


def test_the_lease_of_a_dead_process_is_free_at_once(engine, clock, tmp_path):
    program = (
        "import sys, os, signal; from quant_pipeline.trading.ledger.store import Ledger; from pathlib import Path;"
        "from quant_pipeline.trading.orders.lease import Lease;"
        "Lease.acquire(Ledger.at(Path(sys.argv[1])).engine, 3600, lambda: 1000.0); os.kill(os.getpid(), signal.SIGKILL)"
    )
    died = subprocess.run([sys.executable, "-c", program, str(tmp_path / "ledger.sqlite")], check=False)
    assert died.returncode == -9
    assert Lease.acquire(engine, 60, clock).fence == 2
