"""A signal by name: as the source of orders, beside a model in a combination, in opinions, and with its backtest."""

import json

import pandas as pd
from mlflow import MlflowClient

from tests.helpers.plans import newest_plan

SESSION = "2024-12-31"
TRADED = (
    "kedro run --pipelines features,training,ensemble,prediction,order_generation "
    "--params order_generation.source=reversal,ensemble.combinations.with_signal.models=[ridge_alpha158,reversal]"
)


def test_a_signal_gives_orders_has_an_opinion_and_a_weight_beside_a_model(project):
    project.run(TRADED)
    market, account = (project.path / "data" / folder for folder in ("markets/simulated", "accounts/sim"))
    scores = pd.read_csv(market / f"07_model_output/reversal/latest/{SESSION}.csv").set_index("instrument")["score"]
    bars = pd.read_parquet(market / "03_primary/adjusted_bars.parquet")
    closes = bars[bars["date"] <= SESSION].pivot(index="date", columns="instrument", values="close")
    fallen = (1 - closes.iloc[-1] / closes.iloc[-6])[scores.index]
    pd.testing.assert_series_equal(scores, fallen, check_names=False, rtol=1e-4, atol=1e-6)
    plan = newest_plan(project)
    assert plan["provenance"]["scores"] == "reversal"
    buys = {order["instrument"] for order in plan["orders"] if order["side"] == "buy"}
    assert buys
    assert buys <= set(scores.nlargest(5).index)
    opinions = pd.read_parquet(account / f"opinions/{SESSION}.parquet")
    assert {"reversal", "with_signal", "ridge_alpha158"} <= set(opinions["source"])
    weights = pd.read_parquet(market / "07_model_output/ensemble/weights.parquet")
    assert set(weights.loc[weights["combination"] == "with_signal", "model"]) == {"ridge_alpha158", "reversal"}


def test_the_evaluation_of_a_signal_ends_with_its_result_and_is_recorded(project):
    printed = project.run("kedro run --pipelines signal_evaluation --params signal_evaluation.signal=macd").stdout
    folder = project.path / "data/accounts/sim/08_reporting/signals/macd"
    performance = json.loads((folder / "performance.json").read_text())
    assert "macd: rank IC " in printed
    assert "Page: data/accounts/sim/08_reporting/signals/macd/signal.html" in printed
    assert not (folder.parent / "rsi").exists()
    client = MlflowClient(f"sqlite:///{project.path / 'mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("sim").experiment_id], "tags.signal = 'macd'")
    assert run.data.metrics["sharpe"] == performance["sharpe"]
    assert {"ic", "rank_ic", "rank_ic_t"} <= set(run.data.metrics)
    assert "signal.html" in {file.path for file in client.list_artifacts(run.info.run_id)}
