"""The examples of the documentation run as they stand there, and their numbers are those of a computation by hand."""

import re

import numpy as np
import pytest

from tests.helpers.random_market import random_market


def blocks_of(path):
    return re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)


def test_the_event_strategy_of_the_page_trades(project_path):
    (example,) = blocks_of(project_path / "docs" / "concepts" / "backtest.md")
    bars, actions, sessions, _ = random_market(8, n_sessions=60)
    names = {"bars": bars, "corporate_actions": actions, "sessions": sessions}
    exec(compile(example, "backtest.md", "exec"), names)
    trades = names["result"].trades
    assert {"limit", "stop"} == set(trades["kind"])
    assert {"stop loss", "take profit"} <= set(trades["reason"])
    assert (trades["status"] == "filled").sum() > 20


def test_the_measures_of_the_guide_count_what_costs_took(project_path):
    run, measure, *_ = blocks_of(project_path / "docs" / "guides" / "backtest.md")
    bars, actions, sessions, scores = random_market(8, n_sessions=60)
    names = {"bars": bars, "corporate_actions": actions, "sessions": sessions, "scores": scores}
    exec(compile(run, "guide", "exec"), names)
    result = names["result"]
    exec(compile(measure, "guide", "exec"), names | {"benchmark_returns": 0 * result.returns}, found := {})

    before = np.concatenate([[1_000_000], result.nav.to_numpy()[:-1]])
    net = result.nav.to_numpy() / before
    gross = (result.nav + result.fees + result.slippage).to_numpy() / before
    # The first of 60 sessions has no return.
    power = 252 / 59
    drag = gross.prod() ** power - net.prod() ** power
    metrics = found["report"].metrics
    assert metrics["cost_drag"] == pytest.approx(drag, rel=1e-9)
    assert metrics["cost_drag"] == pytest.approx(0.0031296042621264952, rel=1e-6)
    assert metrics["annualised_turnover"] == pytest.approx(result.turnover.sum() / 59 * 252)
    assert result.cost_share.sum() == pytest.approx(((result.fees + result.slippage) / before).sum(), rel=1e-12)
