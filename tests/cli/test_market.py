"""``market check`` as its users call it: one JSON object, an exit status, lines for a terminal."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from quant_pipeline.__main__ import Place
from quant_pipeline.cli.market import market

ROOT = Path(__file__).resolve().parents[2]
CASES = ROOT / "tests/market/sources/cases"


def run(*arguments):
    return CliRunner().invoke(market, ["check", *map(str, arguments)], obj=Place(ROOT))


def test_json_is_one_object_and_the_status_says_whether_it_can_be_read():
    result = run(CASES / "14_wiki_split", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {
        "ok": True,
        "layouts": {"WIKI_PRICES.csv": "quandl_wiki"},
        "instruments": 5,
        "rows": 505,
        "first": "2024-01-02",
        "last": "2024-05-24",
        "actions": {"cash_dividend": 5, "split": 1},
        "problems": [],
        "findings": {"vendor_adjustment": 5},
        "errors": [],
    }


def test_a_folder_that_cannot_be_read_has_status_one_and_names_why():
    result = run(CASES / "41_inf_price", "--json")
    assert result.exit_code == 1
    problems = json.loads(result.stdout)["problems"]
    assert problems[0] == "AAA.csv, row 46, AAA: high 'inf' is no positive price"


@pytest.mark.parametrize("folder", ["nowhere", "."])
def test_a_folder_without_tables_is_a_problem_not_a_traceback(tmp_path, folder):
    result = run(tmp_path / folder, "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["ok"] is False


def test_the_terminal_shows_layout_adjustment_calendar_and_the_remedy():
    result = run(CASES / "06_yf_split_not_applied")
    assert result.exit_code == 1
    assert (
        "layout yahoo_history_adjusted (Yahoo Ticker.history(), adjusted closes with actions): AAA.csv" in result.stdout
    )
    assert "calendar XNYS (recognised), daily bars" in result.stdout
    assert "  exclude:\n  - instrument: AAA" in result.stdout


def test_options_of_a_file_come_before_those_of_the_environment(tmp_path):
    options = tmp_path / "options.yml"
    options.write_text("market_source:\n  parameters:\n    benchmark: SPY.csv\n")
    assert json.loads(run(CASES / "30e_benchmark_beside", "--json").stdout)["instruments"] == 6
    assert json.loads(run(CASES / "30e_benchmark_beside", "--conf", options, "--json").stdout)["instruments"] == 5
    options.write_text("on_problem: leave_out\n")
    assert run(CASES / "41_inf_price", "--conf", options).exit_code == 0


def test_an_option_that_does_not_exist_is_named_with_its_file(tmp_path):
    options = tmp_path / "options.yml"
    options.write_text("benchmarks: SPY.csv\n")
    result = run(CASES / "30e_benchmark_beside", "--conf", options, "--json")
    assert result.exit_code == 1
    assert "did you mean 'benchmark'" in result.stderr
