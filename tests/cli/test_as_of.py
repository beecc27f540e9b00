"""Research of an old session on a market that has gone on is research of that session."""

import hashlib
from functools import cache

import pandas as pd
import pytest
import yaml

from quant_pipeline.datasets.kept_digests import FOLDER as DIGESTS

MARKET, ACCOUNT = "data/markets/simulated", "data/accounts/sim"
RESEARCH = (
    f"{MARKET}/04_feature",
    f"{MARKET}/05_model_input",
    f"{MARKET}/07_model_output",
    f"{MARKET}/08_reporting",
    f"{ACCOUNT}/08_reporting/backtest",
    f"{ACCOUNT}/08_reporting/ensemble_search",
    f"{ACCOUNT}/08_reporting/signals",
)
PATH = "features,training,ensemble,backtest"
NAV = f"{ACCOUNT}/08_reporting/backtest/nav.parquet"
FUSED = f"{MARKET}/07_model_output/ensemble/fused_scores.parquet"
BESIDE = (
    "factor_evaluation,signal_evaluation,model_report,ensemble_search,rolling,cross_validation,tuning,qlib_comparison"
)
EXPRESSION = "expression='Mean($close, 5)/$close-1',signal=rsi,tuning.trials=2"


def outputs(project):
    """Content of every file that research writes, but for daily files, named by their session, and what is hidden."""
    files = (file for folder in RESEARCH for file in sorted((project.path / folder).rglob("*")) if file.is_file())
    left_out = {"latest", "alpha158_latest", DIGESTS}
    kept = [file for file in files if not left_out & set(file.parts) and file.name[0] != "."]
    return {str(file.relative_to(project.path)): hashlib.sha256(file.read_bytes()).hexdigest() for file in kept}


@pytest.fixture(scope="module")
def gone_on(finished, tmp_path_factory):
    """Return a function that does research of the last session and then of a later one; what it wrote first, too."""

    @cache
    def research(beside):
        project = finished.copy(tmp_path_factory.mktemp("gone-on") / "project")
        file = project.path / "conf/sim/parameters_small.yml"
        settings = yaml.safe_load(file.read_text())
        settings["split"]["test"][1] = None
        settings["models"]["gru_alpha158"]["enabled"] = False
        settings["ensemble"] = {
            "default": "without_network",
            "combinations": {"all_equal": {"enabled": False}, "all_icir": {"enabled": False}},
        }
        file.write_text(yaml.safe_dump(settings))
        project.run(f"kedro run --pipelines {PATH}")
        if beside:
            project.run(f"kedro run --pipelines {beside} --params {EXPRESSION}")
        then = outputs(project)
        nav = pd.read_parquet(project.path / NAV)
        project.run(f"kedro run --pipelines ingestion,{PATH} --params as_of=2025-02-28")
        assert pd.read_parquet(project.path / FUSED)["datetime"].max() == pd.Timestamp("2025-02-28")
        assert len(pd.read_parquet(project.path / NAV)) > len(nav)
        return project, then, nav

    return research


def test_stages_cut_tables_that_were_made_later(gone_on, tmp_path):
    """Without the earlier stages: features, labels and scores of a later session lie there."""
    later, _, nav = gone_on("")
    project = later.copy(tmp_path / "project")
    project.run("kedro run --pipelines backtest --params as_of=2024-12-31")
    pd.testing.assert_frame_equal(pd.read_parquet(project.path / NAV), nav)


@pytest.mark.parametrize("beside", ["", pytest.param(BESIDE, marks=pytest.mark.slow)], ids=["to the backtest", "all"])
def test_every_stage_at_an_old_session_is_as_it_was_run_then_although_the_market_has_gone_on(gone_on, beside, tmp_path):
    later, then, _ = gone_on(beside)
    project = later.copy(tmp_path / "project")
    project.run(f"kedro run --pipelines {PATH} --params as_of=2024-12-31")
    if beside:
        project.run(f"kedro run --pipelines {beside} --params as_of=2024-12-31,{EXPRESSION}")
    now = outputs(project)
    assert len(then) > (40 if beside else 20)
    assert {name for name in then.keys() | now.keys() if then.get(name) != now.get(name)} == set()


def test_a_command_without_a_session_takes_the_last_booked_one(next_day, tmp_path):
    project = next_day.copy(tmp_path / "project")
    printed = project.run("kedro account show").stdout
    assert "2025-01-02" in printed or "2 January 2025" in printed


def test_a_run_without_a_session_takes_the_last_booked_one(next_day, tmp_path):
    project = next_day.copy(tmp_path / "project")
    assert "sim at the close of Thursday 2 January 2025" in project.run("kedro run --pipelines reporting").stdout
