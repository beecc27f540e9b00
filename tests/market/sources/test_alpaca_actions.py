"""Alpaca's records of corporate actions become rows of the market tables, by literal numbers."""

import pandas as pd
import pytest

from quant_pipeline.market.sources.alpaca_actions import translate_actions

SESSIONS = pd.bdate_range("2024-01-01", periods=14, unit="ns")


def bars(**last_bar):
    """Bars of names at a close of 20 up to a session."""
    rows = [(date, name, 20.0) for name, last in sorted(last_bar.items()) for date in SESSIONS[last >= SESSIONS]]
    return pd.DataFrame(rows, columns=["date", "instrument", "close"])


def merger(rate, date="2024-01-08", sort="cash_mergers"):
    return {sort: [{"acquiree_symbol": "A", "effective_date": date, "rate": rate}]}


def redemption(rate, date="2024-01-08"):
    return {"symbol": "A", "process_date": date, "rate": rate}


def endings(answer, last_bar="2024-01-05"):
    translation = translate_actions(answer, bars(A=last_bar, B="2024-01-18"), SESSIONS)
    found = translation.actions
    assert set(found["kind"]) <= {"delisting"}
    return (
        [[f"{date:%m-%d}", name, value] for date, name, value in found.drop(columns="kind").to_numpy()],
        [problem.message for problem in translation.problems],
    )


@pytest.mark.parametrize(
    "answer",
    [
        {"cash_mergers": 2 * merger(20.0)["cash_mergers"]},
        merger(20.0) | {"redemptions": [redemption(20.0)]},
        merger(20.0) | merger(None, sort="stock_mergers"),
    ],
    ids=["the same record twice", "merger and redemption", "merger for cash and for shares at the last close"],
)
def test_records_that_end_a_listing_alike_pay_once(answer):
    assert endings(answer) == ([["01-08", "A", 20.0]], [])


def test_records_that_end_a_listing_unlike_are_reported_and_the_earliest_counts():
    removal = {"worthless_removals": [{"symbol": "A", "process_date": "2024-01-12"}]}
    found, (problem,) = endings(merger(20.0) | removal)
    assert found == [["01-08", "A", 20.0]]
    assert problem.startswith(
        "several records end it with different payments: cash_mergers of 2024-01-08 at 20, worthless_removals of "
        "2024-01-12 at 0; the earliest counts, of one date the lowest, 20."
    )
    found, problems = endings({"redemptions": [redemption(10.3), redemption(10.2)]})
    assert found == [["01-08", "A", 10.2]]
    assert len(problems) == 1


def test_a_record_from_before_the_last_bars_ends_nothing():
    partial = {"redemptions": [redemption(3.0, "2024-01-03")]}
    found, (problem,) = endings(partial, last_bar="2024-01-17")
    assert found == []
    assert problem.startswith(
        "redemptions of 2024-01-03 does not end it, because it traded for 10 more sessions, until 2024-01-17;"
    )
    # Three sessions are the reach of a date that lies beside the last trade.
    assert endings(partial, last_bar="2024-01-08") == ([["01-09", "A", 3.0]], [])
    assert endings(partial, last_bar="2024-01-09")[0] == []
    # It does not hide the record that does end it.
    both = {"redemptions": [redemption(3.0, "2024-01-03"), redemption(19.5, "2024-01-17")]}
    found, problems = endings(both, last_bar="2024-01-16")
    assert found == [["01-17", "A", 19.5]]
    assert len(problems) == 1


def test_splits_of_one_date_multiply_and_dividends_add_up():
    split = {"symbol": "B", "ex_date": "2024-01-04", "new_rate": 2, "old_rate": 1}
    paid = {"symbol": "B", "ex_date": "2024-01-04", "rate": 0.5}
    answer = {
        "forward_splits": [split],
        "stock_dividends": [{"symbol": "B", "ex_date": "2024-01-04", "rate": 0.1}],
        "cash_dividends": [paid, paid | {"rate": 0.25}],
    }
    found = translate_actions(answer, bars(B="2024-01-18"), SESSIONS).actions
    assert dict(zip(found["kind"], found["value"], strict=True)) == {
        "cash_dividend": 0.75,
        "split": pytest.approx(2.2),
    }


def test_an_ending_recorded_after_the_bars_stop_is_dated_on_its_record():
    removal = {"worthless_removals": [{"symbol": "A", "process_date": "2024-01-13"}]}
    # 2024-01-13 is a Saturday.
    assert endings(removal) == ([["01-15", "A", 0.0]], [])
    assert translate_actions(removal, bars(A="2024-01-05", B="2024-01-12"), SESSIONS[:10]).actions.empty


def test_shares_of_a_merger_are_worth_the_last_close_less_what_is_paid_besides():
    """A close of 20, split 2:1, a dividend of 1.50 on each new share, then the merger: 8.50 for each of two shares."""
    besides = {
        "forward_splits": [{"symbol": "A", "ex_date": "2024-01-08", "new_rate": 2, "old_rate": 1}],
        "cash_dividends": [{"symbol": "A", "ex_date": "2024-01-09", "rate": 1.5}],
    }
    answer = merger(None, "2024-01-10", "stock_mergers") | besides
    found = translate_actions(answer, bars(A="2024-01-05", B="2024-01-18"), SESSIONS).actions
    assert found[["kind", "value"]].to_numpy().tolist() == [
        ["split", 2.0],
        ["cash_dividend", 1.5],
        ["delisting", 8.5],
    ]
    # A dividend before the last bar is in its close already.
    earlier = {"cash_dividends": [{"symbol": "A", "ex_date": "2024-01-04", "rate": 1.5}]}
    found = translate_actions(
        merger(None, sort="stock_mergers") | earlier, bars(A="2024-01-05", B="2024-01-18"), SESSIONS
    ).actions
    assert found["value"].tolist() == [1.5, 20.0]
