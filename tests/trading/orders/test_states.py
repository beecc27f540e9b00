"""The life of an order, transition by transition."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quant_pipeline.trading.orders.states import TRANSITIONS, IllegalTransitionError, OrderState, next_state

S = OrderState
FINAL = {S.DENIED, S.REJECTED, S.CANCELED, S.EXPIRED, S.FILLED}


def test_what_has_ended_stays_ended():
    assert {state for state in S if state.is_final} == FINAL
    for state in FINAL:
        assert TRANSITIONS[state] == frozenset()


def test_only_what_was_submitted_can_be_at_the_broker():
    assert {state for state in S if state.is_at_broker} == {
        S.SUBMITTING,
        S.ACCEPTED,
        S.PARTIALLY_FILLED,
        S.PENDING_CANCEL,
    }


@pytest.mark.parametrize(
    ("now", "wanted"),
    [
        (S.INTENDED, S.ACCEPTED),
        (S.INTENDED, S.FILLED),
        (S.DENIED, S.SUBMITTING),
        (S.FILLED, S.CANCELED),
        (S.PARTIALLY_FILLED, S.DENIED),
        (S.ACCEPTED, S.SUBMITTING),
        (S.EXPIRED, S.FILLED),
    ],
)
def test_an_illegal_step_is_refused_by_name(now, wanted):
    with pytest.raises(IllegalTransitionError, match=f"order x is {now} and cannot become {wanted}"):
        next_state("x", now, wanted)


@given(st.lists(st.sampled_from(list(S)), max_size=12))
def test_no_sequence_of_wishes_leaves_a_final_state(wishes):
    state, ended = S.INTENDED, None
    for wish in wishes:
        try:
            state = next_state("x", state, wish)
        except IllegalTransitionError:
            continue
        ended = ended or (state if state.is_final else None)
        assert ended is None or state == ended
