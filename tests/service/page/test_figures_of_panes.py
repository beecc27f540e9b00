"""Panes of net asset value, research and models draw the figures of their tables, literally."""

import html
import json
import re
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from quant_pipeline.service.opening import open_served
from quant_pipeline.service.page.looking import Look
from quant_pipeline.service.page.panes.models import models
from quant_pipeline.service.page.panes.research import LEADERS, research
from quant_pipeline.service.page.panes.value import growth_lines, value
from quant_pipeline.service.served_project import ServedProject
from quant_pipeline.trading.shadow.tables import SESSION_COLUMNS
from tests.helpers import four_days
from tests.helpers.three_accounts import simulated, three_accounts

SECOND, THIRD, LAST = four_days.DAYS[1:]


@pytest.fixture(scope="module")
def project(tmp_path_factory, project_path):
    """A simulated account with three closes: 1000, then a purchase that has gained, then a sale."""
    path = tmp_path_factory.mktemp("figures") / "project"
    three_accounts(project_path, path)
    simulated(path)
    return path


@pytest.fixture
def look(project):
    served = open_served(ServedProject(SimpleNamespace(project_path=project), None, {}), {})
    return Look.now(served)


@pytest.fixture
def written(look):
    """Writes a file of the catalog for one test."""
    files = []

    def write(name, content):
        file = Path(str(look.served.project.project.catalog.get(name)._filepath))
        file.parent.mkdir(parents=True, exist_ok=True)
        content.to_parquet(file) if isinstance(content, pd.DataFrame) else file.write_text(json.dumps(content))
        files.append(file)

    yield write
    for file in files:
        file.unlink()


def text_of(markup):
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", str(markup))))


def shadow(*rows):
    numbers = {name: 0.0 for name, kind in SESSION_COLUMNS.items() if kind == "float64"}
    found = [{**numbers, "date": date, "base": base, "shadow": profit} for date, base, profit in rows]
    return pd.DataFrame(found).assign(decided_again=True)[list(SESSION_COLUMNS)].astype(SESSION_COLUMNS)


def test_the_shadow_goes_on_from_the_account_at_the_close_before_its_first_session(look, written):
    (account,) = growth_lines(look)
    assert account.name == "account"
    assert account.values.index.tolist() == [SECOND, THIRD, LAST]
    assert account.values.iloc[0] == 100.0
    assert account.values.iloc[-1] > 100.0
    written("shadow_sessions", shadow((THIRD, 1000.0, 10.0), (LAST, 1010.0, -5.05)))
    lines = {line.name: line.values.dropna() for line in growth_lines(look)}
    assert lines["shadow"].index.tolist() == [THIRD, LAST]
    assert lines["shadow"].tolist() == pytest.approx([101.0, 100.495])
    drawn = text_of(value(look))
    assert "shadow 100.50" in drawn or "shadow 100.49" in drawn
    assert "The shadow is every session replayed" in drawn


def test_a_shadow_that_begins_later_begins_where_the_account_was(look, written):
    written("shadow_sessions", shadow((LAST, 1010.0, 20.2)))
    lines = {line.name: line.values.dropna() for line in growth_lines(look)}
    assert lines["shadow"].tolist() == pytest.approx([lines["account"][THIRD] * 1.02])


def test_the_backtest_begins_where_the_account_was_in_their_first_common_session(look, written):
    written("backtest_nav", pd.DataFrame({"date": [THIRD, LAST], "nav": [5_000_000.0, 5_500_000.0]}))
    lines = {line.name: line.values.dropna() for line in growth_lines(look)}
    start = lines["account"][THIRD]
    assert lines["backtest"].tolist() == pytest.approx([start, start * 1.1])


def leaders(number):
    rows = [(place, f"leader_{place:02d}", 3, 2.5 - place / 10, 0.05) for place in range(1, number + 1)]
    return pd.DataFrame(rows, columns=["rank", "combination", "size", "sharpe", "annualised_return"])


def test_research_shows_the_best_of_the_search_in_its_order_and_no_more(look, written):
    written("search_leaderboard", leaders(LEADERS + 5))
    drawn = text_of(research(look))
    assert re.findall(r"leader_\d\d", drawn) == [f"leader_{place:02d}" for place in range(1, LEADERS + 1)]
    assert re.search(r"leader_01 3 2\.40 0\.05", drawn)
    # Not of the newest session of the market: of when the search was written.
    assert re.search(rf"Best {LEADERS} of the search, written \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d UTC", drawn)


def test_without_a_search_research_compares_the_combinations_of_the_backtest(look, written):
    assert "Nothing was searched or compared yet." in text_of(research(look))
    rows = [("worse", "equal", 0.01, 0.04, 0.5, -0.2), ("all_icir", "icir", 0.03, 0.12, 1.5, -0.1)]
    names = ["combination", "method", "rank_ic", "annualised_return", "sharpe", "maximum_drawdown"]
    written("combination_comparison", pd.DataFrame(rows, columns=names))
    drawn = text_of(research(look))
    assert re.search(r"all_icir icir \+?0\.0300 12\.0.?% 1\.50 .10\.0", drawn), drawn
    assert drawn.index("all_icir icir") < drawn.index("worse equal")


def test_models_say_whether_they_have_drifted_and_why(look, written):
    written("ridge_alpha158_health", {"reasons": ["scores are distributed otherwise (0.31)"], "score_psi": 0.31})
    written("lightgbm_alpha158_health", {"reasons": [], "score_psi": 0.02})
    drawn = str(models(look))
    assert re.search(r'class="state bad"><b aria-hidden="true">✕</b> drifted scores are distributed otherwise', drawn)
    assert re.search(r'class="state good"><b aria-hidden="true">✓</b> stable score index 0\.02', drawn)
