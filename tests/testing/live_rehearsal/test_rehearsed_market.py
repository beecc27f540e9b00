"""The market of the rehearsal after renamings and splits, and what its director holds against a process."""

from decimal import Decimal
from random import Random
from types import SimpleNamespace

import pandas as pd
import pytest

from quant_pipeline.testing.fake_alpaca import MarketTape
from quant_pipeline.testing.live_rehearsal.director import Director
from quant_pipeline.testing.live_rehearsal.faults import BEFORE, FAULTS
from quant_pipeline.testing.live_rehearsal.market import RehearsedMarket
from quant_pipeline.testing.live_rehearsal.market_faults import halted
from quant_pipeline.testing.live_rehearsal.market_faults import mute as market_mute

FIRST, SECOND = pd.to_datetime(["2024-01-02", "2024-01-03"])


@pytest.fixture
def tape():
    bars = pd.DataFrame(
        [(FIRST, "A", 10.0, 12.0), (FIRST, "B", 50.0, 51.0), (SECOND, "A", 13.0, 14.0)],
        columns=["date", "instrument", "open", "close"],
    )
    actions = pd.DataFrame([(SECOND, "A", "cash_dividend", 0.5)], columns=["date", "instrument", "kind", "value"])
    return MarketTape(bars, actions)


@pytest.mark.parametrize(
    ("session", "has_closed", "prices"),
    [
        ("2024-01-01", True, {}),
        (FIRST, False, {"A": 10, "B": 50}),
        (FIRST, True, {"A": 12, "B": 51}),
        (SECOND, False, {"A": 13, "B": 51}),
        (SECOND, True, {"A": 14, "B": 51}),
        ("2024-01-04", False, {"A": 14, "B": 51}),
    ],
)
def test_a_tape_states_the_open_while_a_session_goes_on_and_the_last_close_otherwise(tape, session, has_closed, prices):
    assert tape.prices_at(pd.Timestamp(session), has_closed) == {name: Decimal(price) for name, price in prices.items()}


def test_an_instrument_trades_under_its_new_name_only_and_in_its_new_shares(tape, tmp_path):
    market = RehearsedMarket(tape, tmp_path)
    assert market.prices_at(SECOND, True) == {"A": 14, "B": 51}
    market.rename("A", "N1")
    market.split("N1", "2")
    market.rename("N1", "N2")
    market.split("N2", "4")
    in_another_process = RehearsedMarket(tape, tmp_path)
    assert in_another_process.prices_at(SECOND, True) == {"N2": Decimal("1.75"), "B": 51}
    assert in_another_process.actions_of(SECOND) == [("N2", "cash_dividend", Decimal("0.5"))]


def ended(task, result="attention"):
    return {"event": "ended", "task": task, "result": result, "status": 3}


def test_an_execution_with_attention_is_explained_by_the_fault_in_force_or_by_none():
    lines = [
        ended("execution 2024-01-02"),
        ended("execution 2024-01-03"),
        ended("check 2024-01-03"),
        ended("execution 2024-01-04", "done"),
        ended("execution 2024-01-05"),
    ]
    stage = SimpleNamespace(lines=lambda: lines, settings=SimpleNamespace(start="2024-01-02", end="2024-01-31"))
    director = Director(stage, 3, Random(1))
    director._strikes = [(1, "order rejected"), (2, "deposit")]
    assert director.unexplained() == [
        "execution 2024-01-02 (status 3) after no fault",
        "execution 2024-01-05 (status 3) after deposit",
    ]


def test_faults_of_the_market_stream_are_rehearsed_and_only_a_halt_may_leave_an_order_undone():
    known = {name: fault for name, fault in FAULTS.items() if fault.strike.__module__.endswith("market_faults")}
    assert len(known) == 6
    assert {fault.when for fault in known.values()} == {BEFORE}
    assert [fault.strike for fault in known.values() if fault.leaves_incomplete] == [halted]
    assert market_mute in {fault.strike for fault in known.values()}
