"""Time of an account: that of the world, a fast one that stands still while the process works, that of an exchange."""

import threading

import pandas as pd
import pytest

from quant_pipeline.common.exceptions import AccountError
from quant_pipeline.live.clocks import AskedClock, FastClock

START = pd.Timestamp("2025-01-02 21:00", tz="UTC")


def seconds(number):
    return pd.Timedelta(seconds=number)


def test_a_fast_clock_stands_still_while_the_process_works_and_arrives_at_an_instant_exactly():
    clock, wake = FastClock(START, 1e6), threading.Event()
    assert clock.now() == START
    clock.rest(START + seconds(5000.25), wake)
    assert clock.now() == START + seconds(5000.25)
    clock.rest(START, wake)
    assert clock.now() == START + seconds(5000.25), "time never goes back"


def test_a_fast_clock_passes_as_many_seconds_in_one_as_its_speed_says():
    clock = FastClock(START, 20_000)
    clock.rest(START + pd.Timedelta(days=30), threading.Event())
    assert clock.now() == START + seconds(20_000), "it rests a second of the world at most"


def test_a_fast_clock_that_has_caught_up_with_the_world_goes_on_with_it():
    world = [START + seconds(50)]
    clock, wake = FastClock(START, 1e6, lambda: world[0]), threading.Event()
    clock.rest(START + seconds(3600), wake)
    assert clock.now() == START + seconds(50)
    world[0] += seconds(10)
    clock.rest(START + seconds(55), wake)
    assert clock.now() == START + seconds(55)
    clock.rest(None, wake)
    assert clock.now() == START + seconds(60)
    world[0] -= seconds(40)
    clock.rest(START + seconds(3600), wake)
    assert clock.now() == START + seconds(60), "time never goes back"


def test_a_process_that_is_woken_has_not_rested():
    clock, wake = FastClock(START, 1.0), threading.Event()
    wake.set()
    clock.rest(START + seconds(3600), wake)
    assert clock.now() == START


def test_an_exchange_that_does_not_answer_goes_on_from_its_last_answer():
    answers = iter([START])

    def ask():
        try:
            return next(answers)
        except StopIteration:
            raise AccountError("503") from None

    clock = AskedClock(ask, 0.0)
    assert clock.now() == START
    assert START <= clock.now() < START + seconds(600)
    with pytest.raises(AccountError):
        AskedClock(ask).now()
