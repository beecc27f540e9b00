"""The four scenarios of `docs/guides/routine.md`, each from a fresh folder: how many commands, and whose orders.

A fresh folder after `kedro run`, and the day after it, are shared by all tests of commands.
`test_ensemble_adopt.py` goes from a search to orders.
"""

import re

import pandas as pd
import pytest

from tests.helpers.plans import bundles_of, champions, newest_plan

FULL = ["kedro run"]
DAY = ["kedro run --pipelines daily --params as_of=2025-01-02"]
ONE_MODEL = [
    "kedro run --pipelines training --namespaces ridge_alpha158 --params models.ridge_alpha158.hyper.alpha=0.02",
    "kedro run --pipelines ensemble,prediction,post_trade,order_generation",
]
COMBINATIONS = [
    "kedro run --pipelines ensemble_search",
    "kedro ensemble adopt searched",
    "kedro run --pipelines ensemble,backtest,prediction,post_trade,order_generation",
]

OWN_FILES = (("yaml", "account:"), ("", "date,"))
"""Files of an account of one's own in the guide: language of the block, and how it begins."""


@pytest.mark.parametrize(("commands", "most"), [(FULL, 2), (DAY, 1), (ONE_MODEL, 2), (COMBINATIONS, 3)])
def test_the_guide_shows_the_scenarios_and_they_are_short(commands, most, project_path):
    shown = (project_path / "docs/guides/routine.md").read_text()
    assert len(commands) <= most
    assert [command for command in commands if command not in shown] == []


def test_the_full_routine_trades_the_models_that_it_trained(finished):
    plan = newest_plan(finished)
    assert bundles_of(plan) == champions(finished)
    assert plan["provenance"]["scores"] == "all_icir"
    assert {order["side"] for order in plan["orders"]} == {"buy"}


def test_a_day_trades_the_champions_on_scores_of_that_day(next_day):
    plan = newest_plan(next_day)
    assert bundles_of(plan) == champions(next_day)
    fused = pd.read_parquet(next_day.path / "data/markets/simulated/07_model_output/ensemble/latest/2025-01-02.parquet")
    assert fused["datetime"].unique().tolist() == [pd.Timestamp("2025-01-02")]
    assert plan["deal_session"] == "2025-01-03"


def test_a_model_that_is_retrained_gives_the_orders_and_orders_of_its_former_self_are_refused(project):
    before = champions(project)
    printed = project.run(ONE_MODEL[0]).stdout
    after = champions(project)
    assert f"champion {after['ridge_alpha158']} scores from now on, after {before['ridge_alpha158']}" in printed
    assert {model for model in before if before[model] != after[model]} == {"ridge_alpha158"}
    stale = project.run("kedro run --pipelines order_generation", ok=False)
    assert f"come from bundle {before['ridge_alpha158']} of ridge_alpha158" in " ".join(stale.stderr.split())
    assert bundles_of(newest_plan(project)) == before
    project.run(ONE_MODEL[1])
    assert bundles_of(newest_plan(project)) == after


def test_an_account_begins_with_the_holdings_that_a_file_names(project, project_path):
    guide = (project_path / "docs/guides/routine.md").read_text()
    block, table = (re.search(rf"```{kind}\n({start}.*?)```", guide, re.DOTALL)[1] for kind, start in OWN_FILES)
    project.run("kedro account new mine --from sim")
    (project.path / "conf/mine/parameters_own.yml").write_text(block)
    statements = project.path / "data/accounts/mine/01_raw/statements"
    statements.mkdir(parents=True)
    (statements / "plain.csv").write_text(table)
    printed = project.run("kedro run --env mine --pipelines ingestion,post_trade,prediction,order_generation").stdout
    assert "0 trades in the session, net asset value 26,288.00, cash 25,000.00" in printed
    assert [line for line in printed.splitlines() if line.startswith("Next: ")] == [
        "Next: kedro run --pipelines execution --env mine --params as_of=2024-12-31,dry_run=true"
    ]
    shown = project.run("kedro account show --env mine").stdout
    assert re.search(r"DERU +100 +12\.50 +12\.88 +1,288\.00 +\+38\.00", shown)
    orders = pd.read_csv(project.path / "data/accounts/mine/orders/2024-12-31.csv")
    sides = orders[orders["side"] != "alternate"].set_index("instrument")["side"].to_dict()
    assert sides == {"DERU": "hold", "LELE": "buy", "FOKE": "buy", "ZOFU": "buy", "MEVA": "buy"}
