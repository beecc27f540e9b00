"""What-ifs beside the account's own backtest."""

import json

import pandas as pd
import pytest
import yaml

from quant_pipeline.cli.stored_backtests import facts_of
from quant_pipeline.common.exceptions import ConfigurationError
from tests.helpers.damaged_json import DAMAGED_JSON

OWN = "data/accounts/sim/08_reporting/backtest"


def test_a_what_if_is_kept_apart_listed_and_compared(project):
    own = (project.path / OWN / "nav.parquet").read_bytes()
    project.run("kedro run --pipelines backtest --params backtest.name=narrow,strategy.topk=2")
    assert (project.path / OWN / "nav.parquet").read_bytes() == own
    listed = project.run("kedro backtest list").stdout
    assert next(line.split()[0] for line in listed.splitlines()[1:]) == "own"
    assert "narrow" in listed
    assert "strategy.topk 2 (5)" in " ".join(listed.split())
    assert "bundle" not in listed
    facts = project.path / "data/accounts/sim/08_reporting/backtests/narrow/facts.json"
    stored = json.loads(facts.read_text())
    former = {**stored["bundles"], "ridge_alpha158": "former"}
    facts.write_text(json.dumps(stored | {"bundles": former}))
    assert "bundle.ridge_alpha158 former (" in " ".join(project.run("kedro backtest list").stdout.split())
    facts.write_text(json.dumps(stored))
    compared = project.run("kedro backtest compare own narrow").stdout
    assert "own returned" in compared
    assert "page: data/accounts/sim/08_reporting/backtests/own_and_narrow.html" in compared
    assert (project.path / "data/accounts/sim/08_reporting/backtests/own_and_narrow.html").is_file()
    refused = project.run("kedro backtest compare own nothing", ok=False)
    assert "there is no backtest 'nothing'; there are own, narrow" in " ".join(
        refused.stderr.split() + refused.stdout.split()
    )
    same = project.run("kedro backtest compare own own", ok=False)
    assert "a backtest is compared with another one; both are 'own'" in same.stderr


def test_a_backtest_is_handed_over_and_the_fills_of_another_engine_are_compared(project):
    said = project.run("kedro backtest export own").stdout
    folder = project.path / "exports/backtest_own"
    plan = pd.read_parquet(folder / "plan.parquet")
    assert f"own: {len(plan):,} orders in exports/backtest_own" in said
    facts, rules = (json.loads((folder / name).read_text()) for name in ("exchange.json", "rules.json"))
    assert (facts["engine"], facts["currency"], rules["strategy"]["topk"]) == ("array", "USD", 5)
    assert facts["bundles"]
    none_yet = project.run("kedro backtest verdict exports/backtest_own", ok=False)
    assert "no engine has executed exports/backtest_own yet" in " ".join(none_yet.stderr.split())

    fills = pd.read_parquet(folder / "ours/fills.parquet")
    write_answer(folder, facts, fills)
    said = project.run("kedro backtest verdict exports/backtest_own").stdout
    assert "Other 1.0 (MIT), Python 3.13.0" in said
    assert "(100.00%)" in said
    write_answer(folder, facts, fills.assign(price=fills["price"] + 0.01))
    assert "unexplained" in project.run("kedro backtest verdict exports/backtest_own", ok=False).stdout


def write_answer(folder, facts, fills):
    place = folder / "engines/other"
    place.mkdir(parents=True, exist_ok=True)
    fills.to_parquet(place / "fills.parquet")
    named = {"engine": "Other", "engine_version": "1.0", "licence": "MIT", "python": "3.13.0", "seconds": 1.0}
    verdict = {"version": 1, "fingerprint": facts["fingerprint"], "prices": "with_costs", **named}
    (place / "verdict.json").write_text(json.dumps(verdict))


def test_the_bundle_of_a_model_goes_with_the_backtest(project):
    project.run("kedro backtest export own --bundle ridge_alpha158")
    folder = project.path / "exports/backtest_own"
    inputs = pd.read_parquet(folder / "bundle/inputs.parquet")
    described = json.loads((folder / "bundle/model.onnx.json").read_text())
    nav = pd.read_parquet(folder / "ours/nav.parquet")
    assert (inputs["date"].min(), inputs["date"].max()) == (nav["date"].iloc[0], nav["date"].iloc[-1])
    (predictions,) = project.path.glob("data/markets/*/07_model_output/ridge_alpha158/predictions.parquet")
    stored = pd.read_parquet(predictions).reset_index().rename(columns={"datetime": "date"})
    both = inputs.merge(stored, on=["date", "instrument"], suffixes=("", "_stored"))
    assert len(both) > 100
    assert (both["score"] - both["score_stored"]).abs().max() < 1e-12
    assert [*inputs.columns[2:-1]] == [*described["factors"]]
    refused = project.run("kedro backtest export own --bundle nothing", ok=False)
    assert "there is no enabled model 'nothing'" in " ".join(refused.stderr.split())


@pytest.mark.slow
def test_a_what_if_is_named_by_its_parameters_and_shown_by_a_report_of_its_own(project):
    project.run("kedro run --pipelines backtest --params strategy.topk=3,strategy.schedule.frequency=weekly")
    weekly = "data/accounts/sim/08_reporting/backtests/strategy.schedule.frequency=weekly__strategy.topk=3"
    facts = json.loads((project.path / weekly / "facts.json").read_text())
    assert facts["parameters"]["strategy"]["schedule"] == {"frequency": "weekly"}
    project.run("kedro run --pipelines backtest --params backtest.name=narrow,strategy.topk=2")
    page = "data/accounts/sim/08_reporting/2024-12-31/report.html"
    before = (project.path / page).read_bytes()
    told = project.run("kedro run --pipelines reporting --params strategy.topk=2,backtest.name=narrow").stdout
    assert "This is backtest narrow, of the --params of this run: not the account's own." in " ".join(told.split())
    assert "not the account&#39;s own" in (project.path / page).read_text()
    project.run("kedro run --pipelines reporting")
    assert (project.path / page).read_bytes() == before


def test_the_report_does_not_show_a_backtest_of_former_parameters(project):
    file = project.path / "conf/sim/parameters_small.yml"
    settings = yaml.safe_load(file.read_text())
    settings["strategy"] = {"topk": 4, "n_drop": 1, "schedule": {"frequency": "weekly"}}
    file.write_text(yaml.safe_dump(settings))
    printed = project.run("kedro run --pipelines daily --params as_of=2025-01-02").stdout
    assert "Backtest: none of the present parameters has been run yet." in printed
    assert "Combinations (*" not in printed
    page = project.path / "data/accounts/sim/08_reporting/2025-01-02/report.html"
    assert "No backtest of the present parameters has been run." in page.read_text()
    printed = project.run("kedro run --pipelines backtest,reporting --params as_of=2025-01-02").stdout
    assert "Backtest 2024-04-01 to 2025-01-02" in printed
    assert "Decided at the close of each Monday, executed at the next open" in page.read_text()
    positions = pd.read_parquet(project.path / OWN / "positions.parquet")
    assert positions.groupby("date")["instrument"].nunique().max() <= 4


@pytest.mark.parametrize("text", DAMAGED_JSON.values(), ids=DAMAGED_JSON)
def test_damaged_facts_of_a_stored_backtest_are_named(tmp_path, text):
    (tmp_path / "facts.json").write_bytes(text)
    with pytest.raises(ConfigurationError, match=r"facts\.json cannot be read: .*\. Run that backtest again\.$"):
        facts_of(tmp_path)
