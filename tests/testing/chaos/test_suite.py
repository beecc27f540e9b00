"""The crash suite itself: it passes, and it notices mistakes."""

import json
import logging

import pytest
from click.testing import CliRunner

from quant_pipeline.testing.chaos import __main__ as command
from quant_pipeline.testing.chaos import suite
from quant_pipeline.testing.chaos.faults import Fault
from quant_pipeline.testing.chaos.mutants import MUTANTS
from tests.helpers.representatives import representatives

IN_EVERY_RUN = {
    "orders named by chance",
    "books in memory before the ledger",
    "never asks what became of an order",
    "drops trades by hand",
    "leaves out busts",
    "asks no limits",
    "loses a share of a fill",
}
"""One of each kind: names, crashes, answers, records, corrections, limits, quantities."""


def test_every_fault_is_in_the_suite():
    assert frozenset().union(*suite.EVERY_FAULT) == set(Fault)


@pytest.mark.parametrize("name", representatives([m.name for m in MUTANTS if "cursor" not in m.name], IN_EVERY_RUN))
def test_a_deliberate_mistake_is_noticed(name):
    (mutant,) = (mutant for mutant in MUTANTS if mutant.name == name)
    suite.warm_up()
    assert suite.catch(mutant, 7) is not None


@pytest.fixture
def own_logging():
    """Take back the silence of the command, which ends its process elsewhere."""
    logger = logging.getLogger("quant_pipeline")
    before = logger.level
    yield
    logger.setLevel(before)


@pytest.mark.usefixtures("own_logging")
def test_the_command_ends_with_one_json_object(monkeypatch):
    monkeypatch.setattr(suite, "EVERY_FAULT", (frozenset({Fault.LOST_ANSWER, Fault.PARTIAL_FILLS}),))
    named = [mutant for mutant in MUTANTS if mutant.name in ("orders named by chance", "leaves out busts")]
    monkeypatch.setattr(command, "MUTANTS", named)
    result = CliRunner().invoke(command.main, ["--every", "70", "--workers", "1"])
    figures = json.loads(result.output.splitlines()[-1])
    assert result.exit_code == 0, result.output
    assert figures["crash_points"] >= 3
    assert {name: figures[name] for name in ("violations", "mutants_caught", "mutants")} == {
        "violations": 0,
        "mutants_caught": 2,
        "mutants": 2,
    }
