"""From a search to the orders of an account."""

import json

import pandas as pd
import yaml

from tests.helpers.plans import bundles_of, champions, newest_plan

FILE = "conf/sim/parameters_ensemble.yml"


def test_the_winner_of_a_search_gives_the_orders_after_three_commands(project):
    (project.path / FILE).write_text("# mine\nensemble:\n  normalisation: zscore # as agreed\n")
    refused = project.run("kedro ensemble adopt searched", ok=False)
    assert "no search has been made yet; run `kedro run --pipelines ensemble_search` first" in refused.stderr
    printed = project.run("kedro run --pipelines ensemble_search --params ensemble_search.min_models=2").stdout
    assert "Best of 4 combinations: " in printed
    verdict = json.loads((project.path / "data/accounts/sim/08_reporting/ensemble_search/verdict.json").read_text())
    luck = "Keep the simplest combination; `kedro ensemble adopt searched` takes the best one all the same"
    assert (luck in printed) == (verdict["verdict"] != "probably skill")
    assert "Page: data/accounts/sim/08_reporting/ensemble_search/search.html" in printed
    for name, words in {
        "all_icir": "conf/base/parameters_ensemble.yml has a combination 'all_icir' already",
        "fused": "as a source of orders 'fused' means the default combination already",
        "ridge_alpha158": "as a source of orders 'ridge_alpha158' means a model already",
    }.items():
        assert words in " ".join(project.run(f"kedro ensemble adopt {name}", ok=False).stderr.split())
    adopted = project.run("kedro ensemble adopt searched").stdout
    assert "gives the orders: conf/sim/parameters_ensemble.yml" in adopted
    text = (project.path / FILE).read_text()
    assert text.startswith("# mine\nensemble:\n  normalisation: zscore # as agreed\n")
    assert "# Adopted from the ensemble search of 2024-04-" in text
    written = yaml.safe_load(text)["ensemble"]
    assert written["default"] == "searched"
    leader = pd.read_parquet(project.path / "data/accounts/sim/08_reporting/ensemble_search/leaderboard.parquet").iloc[
        0
    ]
    assert written["combinations"]["searched"] == {
        "models": leader["combination"].split(" + "),
        "member_weights": "equal",
    }
    assert leader["size"] >= 2
    again = project.run("kedro ensemble adopt searched", ok=False)
    assert "has a combination 'searched' already" in again.stderr
    printed = project.run("kedro run --pipelines ensemble,backtest,prediction,post_trade,order_generation").stdout
    assert "searched: rank IC" in printed
    opinions = pd.read_parquet(project.path / "data/accounts/sim/opinions/2024-12-31.parquet")
    assert "searched" in set(opinions["source"])
    plan = newest_plan(project)
    assert plan["provenance"]["scores"] == "searched"
    assert bundles_of(plan) == {model: champions(project)[model] for model in leader["combination"].split(" + ")}
