"""What every model and combination would do, beside the orders."""

import pandas as pd
import pytest

from quant_pipeline.common.exceptions import StrategyError
from quant_pipeline.pipelines.order_generation import nodes
from quant_pipeline.pipelines.order_generation.opinions import compare_opinions
from quant_pipeline.reports.spreadsheet import safe
from quant_pipeline.strategy.rules import StrategyRules
from tests.helpers.browser import require_drawn
from tests.helpers.six_instruments import CLOSE, DAYS, arguments, opinions_on, panel, ranked, sides


def test_a_model_of_another_execution_price_has_no_opinion(caplog):
    given = arguments(down_latest_scores=panel("FEDCBA", label=CLOSE))
    _, for_people = nodes.generate_orders(**given)
    opinions, *_ = opinions_on(given, for_people)
    assert set(opinions["source"]) == {"both", "other", "up"}
    assert "left out of the opinions: the scores of down predict Ref($close" in caplog.text


def test_a_file_of_yesterday_has_no_opinion_today(caplog):
    given = arguments(score_file=ranked("ABCDEF", DAYS[0]))
    _, for_people = nodes.generate_orders(**given)
    opinions, *_ = opinions_on(given, for_people)
    assert set(opinions["source"]) == {"both", "other", "up", "down"}
    assert "file has no scores of 2024-12-31" in caplog.text


@pytest.fixture
def told():
    given = arguments()
    _, for_people = nodes.generate_orders(**given)
    return opinions_on(given, for_people)


def test_every_model_and_combination_says_what_it_would_do(told):
    opinions = told[0].set_index(["source", "instrument"])
    assert opinions.loc[("both", "C"), ["opinion", "rank", "kind"]].tolist() == ["BUY", 1, "combination"]
    assert opinions.loc[("down", "A"), ["opinion", "rank", "kind"]].tolist() == ["SELL", 6, "model"]
    assert opinions.loc[("up", "A"), ["opinion", "rank"]].tolist() == ["HOLD", 1]
    assert opinions.loc[("up", "F"), ["opinion", "rank"]].tolist() == ["-", 6]
    assert opinions["is_chosen"].groupby("source").first().to_dict() == {
        "both": True,
        "down": False,
        "other": False,
        "up": False,
    }


def test_opinions_stand_side_by_side_with_their_votes(told):
    comparison = told[1].set_index("instrument")
    # In the order of the chosen source: C is bought, F is bought by two others, A and B are held.
    assert comparison.index.tolist() == ["C", "F", "A", "B"]
    assert comparison.loc["A", ["buy", "sell", "hold"]].tolist() == [0, 2, 2]
    assert comparison.loc["F", ["both", "other", "up", "down"]].tolist() == ["none 4", "BUY 1", "none 6", "BUY 1"]
    assert safe(comparison).equals(comparison), "a spreadsheet shows every cell as it is"
    assert comparison.loc["C", "mean_rank"] == pytest.approx((1 + 4 + 3 + 4) / 4)


def test_the_opinion_of_the_chosen_source_is_the_order(told):
    orders, _ = nodes.generate_orders(**arguments())
    opinions = told[0][told[0]["is_chosen"] & (told[0]["opinion"] != "-")]
    assert {name: side.lower() for name, side in sides(opinions.rename(columns={"opinion": "side"})).items()} == sides(
        orders
    )


def test_the_chart_and_the_page_show_ranks_and_reasons(told):
    figure, page = told[2], told[3]
    cells = {
        (y, x): text
        for y, row in zip(figure.data[0].y, figure.data[0].text, strict=True)
        for x, text in zip(figure.data[0].x, row, strict=True)
    }
    assert cells["C", "both"] == "1 B"
    assert cells["A", "down"] == "6 S"
    assert cells["F", "up"] == "6 "
    assert "alternate 1, never sent: the next best where a buy is not executed" in page
    assert "BUY 1" in page


def test_the_page_is_drawn_in_silence_at_two_widths(told, tmp_path):
    require_drawn(told[3], tmp_path / "opinions.html")


def test_opinions_of_every_name_are_listed_on_request(told):
    opinions = told[0]
    named, every = compare_opinions(opinions), compare_opinions(opinions, every=True)
    scored = opinions.loc[opinions["rank"] > 0, "instrument"]
    assert set(every["instrument"]) == set(opinions["instrument"]) >= set(scored) > set(named["instrument"])
    both = every[every["instrument"].isin(named["instrument"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(both, named, check_dtype=False)


def test_a_model_without_scores_is_named():
    given = arguments(down_latest_scores=panel("FEDCBA").assign(score=float("nan")))
    _, for_people = nodes.generate_orders(**given)
    with pytest.raises(StrategyError, match="opinion of down: No instrument has a finite score"):
        opinions_on(given, for_people)


def test_sources_that_want_nothing_give_an_empty_comparison():
    given = arguments(held=(), strategy=StrategyRules(topk=2, n_drop=1, risk_degree=0.0001))
    _, for_people = nodes.generate_orders(**given)
    _, comparison, figure, page = opinions_on(given, for_people)
    assert comparison.empty
    assert "No source would buy, sell or hold anything" in figure.to_json()
    assert "Orders and opinions" in page
