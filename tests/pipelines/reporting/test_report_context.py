import json

import pandas as pd
import pytest

from quant_pipeline.market.quality import QualityParameters
from quant_pipeline.pipelines.order_generation.parameters import OrderGenerationParameters
from quant_pipeline.pipelines.reporting.context import describe_run
from quant_pipeline.pipelines.reporting.parameters import ReportParameters
from quant_pipeline.strategy.account_parameters import AccountParameters


def describe(settings, account="sim", as_of="2024-12-31", repeat=None, **changed):
    path = f"data/accounts/{account}/08_reporting"
    report = ReportParameters(account=account, market="simulated", path=path, repeat=repeat or {})
    parameters = {**settings["parameters"], "as_of": as_of, **changed}
    return describe_run(report, as_of, settings["market_rules"], "all_icir", 1, parameters)


def test_orders_execute_in_the_next_session_of_the_exchange(settings):
    assert describe(settings).executes_in == pd.Timestamp("2025-01-02")


def test_the_next_command_goes_on_by_one_session(settings):
    commands = [command for command, _ in describe(settings).next_commands]
    assert commands[0] == "kedro run --pipelines daily --params as_of=2025-01-02"
    assert commands[1] == "kedro run --pipelines execution --params as_of=2024-12-31,dry_run=true"


def test_the_next_command_repeats_what_the_command_line_gave(settings):
    context = describe(settings, account="files", repeat={"market_folder": "my/bars", "not_given": None})
    assert context.next_commands[0][0] == (
        "kedro run --pipelines daily --env files --params as_of=2025-01-02,market_folder=my/bars"
    )


def test_commands_name_the_environment_of_any_account_but_the_default(settings):
    context = describe(settings, account="paper")
    assert context.next_commands[0][0] == "kedro run --pipelines daily --env paper --params as_of=2025-01-02"
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
