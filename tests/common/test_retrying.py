"""Questions that change nothing are asked again, after pauses that no test waits for."""

import pytest

from quant_pipeline.common.retrying import Patience


class BusyError(Exception):
    """A server that states how long it is busy."""

    def __init__(self, retry_after):
        super().__init__("busy")
        self.retry_after = retry_after


def answers(*given):
    left = list(given)

    def question():
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return question


@pytest.fixture
def pauses():
    return []


@pytest.fixture
def patience(pauses):
    return Patience(5, (ConnectionError, BusyError), first_pause=2.0, sleep=pauses.append, longest_pause=10.0)


def test_an_answer_is_returned_without_a_pause(patience, pauses):
    assert patience.ask(answers("yes")) == "yes"
    assert pauses == []


def test_pauses_double_up_to_the_longest(patience, pauses):
    lost = ConnectionError("lost")
    assert patience.ask(answers(lost, lost, lost, lost, "yes")) == "yes"
    assert pauses == [2.0, 4.0, 8.0, 10.0]


def test_a_pause_that_the_error_states_is_kept_up_to_the_longest(patience, pauses):
    assert patience.ask(answers(BusyError(0.5), BusyError(3600), ConnectionError(), "yes")) == "yes"
    assert pauses == [0.5, 10.0, 8.0]


def test_the_last_error_is_raised_as_it_is_and_without_another_pause(patience, pauses):
    last = ConnectionError("fifth")
    with pytest.raises(ConnectionError) as raised:
        patience.ask(answers(*[ConnectionError("lost")] * 4, last))
    assert raised.value is last
    assert len(pauses) == 4


def test_an_error_that_another_attempt_cannot_mend_is_raised_at_once(patience, pauses):
    with pytest.raises(KeyError):
        patience.ask(answers(KeyError("wrong question"), "yes"))
    assert pauses == []


def test_one_attempt_asks_once(pauses):
    with pytest.raises(ConnectionError):
        Patience(1, (ConnectionError,), first_pause=1.0, sleep=pauses.append).ask(answers(ConnectionError(), "yes"))
    assert pauses == []
