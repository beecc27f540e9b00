"""Mistakes of one line in the controls, which tests once let pass; each has to fail a test now."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[3]
ORDERS = "quant_pipeline.trading.orders"
RISK, CONTROLS = "tests/trading/orders/test_risk.py", "tests/trading/fault_scenarios/test_controls.py::test_"
HOURS = "tests/trading/fault_scenarios/test_hours.py::test_"


class Mutation(NamedTuple):
    module: str
    before: str
    after: str
    tests: str


MUTATIONS = {
    "a plan of many buys passes the gross limit": Mutation(
        f"{ORDERS}.risk_checks", "self.gross += change", "self.gross -= change", RISK
    ),
    "the lower of two prices values an order": Mutation(
        f"{ORDERS}.risk_checks",
        "max(Decimal(order.reference_price), facts.price)",
        "min(Decimal(order.reference_price), facts.price)",
        RISK,
    ),
    "prices of the future pass": Mutation(
        f"{ORDERS}.risk_checks",
        "not 0 <= q.facts.price_age <= limits.max_price_age",
        "not q.facts.price_age <= limits.max_price_age",
        RISK,
    ),
    "the equity of the last close is no high": Mutation(
        f"{ORDERS}.halt_checks",
        "max(book.highest_equity, previous)",
        "book.highest_equity",
        f"{CONTROLS}the_drawdown_is_measured_from_the_close_before_when_that_was_the_highest",
    ),
    "a blocked account is not asked for": Mutation(
        f"{ORDERS}.kill_switch",
        "account is not None and account.trading_blocked",
        "False",
        f"{CONTROLS}a_broker_that_blocks_trading_halts_the_account",
    ),
    "cash of open buys is spent twice": Mutation(
        f"{ORDERS}.risk_inputs",
        "cash -= rest * Decimal(tracked.order.reference_price)",
        "cash -= 0",
        f"{CONTROLS}cash_of_open_buys_is_not_spent_twice",
    ),
    "a difference of one cent is none": Mutation(
        f"{ORDERS}.reconciliation",
        "account.cash) >= CENT",
        "account.cash) > CENT",
        f"{CONTROLS}a_difference_of_one_cent_is_a_break",
    ),
    "trades before the open count": Mutation(
        f"{ORDERS}.last_trades",
        "trade is None or trade.at < opens_at",
        "trade is None",
        f"{CONTROLS}a_trade_before_the_open_is_no_price_of_the_session",
    ),
    "a slow clock passes": Mutation(
        f"{ORDERS}.risk_inputs",
        "abs((desk.now() - clock.now).total_seconds())",
        "(desk.now() - clock.now).total_seconds()",
        f"{HOURS}a_clock_that_is_fast_or_slow_stops_every_order",
    ),
    "what has to stay in cash is spent": Mutation(
        f"{ORDERS}.execution",
        "view.cash - Decimal(str(desk.limits.min_cash)) * view.equity",
        "view.cash + Decimal(str(desk.limits.min_cash)) * view.equity",
        f"{CONTROLS}the_part_that_stays_in_cash_is_kept_when_buys_are_fitted",
    ),
}


@pytest.mark.parametrize("mutation", MUTATIONS.values(), ids=MUTATIONS)
def test_the_line_of_a_mutation_is_there_once_and_so_is_its_test(mutation):
    source = Path(importlib.import_module(mutation.module).__file__).read_text()
    assert source.count(mutation.before) == 1
    file, _, name = mutation.tests.partition("::")
    assert f"def {name}(" in (ROOT / file).read_text() if name else (ROOT / file).is_file()


@pytest.mark.slow
@pytest.mark.parametrize("mutation", MUTATIONS.values(), ids=MUTATIONS)
def test_a_mistake_of_one_line_fails_a_test(mutation):
    changed = json.dumps([mutation.module, mutation.before, mutation.after])
    options = ["-x", "-q", "-p", "tests.helpers.mutated", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, mutation.tests],
        cwd=ROOT,
        env=os.environ | {"MUTATION": changed, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done.stdout[-2000:] + done.stderr[-2000:]
    assert "1 failed" in done.stdout
