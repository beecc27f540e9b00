"""The page of a search says what the tables say."""

import re

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.pipelines.ensemble_search import figures
from quant_pipeline.pipelines.ensemble_search.page import write_header
from tests.helpers.browser import require_drawn
from tests.helpers.toy_search import toy


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return toy({"good": 0.2, "noise_a": 0.0, "noise_b": 0.0}).run(tmp_path_factory.mktemp("page"))


def test_the_page_states_verdict_leader_and_every_measure(found):
    page, verdict = found["page"], found["verdict"]
    for text in (
        verdict["verdict"],
        verdict["chosen"],
        "White&#39;s reality check",
        "Hansen",
        "deflated Sharpe ratio",
    ):
        assert text in page
    assert f"{verdict['backtest_overfitting']:.1%}" in page
    assert page.count("<figure") == 7
    for name in ("verdict", "leaders", "walk", "attribution", "similarity", "provenance"):
        assert f'<section id="{name}"' in page


@pytest.mark.parametrize(
    ("reality", "superior", "overfitting", "expected"),
    [
        (0.01, 0.02, 0.05, "The combinations beat the benchmark by more than luck (p = 0.02), and the best one stays"),
        (
            0.01,
            0.02,
            0.4,
            "by more than luck (p = 0.02), and the best one is not shown to be better than the others: 40%",
        ),
        (0.3, 0.02, 0.05, "That the combinations beat the benchmark may be luck (p = 0.30), and the best one stays"),
    ],
)
def test_the_first_sentence_says_both_things(found, reality, superior, overfitting, expected):
    changed = {"reality_check": reality, "superior_ability": superior, "backtest_overfitting": overfitting}
    assert expected in write_header({**found["verdict"], **changed}, found["periods"], "toy")


def test_the_page_says_that_the_search_follows_no_stops_of_the_account(found):
    assert "Orders follow stop_rules (stop_loss 0.1), which the backtests do not" in found["page"]


def test_the_page_needs_no_network(found):
    without_library = re.sub(r'<script id="plotly".*?</script>', "", found["page"], flags=re.DOTALL)
    assert not re.search(r'(src|href)="https?:', without_library)


def test_bars_of_the_logits_count_every_split_on_its_side():
    logits = pd.DataFrame({"logit": [-1.0, -0.5, 0.0, 0.5, 2.0]})
    below, above = figures.draw_logits(logits).data
    assert sum(below.y) == 3
    assert sum(above.y) == 2
    assert "60.0% of 5 splits" in figures.draw_logits(logits).layout.meta["description"]


def test_many_combinations_are_thinned_and_it_is_said(found):
    board = pd.concat([found["leaderboard"]] * 900, ignore_index=True)
    figure = figures.draw_risk_and_return(board)
    drawn = sum(len(trace.x) for trace in figure.data[:-1])
    assert drawn <= figures.MOST_POINTS
    assert "Every 4th by rank is drawn" in figure.layout.meta["description"]


def test_heat_map_is_in_the_order_of_the_tree(found):
    figure = figures.draw_similarity(found["correlations"], "scores")
    heat = figure.data[-1]
    np.testing.assert_allclose(np.diag(np.array(heat.z)), 1.0)
    assert len(figure.data) == 3
    assert sorted(figure.layout.xaxis.ticktext) == ["good", "noise_a", "noise_b"]


def test_one_model_has_nothing_to_compare():
    single = pd.DataFrame({"of": ["scores"], "model": ["a"], "other": ["a"], "correlation": [1.0]})
    assert figures.draw_similarity(single, "scores").layout.annotations[0].text == "There is one model"


def test_the_page_is_drawn_in_a_browser_at_two_widths(found, tmp_path):
    require_drawn(found["page"], tmp_path / "search.html")


def test_a_probability_is_never_written_as_certain(found):
    header = write_header({**found["verdict"], "reality_check": 0.0, "superior_ability": 0.0}, found["periods"], "toy")
    assert "by more than luck (p &lt; 0.001)" in header
