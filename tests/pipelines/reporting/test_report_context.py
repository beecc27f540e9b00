import json
import shlex

import pandas as pd
import pytest

from quant_pipeline.market.quality import QualityParameters
from quant_pipeline.pipelines.order_generation.parameters import OrderGenerationParameters
from quant_pipeline.pipelines.reporting.context import describe_run
from quant_pipeline.pipelines.reporting.next_steps import AccountInReport
from quant_pipeline.pipelines.reporting.parameters import ReportParameters
from quant_pipeline.strategy.account_parameters import AccountParameters
from quant_pipeline.trading.ledger.events import Event, EventKind
from quant_pipeline.trading.orders.desk import trading_state_event
from quant_pipeline.trading.orders.execution_parameters import ExecutionRules
from quant_pipeline.trading.orders.risk_view import TradingState


def describe(settings, account="sim", as_of="2024-12-31", repeat=None, own=None, **changed):
    path = f"data/accounts/{account}/08_reporting"
    report = ReportParameters(account=account, market="simulated", path=path, repeat=repeat or {})
    parameters = {**settings["parameters"], "as_of": as_of, **changed}
    return describe_run(report, as_of, settings["market_rules"], "all_icir", 1, parameters, own)


def test_orders_execute_in_the_next_session_of_the_exchange(settings):
    assert describe(settings).executes_in == pd.Timestamp("2025-01-02")


def plan_of(bundle):
    payload = {"provenance": {"bundle.ridge_alpha158": bundle, "weights_sha256": "f" * 64}}
    return Event(pd.Timestamp("2024-12-31"), EventKind.PLAN_RECORDED, "plan:2025-01-02:0", payload)


def test_a_backtest_of_other_versions_than_those_that_score_says_so(settings):
    own = AccountInReport(AccountParameters(name="sim"), ExecutionRules(), (plan_of("newer"),))
    context = describe(settings, own=own)
    facts = {"hash": context.backtest_hash, "bundles": {"ridge_alpha158": "former", "gru_alpha158": "any"}}
    assert context.with_backtest(facts).not_backtested == (
        "The backtest is of other versions of ridge_alpha158 than the orders; `kedro run --pipelines "
        "ensemble,backtest` makes one of the newest training."
    )
    for same in ({"bundles": {"ridge_alpha158": "newer"}}, {"bundles": {}}, {"hash": "of other parameters"}):
        assert context.with_backtest(facts | same).not_backtested == ""


def test_models_of_another_label_are_named_where_all_are_measured_on_that_of_the_account(settings):
    week = {"algorithm": "ridge", "features": "alpha158", "label": {"horizon": 5}}
    day = {"algorithm": "ridge", "features": "alpha158"}
    assert describe(settings, models={"day": day, "same": {**day, "label": {"horizon": 1}}}).other_labels == ""
    unused = {**week, "enabled": False}
    assert describe(settings, models={"day": day, "week": week, "unused": unused}).other_labels == (
        "All are measured on the label of the account (open, 1 session), although some learned open, 5 sessions (week)."
    )


def test_a_session_at_whose_close_the_strategy_does_not_decide_is_known(settings):
    weekly = {"topk": 5, "schedule": {"frequency": "weekly"}}
    tuesday = describe(settings, strategy=weekly)
    assert (tuesday.is_decided, tuesday.decides) == (False, "the close of each Monday")
    assert describe(settings, strategy=weekly, as_of="2024-12-30").is_decided
    assert describe(settings).is_decided


def test_the_next_commands_of_a_simulated_account_are_in_the_order_of_the_day(settings):
    commands = [command for command, _ in describe(settings).next_commands]
    assert commands[:2] == [
        "kedro run --pipelines execution --params as_of=2024-12-31,dry_run=true",
        "kedro run --pipelines daily --params as_of=2025-01-02",
    ]


def at_broker(filled_by="broker", events=(), **execution):
    return AccountInReport(AccountParameters(name="live", filled_by=filled_by), ExecutionRules(**execution), events)


def test_the_next_commands_at_a_broker_are_in_the_order_of_the_day_with_their_times(settings):
    steps = describe(settings, account="live", as_of="2025-07-02", own=at_broker(needs_arming=True)).next_commands
    assert steps[:4] == (
        (
            "kedro run --pipelines execution --env live --params as_of=2025-07-02,dry_run=true",
            "now: see the orders with their risk verdicts",
        ),
        (
            "kedro account arm --env live --params as_of=2025-07-02",
            "before 2025-07-03 13:30 UTC: let the session send real orders",
        ),
        (
            "kedro run --pipelines execution --env live --params as_of=2025-07-02",
            "from 2025-07-03 13:30 UTC on: send the orders",
        ),
        (
            "kedro run --pipelines daily --env live --params as_of=2025-07-03",
            "after 2025-07-03 17:00 UTC: book the session and decide on the next one",
        ),
    )
    assert "arm" not in str(describe(settings, account="paper", own=at_broker()).next_commands)
    # Its runs may lie at a server, which the configuration of the account names.
    assert steps[-1][0] == "kedro mlflow ui --env live"


@pytest.mark.parametrize(
    ("kind", "when"),
    [
        ("opg", "before the opening auction of 2025-01-02 14:30 UTC: send the orders"),
        ("cls", "before the closing auction of 2025-01-02 21:00 UTC: send the orders"),
    ],
)
def test_orders_of_an_auction_leave_before_it(settings, kind, when):
    assert when in [
        what for _, what in describe(settings, own=at_broker(time_in_force=kind, waves="together")).next_commands
    ]


def test_an_account_of_statements_is_executed_by_hand(settings):
    steps = describe(settings, account="hand", own=at_broker("statements")).next_commands
    assert steps[0] == (
        "kedro account orders --env hand",
        "the orders to execute by hand, from 2025-01-02 14:30 UTC on",
    )
    assert "with the new statement" in steps[1][1]


def test_a_state_that_is_not_active_stands_in_the_context_with_its_command(settings):
    halted = trading_state_event(pd.Timestamp("2024-12-31"), 0, TradingState.HALTED, "PERSON", "drill")
    (remark,) = describe(settings, account="live", own=at_broker(events=(halted,))).remarks
    assert remark == (
        "the account is halted since 2024-12-31: drill (PERSON); all orders are denied until `kedro account resume "
        "--env live`"
    )
    later = trading_state_event(pd.Timestamp("2025-01-03"), 1, TradingState.ACTIVE, "PERSON", "over")
    assert describe(settings, account="live", own=at_broker(events=(halted, later))).remarks == (remark,)


def test_the_next_command_repeats_what_the_command_line_gave(settings):
    context = describe(settings, account="files", repeat={"market_folder": "my/bars", "not_given": None})
    assert context.next_commands[1][0] == (
        "kedro run --pipelines daily --env files --params as_of=2025-01-02,market_folder=my/bars"
    )


def test_a_folder_with_a_blank_is_one_word_of_the_command(settings):
    context = describe(settings, account="files", repeat={"market_folder": "my bars"})
    assert shlex.split(context.next_commands[1][0])[-1] == "as_of=2025-01-02,market_folder=my bars"


def test_commands_name_the_environment_of_any_account_but_the_default(settings):
    context = describe(settings, account="paper")
    assert context.next_commands[1][0] == "kedro run --pipelines daily --env paper --params as_of=2025-01-02"
    assert context.command("backtest") == "kedro run --pipelines backtest --env paper"
    assert describe(settings).command("backtest") == "kedro run --pipelines backtest"


def test_the_page_lies_under_its_session(settings):
    assert describe(settings).path == "data/accounts/sim/08_reporting/2024-12-31/report.html"


def test_the_hash_is_of_the_settings_and_not_of_the_session(settings):
    known = describe(settings).parameters_hash
    assert describe(settings, as_of="2024-12-30").parameters_hash == known
    assert describe(settings, split={"test": ["2022-01-04", None]}).parameters_hash != known


def test_the_hash_does_not_depend_on_the_order_of_keys(settings):
    turned = dict(reversed(settings["parameters"].items()))
    assert describe({**settings, "parameters": turned}).parameters_hash == describe(settings).parameters_hash


def test_the_hash_does_not_depend_on_which_blocks_kedro_has_validated(settings):
    written = {"initial_cash": 1_000_000, "name": "sim"}
    validated = AccountParameters(**written)
    assert (
        describe(settings, account_rules=validated).parameters_hash
        == describe(settings, account_rules=written).parameters_hash
    )


def test_parameters_are_shown_as_they_are_configured(settings):
    nested = {"split": {"test": ("2022-01-03", None)}, "quality": QualityParameters(max_move=0.5)}
    shown = json.loads(describe(settings, **nested).parameters)
    assert shown["split"] == {"test": ["2022-01-03", None]}
    assert shown["quality"] == {"max_move": 0.5}


@pytest.mark.parametrize("library", ["quant-pipeline", "Python", "kedro", "pandas", "plotly"])
def test_versions_are_named(settings, library):
    assert describe(settings).versions[library]


def test_rules_of_the_account_that_no_backtest_follows_are_named(settings):
    assert describe(settings).not_backtested == ""
    still_off = {"position_sizing": {"method": "fixed"}, "stop_rules": {"cooldown": 3, "stop_loss": None}}
    assert describe(settings, order_generation=still_off).not_backtested == ""
    stops = {"stop_loss": 0.1, "time_stop": 20}
    both = {"position_sizing": {"method": "fractional_kelly"}, "stop_rules": stops}
    expected = (
        "Orders follow position_sizing (fractional_kelly) and stop_rules (stop_loss 0.1, time_stop 20), which the "
        "backtests do not: their results are those without."
    )
    assert describe(settings, order_generation=both).not_backtested == expected
    validated = OrderGenerationParameters.model_validate(both)
    assert describe(settings, order_generation=validated).not_backtested == expected
