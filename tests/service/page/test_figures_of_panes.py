"""Panes of net asset value, research and models draw the figures of their tables, literally."""

import html
import json
import re
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from quant_pipeline.service.audit_file import AUDIT, REFUSALS
from quant_pipeline.service.opening import open_served
from quant_pipeline.service.page.looking import Look
from quant_pipeline.service.page.panes.log import Wanted, log
from quant_pipeline.service.page.panes.models import _bands, _interval, models
from quant_pipeline.service.page.panes.now import now
from quant_pipeline.service.page.panes.orders import with_course
from quant_pipeline.service.page.panes.positions import positions
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


def test_a_position_without_a_close_says_so_and_one_with_an_older_close_says_of_when(look, project):
    file = project / "data/markets/simulated/02_intermediate/bars.parquet"
    whole = pd.read_parquet(file)
    gone = (whole["instrument"] == "AAA") | ((whole["instrument"] == "BBB") & (whole["date"] >= LAST))
    kept = file.read_bytes()
    whole[~gone].to_parquet(file)
    try:
        drawn = str(positions(look))
    finally:
        file.write_bytes(kept)
    rows = {row.split(" ")[1]: row for row in map(text_of, re.findall(r"<tr><th scope=.row.*?</tr>", drawn))}
    assert f"{THIRD:%Y-%m-%d}" in rows["BBB"]
    assert rows["AAA"].count("\N{EN DASH}") >= 2, rows["AAA"]


def test_the_cost_of_what_was_filled_at_an_unknown_price_is_not_known(look):
    orders = pd.DataFrame(
        {
            "client_order_id": ["a", "b", "c"],
            "side": "buy",
            "reference_price": 10.0,
            "filled": [5.0, 5.0, 0.0],
            "average_price": [10.5, None, None],
            "reason": "best",
            "message": "",
        }
    )
    slippage = with_course(look, orders)["slippage"]
    assert slippage.iloc[[0, 2]].tolist() == [2.5, 0.0]
    assert pd.isna(slippage.iloc[1])
    assert pd.isna(slippage.sum(skipna=False))


def test_one_fact_that_cannot_be_known_leaves_the_others(look, project):
    file = project / "data/markets/simulated/02_intermediate/sessions.parquet"
    kept = file.read_bytes()
    file.write_bytes(b"torn")
    try:
        drawn = text_of(now(look))
    finally:
        file.write_bytes(kept)
    assert "Market data not known" in drawn
    for words in ("Net asset value", "Cash", "Lease to send free", "Quarantine 0 activities"):
        assert words in drawn


def test_a_log_without_lines_says_whether_there_are_none_or_none_of_what_was_asked_for(look):
    assert "Nothing was logged yet." in text_of(log(look))
    assert "No line has these words and this source." in text_of(log(look, Wanted(text="nowhere")))


def test_a_line_that_no_log_has_written_is_left_out_and_a_source_that_cannot_be_read_is_named(look):
    folder = look.served.project.folder
    folder.mkdir(parents=True, exist_ok=True)
    good = {"asctime": "2025-01-03T17:00:00Z", "message": "200 POST /v1/search by desk from 10.0.0.1"}
    bad = ["5", "[]", "{}", '{"asctime": "when", "message": "x"}', '{"asctime": null, "message": "x"}', "{torn"]
    (folder / AUDIT).write_text("\n".join([*bad, json.dumps(good)]) + "\n")
    refused = [{**good, "message": f"401 GET /{number} by ? from 10.0.0.2"} for number in range(100)]
    (folder / REFUSALS).write_text("".join(f"{json.dumps(line)}\n" for line in refused))
    journal = folder.parent / "live" / "journal.jsonl"
    journal.parent.mkdir(exist_ok=True)
    journal.write_text('{"event": 1}\n{"event": 2}\n')
    try:
        drawn, only = text_of(log(look)), text_of(log(look, Wanted("refused over HTTP")))
    finally:
        for file in (folder / AUDIT, folder / REFUSALS, journal):
            file.unlink()
    assert "POST /v1/search by desk" in drawn
    assert "Not known: live process:" in drawn
    assert drawn.count("401 GET") == 20
    assert only.count("401 GET") == 100
    assert re.search(r"Log \d{4}-\d\d-\d\d \d\d:\d\d:00 UTC; event", drawn)


def test_each_model_says_up_to_when_its_labels_are_realised(look, written):
    days = pd.bdate_range("2024-01-02", periods=80)
    ends = {"a": 80, "b": 40}
    series = [pd.DataFrame({"date": days[:end], "model": name, "rank_ic": 0.05}) for name, end in ends.items()]
    written("ic_series", pd.concat(series, ignore_index=True))
    bands, newest = _bands(look)
    assert (bands["a"].last, bands["b"].last, newest) == (days[79], days[39], days[79])
    assert "up to 2024-02-26" in _interval(bands["b"])


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
