"""The daily loop, one session at a time with tables and Decimal, must equal the array engine to the last tick."""

import numpy as np
import pytest

from quant_pipeline.market.sources.simulated import SimulatedMarketParameters, generate_market
from tests.helpers.daily_loop import assert_replay_equals
from tests.helpers.engine_cases import CASES
from tests.helpers.random_market import random_market, random_scores
from tests.helpers.real_bars import real_bars
from tests.helpers.representatives import representatives

# The event engine, too, is held against the array engine, in the cases that this leaves out.
GATE = ("us", "cn", "poor, all costs", "weights by volatility, cn", "interest and tax", "portfolio rules")


@pytest.mark.parametrize("case", representatives(CASES, GATE))
def test_daily_loop_equals_the_array_engine_to_the_last_tick(case):
    bars, actions, sessions, scores = random_market(1 + list(CASES).index(case), n_sessions=80)
    assert_replay_equals(bars, actions, sessions, scores, *CASES[case])


def test_daily_loop_equals_the_array_engine_on_the_simulated_market_with_delistings():
    parameters = SimulatedMarketParameters(n_instruments=40, end="2015-12-31", ended_per_year=0.3, halt_rate=0.01)
    market = generate_market(parameters)
    # All listings that end do so in the second half of the year.
    sessions = market.sessions[market.sessions >= "2015-07-01"]
    bars, actions = (table[table["date"] >= sessions[0]] for table in (market.bars, market.corporate_actions))
    assert (actions["kind"] == "delisting").sum() > 3
    scores = random_scores(np.random.default_rng(3), bars, sessions)
    assert_replay_equals(bars, actions, sessions, scores, *CASES["us"])


@pytest.mark.slow
def test_daily_loop_equals_the_array_engine_on_the_real_market(real_market):
    bars, actions, sessions = real_bars(real_market, "2014-05-01", "2014-12-31", 30)
    assert (actions["kind"] == "split").any()
    scores = random_scores(np.random.default_rng(4), bars, sessions)
    assert_replay_equals(bars, actions, sessions, scores, *CASES["poor, all costs"])
