"""A run that cannot reach its end stops before it writes anything, and says everything that is missing at once."""

import shutil
import sqlite3

import pandas as pd
import pytest
import yaml

from quant_pipeline.factors import alpha158
from tests.helpers.representatives import representatives

MARKET = "data/markets/simulated"
MINE = "{algorithm: ridge, features: alpha158}"


def tree(project):
    """Every file of the data with the time of its last change, and the events of the ledger."""
    with sqlite3.connect(project.path / "data/accounts/sim/ledger.sqlite") as connection:
        events = connection.execute("select * from event order by 1").fetchall()
    files = (file for file in sorted((project.path / "data").rglob("*")) if file.is_file())
    kept = [
        file for file in files if file.suffix not in {".sqlite", ".sqlite-wal", ".sqlite-shm"} and "/." not in str(file)
    ]
    return {str(file.relative_to(project.path)): file.stat().st_mtime_ns for file in kept}, events


def refused(project, command):
    """Run a command that has to be refused with nothing written; return its message on one line."""
    before = tree(project)
    done = project.run(command, ok=False)
    assert done.returncode == 1
    assert tree(project) == before
    printed = " ".join((done.stdout + done.stderr).split())
    assert "Traceback" not in printed
    assert printed.count("Error:") == 1
    return printed.partition("Error: ")[2]


def configure(project, **blocks):
    file = project.path / "conf/sim/parameters_small.yml"
    settings = yaml.safe_load(file.read_text())
    for name, block in blocks.items():
        settings[name] = {**settings.get(name, {}), **block}
    file.write_text(yaml.safe_dump(settings))


def test_a_day_without_a_session_is_refused_before_anything_is_written(project):
    message = refused(project, "kedro run --pipelines daily --params as_of=2025-01-04")
    assert message == (
        "as_of=2025-01-04 is not a session of XNYS; the last one before it is 2025-01-03. Pass that with "
        "--params as_of=…"
    )


def test_everything_that_a_daily_run_lacks_is_one_message(project):
    shutil.rmtree(project.path / MARKET / "06_models/ridge_alpha158/bundle")
    (project.path / MARKET / "07_model_output/ensemble/weights.parquet").unlink()
    (project.path / "data/accounts/sim/08_reporting/backtest/nav.parquet").unlink()
    message = refused(
        project, "kedro run --pipelines daily --params as_of=2025-01-04,order_generation.source=somebody_elses"
    )
    assert message.startswith(
        "nothing was written, because 5 things are missing: (1) as_of=2025-01-04 is not a session"
    )
    assert "dataset 'backtest_nav' has not been made yet; run `kedro run --pipelines backtest` first." in message
    assert "dataset 'ensemble_weights' has not been made yet; run `kedro run --pipelines ensemble` first." in message
    assert "there is no champion of ridge_alpha158; train it first: `kedro run --pipelines training`" in message
    assert "order_generation.source is 'somebody_elses', which is neither a combination nor a model in use" in message


def test_the_backtest_that_other_parameters_lack_is_made_with_these_parameters(project):
    message = refused(project, "kedro run --pipelines daily --params as_of=2025-01-02,strategy.topk=2,rhythm=weekly")
    assert "run `kedro run --pipelines backtest --params strategy.topk=2,rhythm=weekly` first." in message


def test_orders_from_a_file_that_is_not_there_are_refused_before_the_ledger_moves(project):
    message = refused(project, "kedro run --pipelines daily --params as_of=2025-01-02,order_generation.source=file")
    assert message.startswith("order_generation.source is `file`, but there is no file of scores")


def test_a_champion_of_another_execution_price_is_refused_before_the_ledger_moves(project):
    message = refused(project, "kedro run --pipelines daily --params as_of=2025-01-02,market_rules.deal_price=close")
    assert "ridge on alpha158 was trained to predict Ref($open, -2)/Ref($open, -1)-1, but" in message


def test_a_champion_of_other_expressions_is_refused_before_the_ledger_moves(project):
    changed = {**alpha158.EXPRESSIONS, "KMID": "($close-$open)/$close"}
    configure(project, feature_sets={"alpha158": {"library": None, "expressions": changed}})
    message = refused(project, "kedro run --pipelines daily --params as_of=2025-01-02")
    assert (
        "ridge on alpha158 was trained on KMID = ($close-$open)/$open, which is ($close-$open)/$close by now" in message
    )


def test_weights_of_other_models_are_refused_before_the_ledger_moves(project):
    configure(project, ensemble={"combinations": {"all_icir": {"models": ["lightgbm_alpha158", "ridge_alpha158"]}}})
    message = refused(project, "kedro run --pipelines daily --params as_of=2025-01-02")
    assert message.startswith("combination 'all_icir' fuses lightgbm_alpha158, ridge_alpha158, but its stored")


def test_files_that_end_before_the_session_are_refused_before_anything_is_written(project, tmp_path):
    bars = pd.read_parquet(project.path / MARKET / "02_intermediate/bars.parquet")
    folder = tmp_path / "bars"
    folder.mkdir()
    for instrument, table in bars.groupby("instrument"):
        table.drop(columns=["instrument", "vendor_adjusted_close"]).to_csv(folder / f"{instrument}.csv", index=False)
    message = refused(
        project,
        f"kedro run --env files --pipelines ingestion --params market_folder={folder},as_of=2025-01-03",
    )
    assert message.startswith("the bars end on 2024-12-31, before as_of=2025-01-03. Bring newer bars")
    assert not (project.path / "data/markets/files/02_intermediate").exists()


@pytest.mark.parametrize("is_trained", representatives([False, True], {False}))
def test_a_model_that_no_combination_uses_never_stops_the_day(project, is_trained):
    configure(project, models={"mine": yaml.safe_load(MINE)})
    if is_trained:
        project.run("kedro run --pipelines training --namespaces mine")
    project.run("kedro run --pipelines daily --params as_of=2025-01-02")
    warned = "ridge on alpha158, which no combination uses, is not scored: it has no champion; train it with"
    assert (warned in (project.path / "logs/sim.jsonl").read_text()) != is_trained
    opinions = pd.read_parquet(project.path / "data/accounts/sim/opinions/2025-01-02.parquet")
    assert ("mine" in set(opinions["source"])) == is_trained


def test_sessions_without_a_daily_run_are_named_in_the_summary_and_in_the_report(project):
    printed = project.run("kedro run --pipelines daily --params as_of=2025-01-06").stdout
    assert "Missed 2 sessions, no orders were decided: 2025-01-02, 2025-01-03" in printed
    page = (project.path / "data/accounts/sim/08_reporting/2025-01-06/report.html").read_text()
    assert "2 sessions missed, no orders were decided: 2025-01-02, 2025-01-03." in page
    told = project.run("kedro account missed --params as_of=2025-01-06").stdout
    assert "2025-01-02 Thursday: no orders were decided\n2025-01-03 Friday: no orders were decided" in told


@pytest.mark.slow
def test_missed_sessions_are_named_once_in_a_summary_and_stay_in_the_report(project):
    project.run("kedro run --pipelines daily --params as_of=2025-01-06")
    assert "Missed" not in project.run("kedro run --pipelines daily --params as_of=2025-01-07").stdout
    page = (project.path / "data/accounts/sim/08_reporting/2025-01-07/report.html").read_text()
    assert "2 sessions missed, no orders were decided: 2025-01-02, 2025-01-03." in page
