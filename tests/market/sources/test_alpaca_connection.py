"""The request budget, in a time that only the test moves."""

import pytest

from quant_pipeline.market.sources.alpaca_connection import RateBudget, RequestBudgetError, seconds_to_reset


class Time:
    def __init__(self):
        self.now, self.slept = 1000.0, []

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def time():
    return Time()


def budget_of(time, largest=3, longest_wait=100.0):
    return RateBudget(largest, longest_wait, now=lambda: time.now, sleep=time.sleep)


def test_never_more_than_the_budget_in_any_minute(time):
    budget = budget_of(time)
    moments = []
    for _ in range(10):
        budget.take()
        moments.append(time.now)
        time.now += 1
    assert all(later - earlier >= 60 for earlier, later in zip(moments, moments[3:], strict=False))
    assert moments[3] == 1060


def test_a_closed_budget_waits_for_its_reset(time):
    budget = budget_of(time)
    budget.close_for(7)
    budget.take()
    assert time.slept == [7]


def test_too_long_a_wait_is_an_error_not_a_hang(time):
    budget = budget_of(time, longest_wait=5)
    budget.close_for(30)
    with pytest.raises(RequestBudgetError, match="30 s"):
        budget.take()
    assert time.slept == []


def test_the_broker_says_how_long():
    assert seconds_to_reset({"Retry-After": "3"}) == 3
    assert seconds_to_reset({"X-RateLimit-Reset": "0"}) == 0
    assert seconds_to_reset({}) == 60
    assert seconds_to_reset({"Retry-After": "86400"}) == 60
