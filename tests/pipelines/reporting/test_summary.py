from dataclasses import replace

import pandas as pd
import pytest

from quant_pipeline.pipelines.reporting.sections_of_account import orders_section
from quant_pipeline.pipelines.reporting.summary import summary_text
from quant_pipeline.trading.orders.remarks import AccountRemarks

SHOWN = (
    "ic_series",
    "backtest_nav",
    "backtest_performance",
    "combination_comparison",
    "orders",
    "account_nav",
    "missed_sessions",
)


def summarise(context, tables, **changed):
    return summary_text(context, **{name: {**tables, **changed}[name] for name in SHOWN})


def line_with(text, start):
    (line,) = (line for line in text.splitlines() if line.strip().startswith(start))
    return line.split()


def test_the_summary_says_on_which_returns_and_that_this_close_decides_nothing(context, tables):
    said = (
        "All are measured on the label of the account (open, 1 session), although some learned open, 5 sessions (week)."
    )
    waits = replace(context, other_labels=said, is_decided=False, decides="the close of each Monday")
    text = " ".join(summarise(waits, tables, orders=tables["orders"].iloc[:0]).split())
    assert said in text
    assert "0 sell, 0 buy, 0 hold; the strategy decides at the close of each Monday, and this is none" in text
    assert "measured on" not in summarise(context, tables)


def test_a_command_in_a_sentence_stays_on_one_line(context, tables):
    command = "`kedro run --pipelines ensemble,backtest --env paper`"
    for words in range(1, 40, 3):
        text = summarise(replace(context, not_backtested=f"{'word ' * words}{command} renews it."), tables)
        assert command in text
        assert max(map(len, text.splitlines())) <= 100


def test_the_summary_states_result_orders_and_next_commands(context, tables):
    text = summarise(context, tables)
    fused = tables["ic_series"][tables["ic_series"]["model"] == "fused"]
    assert line_with(text, "fused")[1:4:2] == [f"{fused['ic'].mean():+.4f}", f"{fused['rank_ic'].mean():+.4f}"]
    performance = tables["backtest_performance"]
    expected = [f"{performance[key]:.1%}" for key in ("annualised_return", "benchmark_annualised_return")]
    assert line_with(text, "return per year")[-2:] == expected
    assert "Orders for 2025-01-02 at the open: 2 sell, 2 buy, 1 hold" in text
    assert line_with(text, "sell  KZQL")[:6] == ["sell", "KZQL", "412", "at", "about", "118.42"]
    assert "  rank 181 of 197" in text
    assert "Report: data/accounts/sim/08_reporting/2024-12-31/report.html" in text
    assert "kedro run --pipelines daily --params as_of=2025-01-02" in text


def test_sessions_that_no_earlier_run_has_reported_are_named(context, tables):
    assert "Missed 1 session, no orders were decided: 2024-12-30\n" in summarise(context, tables)
    assert "Missed" not in summarise(context, tables, missed_sessions=tables["missed_sessions"].iloc[:1])


def test_why_an_order_is_there_fits_into_its_line(context, tables):
    reason = "sold: rank 181 of 2197, score -0.123456, among the 30 weakest of holdings and candidates"
    text = summarise(context, tables, orders=tables["orders"].assign(reason=reason))
    lines = [line for line in text.splitlines() if "at about" in line]
    assert lines
    assert all("rank 181 of 2197, among the 30 weakest" in line for line in lines)


def test_the_combination_that_gives_the_orders_is_marked(context, tables):
    assert line_with(summarise(context, tables), "all_icir")[1] == "*"
    assert "all_equal *" not in summarise(context, tables)


def test_no_line_is_wider_than_a_hundred_columns(context, tables):
    long_name = "a_very_long_name_of_a_combination_" * 3
    comparison = tables["combination_comparison"].assign(combination=long_name)
    orders = tables["orders"].assign(reason="held: " + "because " * 40)
    text = summarise(context, tables, combination_comparison=comparison, orders=orders)
    assert max(map(len, text.splitlines())) <= 100


def test_a_state_that_is_not_active_stands_at_the_top(context, tables):
    said = "the account is halted since 2024-12-31: drill (PERSON); all orders are denied until `kedro account resume`"
    lines = summarise(replace(context, remarks=(said,)), tables).splitlines()
    assert " ".join(lines[3:5]) == f"! {said}"


def test_orders_that_are_denied_do_not_say_that_they_were_bought_on_the_page_or_in_the_summary(context, tables):
    denials = AccountRemarks(denied=("buy",), denial="will be denied: the account is reducing")
    reducing = replace(context, denials=denials)
    bought = tables["orders"][tables["orders"]["side"] == "buy"]
    said = f"will be denied: the account is reducing; it was to be {bought['reason'].iloc[0]}"
    assert said in str(orders_section(reducing, tables["orders"]))
    assert said not in str(orders_section(context, tables["orders"]))
    assert summarise(reducing, tables).count("will be denied: the account is reducing") == len(bought)


def test_a_deposit_is_no_profit(context, tables):
    days = pd.DatetimeIndex(["2024-12-30", "2024-12-31"])
    account = pd.DataFrame({"date": days, "nav": [100_000.0, 105_100.0], "cash": [100.0, 5_100.0]})
    with_deposit = replace(context, flows=((days[0], 7.0), (days[1], 5_000.0)))
    text = " ".join(summarise(with_deposit, tables, account_nav=account).split())
    assert (
        "Account: net asset value 105,100.00 USD, cash 5,100.00 USD. The session changed it by +100 USD (+0.1%), "
        "besides 5,000.00 USD that were deposited."
    ) in text
    text = " ".join(summarise(context, tables, account_nav=account).split())
    assert "The session changed it by +5,100 USD (+5.1%)." in text


def test_columns_are_aligned(context, tables):
    lines = summarise(context, tables).splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith("Scores, out of sample"))
    assert len({len(line) for line in lines[start : start + 6]}) == 1


def test_it_is_plain_ascii(context, tables):
    assert summarise(context, tables).isascii()


def test_many_orders_are_cut_and_counted(context, tables):
    orders = pd.concat([tables["orders"].iloc[:1]] * 20)
    text = summarise(context, tables, orders=orders)
    assert text.count("  sell  KZQL") == 12
    assert "and 8 more in the report" in text


def test_the_first_day_is_summarised(context, empty_tables):
    text = summarise(context, empty_tables)
    for expected in (
        "no label",
        "none of the present parameters has been run yet",
        "0 sell, 0 buy, 0 hold",
        "nothing is booked yet",
        "Next:",
    ):
        assert expected in text


@pytest.mark.parametrize("sessions", [1, 2])
def test_a_backtest_of_one_or_two_sessions_is_summarised(context, tables, sessions):
    nav = tables["backtest_nav"].head(sessions)
    assert "Backtest 2022-01-03 to" in summarise(context, tables, backtest_nav=nav)


def test_a_measure_that_is_not_there_is_a_dash(context, tables):
    performance = {**tables["backtest_performance"], "sharpe": None}
    assert line_with(summarise(context, tables, backtest_performance=performance), "Sharpe ratio")[2] == "-"


def test_what_the_backtest_does_not_follow_stands_below_its_figures(context, tables):
    stopping = replace(context, not_backtested="Orders follow stop_rules (stop_loss 0.1), which the backtests do not.")
    lines = summarise(stopping, tables).splitlines()
    (place,) = (number for number, line in enumerate(lines) if line.startswith("Orders follow"))
    assert lines[place - 1].strip().startswith("maximum drawdown")
    assert "Orders follow" not in summarise(context, tables)
