"""The examples of the documentation run as they stand there, and their numbers are those of a computation by hand."""

import re

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.project import opened_catalog
from tests.helpers.random_market import random_market


def blocks_of(path):
    return re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)


class Tables:
    """What the examples ask of a catalog."""

    def __init__(self, **tables):
        self.load = tables.get


@pytest.fixture
def random_tables(monkeypatch):
    """Let the examples find a small random market in the catalog."""
    bars, actions, sessions, scores = random_market(8, n_sessions=60)
    tables = Tables(
        bars=bars,
        corporate_actions=actions,
        sessions=pd.DataFrame({"date": sessions}),
        ridge_alpha158_predictions=scores.to_frame("score"),
        benchmark=pd.DataFrame({"date": sessions, "total_return_close": 1.0}),
    )
    monkeypatch.setattr(opened_catalog, "open_catalog", lambda: tables)


def test_the_event_strategy_of_the_page_trades(project_path, random_tables):
    (example,) = blocks_of(project_path / "docs" / "concepts" / "backtest.md")
    names = {}
    exec(compile(example, "backtest.md", "exec"), names)
    trades = names["result"].trades
    assert {"limit", "stop"} == set(trades["kind"])
    assert {"stop loss", "take profit"} <= set(trades["reason"])
    assert (trades["status"] == "filled").sum() > 20


def test_the_measures_of_the_guide_count_what_costs_took(project_path, random_tables):
    run, measure, *_ = blocks_of(project_path / "docs" / "guides" / "backtest.md")
    names = {}
    exec(compile(run, "guide", "exec"), names)
    result = names["result"]
    exec(compile(measure, "guide", "exec"), names, found := {})

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
