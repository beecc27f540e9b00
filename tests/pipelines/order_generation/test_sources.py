"""Which scores become orders: the chosen source, and what refuses it."""

import hashlib

import pandas as pd
import pytest
from kedro.framework.project import settings
from kedro.framework.startup import bootstrap_project

from quant_pipeline.common.exceptions import ConfigurationError, StaleDataError
from quant_pipeline.datasets.score_file import ScoreFile
from quant_pipeline.exchange.rules import MarketRules
from quant_pipeline.pipelines.ensemble.provenance import fingerprint_of_weights
from quant_pipeline.pipelines.order_generation import create_pipeline, nodes
from quant_pipeline.pipelines.order_generation.parameters import OrderGenerationParameters
from quant_pipeline.project import model_registry
from tests.helpers.six_instruments import (
    CHAMPIONS,
    CLOSE,
    DAYS,
    NAMES,
    OPEN,
    WEIGHTS,
    arguments,
    fused,
    ledger,
    opinions_on,
    panel,
    ranked,
    record,
    sides,
)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("fused", {"B": "sell", "C": "buy", "A": "hold"}),
        ("both", {"B": "sell", "C": "buy", "A": "hold"}),
        ("other", {"A": "sell", "F": "buy", "B": "hold"}),
        ("up", {"A": "hold", "B": "hold"}),
        ("down", {"A": "sell", "F": "buy", "B": "hold"}),
    ],
)
def test_orders_follow_the_chosen_source(source, expected):
    orders, _ = nodes.generate_orders(**arguments(source))
    assert sides(orders) == expected


def test_orders_follow_a_file(tmp_path):
    file = tmp_path / "scores.csv"
    ranked("EABCDF").drop(columns="label").rename(columns={"datetime": "date"}).to_csv(file, index=False)
    orders, _ = nodes.generate_orders(**arguments("file", score_file=ScoreFile(str(file)).load()))
    assert sides(orders) == {"B": "sell", "E": "buy", "A": "hold"}


def test_a_file_needs_no_model_and_no_prediction():
    given = arguments("file", score_file=ranked("EABCDF"))
    models = ("champions", "ensemble_weights")
    alone = {name: value for name, value in given.items() if not name.endswith("_scores") and name not in models}
    orders, for_people = nodes.generate_orders(**alone)
    alone = {name: value for name, value in alone.items() if name not in ("universe_members", "risk")}
    assert sides(orders) == {"B": "sell", "E": "buy", "A": "hold"}
    opinions, *_, page = nodes.tell_opinions(**alone, orders_with_alternates=for_people)
    assert opinions[["source", "kind", "is_chosen"]].drop_duplicates().to_numpy().tolist() == [["file", "file", True]]
    assert opinions.set_index("instrument")["opinion"].loc[["E", "A", "B", "C"]].tolist() == [
        "BUY",
        "HOLD",
        "SELL",
        "-",
    ]
    assert "by the scores of file, with what every other source of scores would do" in page
    wanted = ("score_file", "events", "ensemble", "order_generation", "market_rules", "account", "as_of")
    (plan,) = nodes.record_orders(**{name: alone[name] for name in wanted}, orders=orders)
    assert [order["instrument"] for order in plan.payload["orders"]] == ["B", "E"]
    assert plan.payload["provenance"]["scores"] == "file"


@pytest.mark.parametrize(("source", "asks_models"), [("fused", True), ("ridge_alpha158", True), ("file", False)])
def test_the_pipeline_asks_for_predictions_unless_a_file_brings_the_scores(
    project_path, monkeypatch, source, asks_models
):
    bootstrap_project(project_path)
    loader = settings.CONFIG_LOADER_CLASS(
        conf_source=str(project_path / "conf"),
        runtime_params={"order_generation": {"source": source}},
        **settings.CONFIG_LOADER_ARGS,
    )
    monkeypatch.setattr(model_registry, "_session_loader", loader)
    asked = {name for name in create_pipeline().inputs() if name.endswith("_scores")}
    assert ({"champions", "ensemble_weights"} <= create_pipeline().inputs()) == asks_models
    predictions = {f"{model}_latest_scores" for model in ("lightgbm_alpha158", "ridge_alpha158", "gru_alpha158")}
    assert asked == ({"latest_fused_scores"} | predictions if asks_models else set())
    assert {"score_file", "ledger_booked"} <= create_pipeline().inputs()


@pytest.mark.parametrize("source", ["fused", "other", "down"])
def test_scores_of_a_retired_bundle_become_no_orders(source):
    retrained = CHAMPIONS | {"down": "newer bundle"}
    message = (
        rf"of {'both' if source == 'fused' else source} come from bundle bundle of FEDCBA of down, but the champion is "
        r"newer bundle by now\. .*--pipelines prediction --params as_of=2024-12-31"
    )
    with pytest.raises(StaleDataError, match=message):
        nodes.generate_orders(**arguments(source, champions=retrained))
    orders, _ = nodes.generate_orders(**arguments("up", champions=retrained))
    assert sides(orders) == {"A": "hold", "B": "hold"}


def test_scores_of_a_model_without_champion_or_statement_become_no_orders():
    with pytest.raises(StaleDataError, match="but it has no champion any more"):
        nodes.generate_orders(**arguments("up", champions={"down": CHAMPIONS["down"]}))
    unstated = arguments()["latest_fused_scores"].drop(columns="bundles")
    with pytest.raises(StaleDataError, match="of both do not say which bundles made them"):
        nodes.generate_orders(**arguments(latest_fused_scores=unstated))


def test_scores_fused_with_former_weights_become_no_orders():
    renewed = WEIGHTS.assign(weight=[0.6, 0.4, 1.0])
    with pytest.raises(StaleDataError, match="weights of combination 'both' were renewed after its scores"):
        nodes.generate_orders(**arguments(ensemble_weights=renewed))
    orders, _ = nodes.generate_orders(**arguments("other", ensemble_weights=renewed))
    assert sides(orders) == {"A": "sell", "F": "buy", "B": "hold"}


def test_plan_names_the_bundles_that_made_the_fused_scores_and_not_those_on_disk():
    given = arguments(down_latest_scores=panel("FEDCBA").assign(bundle="scored later"))
    orders, _ = nodes.generate_orders(**given)
    (plan,) = record(given, orders)
    facts = plan.payload["provenance"]
    assert facts["bundle.down"] == "bundle of FEDCBA"
    assert facts["bundle.up"] == "bundle of ABCDEF"
    assert facts["weights_sha256"] == fingerprint_of_weights(WEIGHTS, "both")
    (plan,) = record(arguments("up"), orders)
    assert {key for key in plan.payload["provenance"] if "." in key} == {"bundle.up"}


@pytest.mark.parametrize("source", ["file", "up"])
def test_scores_of_a_few_names_sell_nothing(source):
    few = {"score_file": ranked("FED"), "up_latest_scores": panel("FED").assign(bundle=CHAMPIONS["up"])}
    with pytest.raises(StaleDataError, match=r"only 3 of the 6 members .*\(A, B, C have none\).*min_coverage"):
        nodes.generate_orders(**arguments(source, **few))
    lower = OrderGenerationParameters(source=source, min_coverage=0.5)
    orders, _ = nodes.generate_orders(**arguments(source, **few, order_generation=lower))
    assert sides(orders) == {"A": "sell", "B": "sell", "F": "buy", "E": "buy"}


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"source": "unheard"}, ConfigurationError, r"'unheard', which is neither .* there are fused, both, other, up"),
        ({"source": "file"}, ConfigurationError, "there is no file of scores"),
        ({"source": "file", "score_file": ranked("ABCDEF", DAYS[0])}, StaleDataError, "they are of 2024-12-30.*file"),
        ({"source": "up", "up_latest_scores": panel("AB", DAYS[0])}, StaleDataError, "need up scores .* 2024-12-30"),
        ({"events": ledger()[:-1]}, StaleDataError, "ledger is booked up to 2024-12-30"),
    ],
)
def test_a_source_that_cannot_be_used_is_an_error(changed, error, message):
    with pytest.raises(error, match=message):
        nodes.generate_orders(**arguments(**changed))


@pytest.mark.parametrize("price", ["close", "vwap"])
@pytest.mark.parametrize("source", ["fused", "other", "up"])
def test_scores_of_another_execution_price_become_no_orders_and_no_plan(source, price):
    given = arguments(source, market_rules=MarketRules(deal_price=price))
    message = rf"predict Ref\(\$open, -2\)/.*market_rules.deal_price is {price}\. .*features,training.*as_of=2024-12-31"
    with pytest.raises(ConfigurationError, match=message):
        nodes.generate_orders(**given)
    with pytest.raises(ConfigurationError, match=message):
        record(given, pd.DataFrame())


def test_scores_for_the_close_become_orders_at_the_close_whatever_their_horizon():
    weekly = CLOSE.replace("-2", "-6")
    scores = fused("both", "CDEFAB", label=f"{CLOSE}; {weekly}")
    given = arguments(latest_fused_scores=scores, market_rules=MarketRules(deal_price="close"))
    orders, _ = nodes.generate_orders(**given)
    assert sides(orders) == {"B": "sell", "C": "buy", "A": "hold"}
    mixed = scores.assign(label=f"{CLOSE}; {OPEN}")
    with pytest.raises(ConfigurationError, match="the scores of both predict"):
        nodes.generate_orders(**given | {"latest_fused_scores": mixed})


def test_scores_that_do_not_state_what_they_predict_are_to_be_made_anew():
    for unstated in (panel("ABCDEF").drop(columns="label"), panel("ABCDEF", label=None), panel("ABCDEF", label="")):
        with pytest.raises(
            StaleDataError, match=r"of up do not state .*--pipelines prediction --params as_of=2024-12-31"
        ):
            nodes.generate_orders(**arguments("up", up_latest_scores=unstated))


def test_a_file_of_many_sessions_gives_those_of_the_decision():
    days = [ranked("ABCDEF", DAYS[0]), ranked("EABCDF"), ranked("FEDCBA", pd.Timestamp("2025-01-02"))]
    given = arguments("file", score_file=pd.concat(days, ignore_index=True))
    orders, for_people = nodes.generate_orders(**given)
    assert sides(orders) == {"B": "sell", "E": "buy", "A": "hold"}
    opinions, *_ = opinions_on(given, for_people)
    told = opinions[opinions["source"] == "file"].set_index("instrument")["opinion"]
    assert told.loc[["E", "A", "B"]].tolist() == ["BUY", "HOLD", "SELL"]
    assert len(told) == len(NAMES)


@pytest.fixture
def provenance():
    """What a plan tells of the scores that it was decided from."""

    def told(source):
        given = arguments(source)
        orders, _ = nodes.generate_orders(**given)
        (plan,) = record(given, orders)
        return plan.payload["provenance"]

    return told


def test_a_plan_names_its_scores_their_fingerprint_and_the_bundle(provenance):
    text = "A,6.0\nB,5.0\nC,4.0\nD,3.0\nE,2.0\nF,1.0\n"
    digest = hashlib.sha256(text.encode()).hexdigest()
    assert provenance("up") == {"scores": "up", "scores_sha256": digest, "bundle.up": "bundle of ABCDEF"}


def test_a_plan_of_a_combination_names_the_bundles_of_its_members(provenance):
    told = provenance("fused")
    assert (told["scores"], told["bundle.up"], told["bundle.down"]) == ("both", "bundle of ABCDEF", "bundle of FEDCBA")
    assert "bundle.up" not in provenance("other")
