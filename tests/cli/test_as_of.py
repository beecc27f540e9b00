"""Research of an old session on a market that has gone on is research of that session."""

import hashlib
import io

import pandas as pd
import yaml

MARKET, ACCOUNT = "data/markets/simulated", "data/accounts/sim"
RESEARCH = (
    f"{MARKET}/04_feature",
    f"{MARKET}/05_model_input",
    f"{MARKET}/07_model_output",
    f"{MARKET}/08_reporting",
    f"{ACCOUNT}/08_reporting/backtest",
    f"{ACCOUNT}/08_reporting/ensemble_search",
)
BESIDE = "factor_evaluation,model_report,ensemble_search,rolling,cross_validation"
EXPRESSION = "expression='Mean($close, 5)/$close-1'"


def outputs(project):
    """Content of every file that research writes, but for the daily files, which are named by their session."""
    files = (file for folder in RESEARCH for file in sorted((project.path / folder).rglob("*")) if file.is_file())
    kept = [file for file in files if not {"latest", "alpha158_latest"} & set(file.parts) and file.name[0] != "."]
    return {str(file.relative_to(project.path)): hashlib.sha256(file.read_bytes()).hexdigest() for file in kept}


def test_every_stage_at_an_old_session_is_as_it_was_run_then_although_the_market_has_gone_on(project):
    file = project.path / "conf/sim/parameters_small.yml"
    settings = yaml.safe_load(file.read_text())
    settings["split"]["test"][1] = None
    settings["models"]["gru_alpha158"]["enabled"] = False
    settings["ensemble"] = {
        "default": "without_network",
        "combinations": {"all_equal": {"enabled": False}, "all_icir": {"enabled": False}},
    }
    file.write_text(yaml.safe_dump(settings))
    project.run("kedro run --pipelines features,training,ensemble,backtest")
    project.run(f"kedro run --pipelines {BESIDE} --params {EXPRESSION}")
    then = outputs(project)
    project.run("kedro run --pipelines ingestion,features,training,ensemble,backtest --params as_of=2025-02-28")
    assert pd.read_parquet(project.path / MARKET / "07_model_output/ensemble/fused_scores.parquet")[
        "datetime"
    ].max() == pd.Timestamp("2025-02-28")
    project.run("kedro run --pipelines features,training,ensemble,backtest --params as_of=2024-12-31")
    project.run(f"kedro run --pipelines {BESIDE} --params as_of=2024-12-31,{EXPRESSION}")
    now = outputs(project)
    assert len(then) > 40
    assert {name for name in then.keys() | now.keys() if then.get(name) != now.get(name)} == set()


def test_stages_cut_tables_that_were_made_later(project):
    """Without the earlier stages: features, labels and scores of a later session lie there."""
    backtest = project.path / ACCOUNT / "08_reporting/backtest/nav.parquet"
    file = project.path / "conf/sim/parameters_small.yml"
    settings = yaml.safe_load(file.read_text())
    settings["split"]["test"][1] = None
    file.write_text(yaml.safe_dump(settings))
    then = backtest.read_bytes()
    project.run("kedro run --pipelines ingestion,features,training,ensemble,backtest --params as_of=2025-02-28")
    assert backtest.read_bytes() != then
    project.run("kedro run --pipelines backtest --params as_of=2024-12-31")
    pd.testing.assert_frame_equal(pd.read_parquet(backtest), pd.read_parquet(io.BytesIO(then)))


def test_a_command_without_a_session_takes_the_last_booked_one(next_day, tmp_path):
    project = next_day.copy(tmp_path / "project")
    printed = project.run("kedro account show").stdout
    assert "2025-01-02" in printed or "2 January 2025" in printed


def test_a_run_without_a_session_takes_the_last_booked_one(next_day, tmp_path):
    project = next_day.copy(tmp_path / "project")
    assert "sim at the close of Thursday 2 January 2025" in project.run("kedro run --pipelines reporting").stdout
