"""``kedro account preview``: one object for programs, a picture for the operator, and nothing written."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from quant_pipeline.__main__ import Place
from quant_pipeline.cli.account import account as command

CASES = Path(__file__).parents[1] / "trading/statements/cases"


@pytest.fixture(scope="module")
def project(tmp_path_factory, project_path):
    """A project folder without a market, an account or keys."""
    path = tmp_path_factory.mktemp("previews")
    shutil.copytree(project_path / "conf", path / "conf", ignore=shutil.ignore_patterns("credentials.yml", "local"))
    (path / "conf" / "local").mkdir()
    (path / "src").mkdir()
    shutil.copy(project_path / "pyproject.toml", path)
    return path


@pytest.fixture
def preview(project):
    def preview(case, *options):
        folder = CASES / case / "statements"
        return CliRunner().invoke(command, ["preview", str(folder), *map(str, options)], obj=Place(project))

    return preview


@pytest.mark.parametrize("environment", ["sim", "files", "qlib", "paper", "live"])
def test_every_shipped_environment_previews_without_market_and_keys(preview, environment):
    result = preview("ib_split_and_sale_same_day", "--env", environment, "--json")
    assert result.exit_code == 0
    assert json.loads(result.output) == {
        "ok": True,
        "cash": "88623.00",
        "positions": {"NVDA": "950"},
        "realised": "23.95",
        "problems": [],
        "warnings": [],
        "quarantined": [],
    }


def test_preview_writes_nothing(preview, project):
    before = sorted(project.rglob("*"))
    assert preview("schwab", "--conf", CASES / "schwab/conf.yml").exit_code == 0
    assert sorted(project.rglob("*")) == before


def test_problems_are_one_list_and_the_exit_status_is_1(preview):
    result = preview("ib_mixed_assets", "--json")
    found = json.loads(result.output)
    assert (result.exit_code, found["ok"], found["positions"]["KO"]) == (1, False, "2500")
    assert len(found["problems"]) == 1


def test_calendar_and_currency_of_a_file_of_configuration_are_taken(preview):
    result = preview("csv_utf16", "--conf", CASES / "csv_utf16/conf.yml", "--json")
    assert json.loads(result.output)["cash"] == "489744.90"


def test_account_in_another_currency_than_its_market_is_a_problem(preview, tmp_path):
    file = tmp_path / "conf.yml"
    file.write_text("currency: GBP\nformats: {plain: {currency: GBP}}\n")
    found = json.loads(preview("fractional_positions", "--conf", file, "--json").output)
    assert [problem[:72] for problem in found["problems"]] == [
        "the account is kept in GBP (statement_import.currency), the prices of XN"
    ]


def test_picture_names_formats_lots_and_problems(preview):
    result = preview("ib_spin_off")
    assert result.exit_code == 1
    for words in ("interactive_brokers", "GEV", "17001", "problem: interactive_brokers.csv, row 14", "1 problems"):
        assert words in result.output


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (
            "statement_import: {formats: {plain: {decimals: ','}}}",
            "nothing reads `statement_import.formats.plain.decimals`",
        ),
        ("- a list", "has to hold `statement_import:`"),
        ("{", "cannot be read"),
    ],
)
def test_configuration_that_cannot_be_used_is_one_problem(preview, tmp_path, written, message):
    file = tmp_path / "conf.yml"
    file.write_text(written)
    result = preview("short_sale", "--conf", file, "--json")
    found = json.loads(result.output)
    assert (result.exit_code, len(found["problems"])) == (1, 1)
    assert message in found["problems"][0]


def test_folder_that_is_not_there_is_named(preview):
    found = json.loads(preview("nowhere", "--json").output)
    assert found["problems"][0].startswith("there is no folder ")


def test_split_that_the_ingested_market_knows_is_a_problem(preview, project):
    file = project / "data/markets/simulated/02_intermediate/corporate_actions.parquet"
    file.parent.mkdir(parents=True)
    split = {"date": pd.Timestamp("2025-02-10"), "instrument": "NVDA", "kind": "split", "value": 10.0}
    pd.DataFrame([split]).to_parquet(file)
    try:
        found = json.loads(preview("split_only_in_market", "--json").output)
    finally:
        shutil.rmtree(project / "data")
    assert found["problems"][0].endswith("2025-02-10,split,NVDA,900")
