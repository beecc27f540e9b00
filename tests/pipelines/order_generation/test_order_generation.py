"""Sources, opinions and alternates on a market of six instruments, by hand."""

import hashlib

import pandas as pd
import pytest
from kedro.framework.project import settings
from kedro.framework.startup import bootstrap_project
from kedro.io.core import DatasetError

from quant_pipeline.common.exceptions import ConfigurationError, StaleDataError, StrategyError
from quant_pipeline.datasets.score_file import ScoreFile
from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.pipelines.ensemble.parameters import EnsembleParameters
from quant_pipeline.pipelines.ensemble.provenance import fingerprint_of_weights, state_bundles
from quant_pipeline.pipelines.order_generation import create_pipeline, nodes
from quant_pipeline.pipelines.order_generation.parameters import OrderGenerationParameters
from quant_pipeline.project import model_registry
from quant_pipeline.strategy.account_parameters import AccountParameters
from quant_pipeline.strategy.rules import StrategyRules
from quant_pipeline.trading.ledger.events import Event, EventKind
from quant_pipeline.trading.orders.desk import trading_state_event
from quant_pipeline.trading.orders.risk_limits import RiskLimits
from quant_pipeline.trading.orders.risk_view import TradingState
from tests.helpers.browser import open_page

DAYS = pd.DatetimeIndex(["2024-12-30", "2024-12-31"])
NAMES = list("ABCDEF")
AS_OF = "2024-12-31"


def market(halted=()):
    rows = [
        (day, name, 10.0 * index, 10.0 * index, 10.0 * index, 10.0 * index, 1000.0)
        for day in DAYS
        for index, name in enumerate(NAMES, start=1)
        if not (name in halted and day == DAYS[1])
    ]
    bars = pd.DataFrame(rows, columns=["date", "instrument", "open", "high", "low", "close", "volume"])
    actions = pd.DataFrame({"date": [], "instrument": [], "kind": [], "value": []})
    return bars.astype({"instrument": "str"}), actions.astype({"date": "datetime64[ns]", "instrument": "str"})


def ledger(*held):
    """Hold ten shares of some instruments and 1,000 of cash."""
    events = [Event(DAYS[0], EventKind.ACCOUNT_OPENED, "open", {"account": "t", "cash": "1000"})]
    for name in held:
        facts = {"instrument": name, "quantity": "10", "cost": "100"}
        events.append(Event(DAYS[0], EventKind.TRANSFER, f"in:{name}", facts))
    closed = [Event(day, EventKind.SESSION_CLOSED, f"c{day}", {"cash": "1000", "net_asset_value": "1"}) for day in DAYS]
    return (*events, *closed)


OPEN, CLOSE = "Ref($open, -2)/Ref($open, -1)-1", "Ref($close, -2)/Ref($close, -1)-1"


def ranked(names, day=DAYS[1], label=OPEN):
    """Score instruments in the order given, best first."""
    values = [float(len(names) - index) for index in range(len(names))]
    return pd.DataFrame({"datetime": day, "instrument": list(names), "score": values, "label": label})


def panel(names, day=DAYS[1], label=OPEN):
    return ranked(names, day, label).set_index(["datetime", "instrument"]).assign(bundle=f"bundle of {names}")


CHAMPIONS = {"up": "bundle of ABCDEF", "down": "bundle of FEDCBA"}
WEIGHTS = pd.DataFrame(
    [("both", "up", 0.5), ("both", "down", 0.5), ("other", "down", 1.0)], columns=["combination", "model", "weight"]
).assign(session=DAYS[0])
MEMBERS = pd.DataFrame({"date": DAYS[1], "instrument": NAMES})


def fused(name, names, label=OPEN):
    """Score instruments by a combination of the champions, with the weights in force."""
    members = {model: CHAMPIONS[model] for model in WEIGHTS.loc[WEIGHTS["combination"] == name, "model"]}
    made = {"bundles": state_bundles(members), "weights_sha256": fingerprint_of_weights(WEIGHTS, name)}
    return ranked(names, label=label).assign(combination=name, **made)


def arguments(source="fused", held=("A", "B"), halted=(), alternates=2, **changed):
    bars, actions = market(halted)
    combinations = {"both": {"models": ["up", "down"]}, "other": {"models": ["down"]}}
    given = {
        "latest_fused_scores": pd.concat([fused("both", "CDEFAB"), fused("other", "FEDCBA")], ignore_index=True),
        "champions": CHAMPIONS,
        "ensemble_weights": WEIGHTS,
        "universe_members": MEMBERS,
        "score_file": None,
        "events": ledger(*held),
        "bars": bars,
        "corporate_actions": actions,
        "sessions": pd.DataFrame({"date": DAYS}),
        "instruments": pd.DataFrame({"instrument": NAMES, "sector": ["Tech"] * 3 + ["Oil"] * 3}),
        "risk": RiskLimits(max_position_weight=1, max_sector_weight=1),
        "ensemble": EnsembleParameters.model_validate({"default": "both", "combinations": combinations}),
        "order_generation": OrderGenerationParameters(source=source, alternates=alternates),
        "strategy": StrategyRules(topk=2, n_drop=1),
        "market_rules": MarketRules(),
        "cost_rules": CostRules(),
        "account": AccountParameters(name="t", filled_by="broker"),
        "as_of": AS_OF,
        "up_latest_scores": panel("ABCDEF"),
        "down_latest_scores": panel("FEDCBA"),
    }
    return given | changed


def opinions_on(given, orders_with_alternates):
    """Call the node with what the pipeline gives to it."""
    not_given = ("champions", "ensemble_weights", "universe_members", "risk")
    own = {name: value for name, value in given.items() if name not in not_given}
    return nodes.tell_opinions(**own, orders_with_alternates=orders_with_alternates)


def record(given, orders):
    """Call the node that records orders with what the pipeline gives to it."""
    wanted = ("score_file", "events", "ensemble", "order_generation", "market_rules", "account", "as_of")
    own = {name: value for name, value in given.items() if name in wanted or name.endswith("_scores")}
    return nodes.record_orders(**own, orders=orders)


def halted_ledger(state):
    return (*ledger("A", "B"), trading_state_event(DAYS[1], 0, state, "PERSON", "drill"))


def test_a_plan_of_an_account_that_is_reducing_says_what_will_be_denied():
    given = arguments(events=halted_ledger(TradingState.REDUCING))
    orders, with_alternates = nodes.generate_orders(**given)
    told = with_alternates[with_alternates["quantity"] > 0].set_index("instrument")["remark"].to_dict()
    words = "will be denied: the account is reducing until `kedro account resume --env t`"
    assert {told[name] for name, side in sides(orders).items() if side == "buy"} == {words}
    assert {told[name] for name, side in sides(orders).items() if side != "buy"} == {""}
    page = opinions_on(given, with_alternates)[-1]
    assert "the account is reducing since 2024-12-31: drill (PERSON); buys are denied until" in page
    assert words in page


def test_a_plan_of_an_active_account_has_no_remarks():
    _, with_alternates = nodes.generate_orders(**arguments())
    assert set(with_alternates["remark"]) == {""}


def sides(orders):
    return dict(zip(orders["instrument"], orders["side"], strict=True))


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
    assert "By the scores of file." in page
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
    with pytest.raises(StaleDataError, match=r"only 3 of the 6 members .*\(A, B, C and more have none\).*min_coverage"):
        nodes.generate_orders(**arguments(source, **few))
    lower = OrderGenerationParameters(source=source, min_coverage=0.5)
    orders, _ = nodes.generate_orders(**arguments(source, **few, order_generation=lower))
    assert sides(orders) == {"A": "sell", "B": "sell", "F": "buy", "E": "buy"}


def test_reason_of_a_sale_without_score_says_whether_the_name_left_the_universe():
    lower = OrderGenerationParameters(source="file", min_coverage=0.5)
    given = arguments("file", score_file=ranked("CDEF"), order_generation=lower)
    members = MEMBERS[MEMBERS["instrument"] != "A"]
    orders, _ = nodes.generate_orders(**given | {"universe_members": members})
    reasons = orders.set_index("instrument")["reason"]
    assert reasons["A"] == "sold: it has no score, it left the universe"
    assert reasons["B"] == "sold: it has no score, although it is in the universe"


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"source": "nobody"}, ConfigurationError, r"'nobody', which is neither .* there are fused, both, other, up"),
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


def test_a_model_of_another_execution_price_has_no_opinion(caplog):
    given = arguments(down_latest_scores=panel("FEDCBA", label=CLOSE))
    _, for_people = nodes.generate_orders(**given)
    opinions, *_ = opinions_on(given, for_people)
    assert set(opinions["source"]) == {"both", "other", "up"}
    assert "left out of the opinions: the scores of down predict Ref($close" in caplog.text


def test_a_file_of_many_sessions_gives_those_of_the_decision():
    days = [ranked("ABCDEF", DAYS[0]), ranked("EABCDF"), ranked("FEDCBA", pd.Timestamp("2025-01-02"))]
    given = arguments("file", score_file=pd.concat(days, ignore_index=True))
    orders, for_people = nodes.generate_orders(**given)
    assert sides(orders) == {"B": "sell", "E": "buy", "A": "hold"}
    opinions, *_ = opinions_on(given, for_people)
    told = opinions[opinions["source"] == "file"].set_index("instrument")["opinion"]
    assert told.loc[["E", "A", "B"]].tolist() == ["BUY", "HOLD", "SELL"]
    assert len(told) == len(NAMES)


def test_a_file_of_yesterday_has_no_opinion_today(caplog):
    given = arguments(score_file=ranked("ABCDEF", DAYS[0]))
    _, for_people = nodes.generate_orders(**given)
    opinions, *_ = opinions_on(given, for_people)
    assert set(opinions["source"]) == {"both", "other", "up", "down"}
    assert "file has no scores of 2024-12-31" in caplog.text


def test_alternates_are_flagged_and_are_no_orders():
    orders, for_people = nodes.generate_orders(**arguments())
    assert "alternate" not in set(orders["side"])
    stand_by = for_people[for_people["alternate"] > 0]
    # After C, which is bought, D and E are best; one buy of C at 30 is worth what D at 40 can be bought with.
    assert stand_by[["instrument", "side", "alternate", "rank"]].to_numpy().tolist() == [
        ["D", "alternate", 1, 2],
        ["E", "alternate", 2, 3],
    ]
    value = orders.loc[orders["side"] == "buy", "estimated_value"].sum()
    assert stand_by["quantity"].tolist() == [value // 40, value // 50]


def test_an_instrument_that_did_not_trade_is_no_alternate():
    _, for_people = nodes.generate_orders(**arguments(halted=("D",)))
    assert for_people[for_people["alternate"] > 0]["instrument"].tolist() == ["E", "F"]


def test_no_alternates_without_buys():
    _, for_people = nodes.generate_orders(**arguments("up"))
    assert for_people["alternate"].tolist() == [0, 0]


@pytest.fixture
def told():
    given = arguments()
    _, for_people = nodes.generate_orders(**given)
    return opinions_on(given, for_people)


def test_every_model_and_combination_says_what_it_would_do(told):
    opinions = told[0].set_index(["source", "instrument"])
    assert opinions.loc[("both", "C"), ["opinion", "rank", "kind"]].tolist() == ["BUY", 1, "combination"]
    assert opinions.loc[("down", "A"), ["opinion", "rank", "kind"]].tolist() == ["SELL", 6, "model"]
    assert opinions.loc[("up", "A"), ["opinion", "rank"]].tolist() == ["HOLD", 1]
    assert opinions.loc[("up", "F"), ["opinion", "rank"]].tolist() == ["-", 6]
    assert opinions["is_chosen"].groupby("source").first().to_dict() == {
        "both": True,
        "down": False,
        "other": False,
        "up": False,
    }


def test_opinions_stand_side_by_side_with_their_votes(told):
    comparison = told[1].set_index("instrument")
    # In the order of the chosen source: C is bought, F is bought by two others, A and B are held.
    assert comparison.index.tolist() == ["C", "F", "A", "B"]
    assert comparison.loc["A", ["buy", "sell", "hold"]].tolist() == [0, 2, 2]
    assert comparison.loc["F", ["both", "other", "up", "down"]].tolist() == ["- 4", "BUY 1", "- 6", "BUY 1"]
    assert comparison.loc["C", "mean_rank"] == pytest.approx((1 + 4 + 3 + 4) / 4)


def test_the_opinion_of_the_chosen_source_is_the_order(told):
    orders, _ = nodes.generate_orders(**arguments())
    opinions = told[0][told[0]["is_chosen"] & (told[0]["opinion"] != "-")]
    assert {name: side.lower() for name, side in sides(opinions.rename(columns={"opinion": "side"})).items()} == sides(
        orders
    )


def test_the_chart_and_the_page_show_ranks_and_reasons(told):
    figure, page = told[2], told[3]
    cells = {
        (y, x): text
        for y, row in zip(figure.data[0].y, figure.data[0].text, strict=True)
        for x, text in zip(figure.data[0].x, row, strict=True)
    }
    assert cells["C", "both"] == "1 B"
    assert cells["A", "down"] == "6 S"
    assert cells["F", "up"] == "6 "
    assert "alternate 1: replaces a buy that cannot be executed" in page
    assert "BUY 1" in page


def test_the_page_is_drawn_in_silence(told, tmp_path):
    (tmp_path / "opinions.html").write_text(told[3])
    with open_page((tmp_path / "opinions.html").as_uri()) as (page, errors):
        page.wait_for_selector(".plot .main-svg")
        assert errors == []


def test_a_model_without_scores_is_named():
    given = arguments(down_latest_scores=panel("FEDCBA").assign(score=float("nan")))
    _, for_people = nodes.generate_orders(**given)
    with pytest.raises(StrategyError, match="opinion of down: No instrument has a finite score"):
        opinions_on(given, for_people)


def test_sources_that_want_nothing_give_an_empty_comparison():
    given = arguments(held=(), strategy=StrategyRules(topk=2, n_drop=1, risk_degree=0.0001))
    _, for_people = nodes.generate_orders(**given)
    _, comparison, figure, page = opinions_on(given, for_people)
    assert comparison.empty
    assert "No source would buy, sell or hold anything" in figure.to_json()
    assert "Orders and opinions" in page


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("date,instrument\n2024-12-31,A\n", "lacks the column score"),
        ("date,instrument,score\nsoon,A,1\n", "dates are YYYY-MM-DD"),
        ("date,instrument,score\n2024-12-31,A,best\n", "scores are numbers"),
        ("date,instrument,score\n2024-12-31,A,1\n2024-12-31,A,2\n", "has A twice"),
        ("date,instrument,score\n2024-12-31,A,1\n,B,2\n", "row 2 has no date or no instrument"),
        ("date,instrument,score\n2024-12-31,A,1\n2024-12-31,,2\n", "row 2 has no date or no instrument"),
        ("", "cannot be read"),
    ],
)
def test_a_file_of_scores_that_cannot_be_used_is_an_error(tmp_path, text, message):
    file = tmp_path / "scores.csv"
    file.write_text(text)
    with pytest.raises(DatasetError, match=message) as caught:
        ScoreFile(str(file)).load()
    assert isinstance(caught.value.__cause__, ConfigurationError)


def test_a_file_of_scores_need_not_exist(tmp_path):
    assert ScoreFile(str(tmp_path / "none.csv")).load() is None


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


def test_a_stop_sells_what_the_scores_would_keep_and_does_not_buy_it_back():
    stops = {"stop_rules": {"take_profit": 0.5}}
    rules = OrderGenerationParameters.model_validate({"source": "up", "alternates": 0, **stops})
    # B costs 10 and closes at 20; A costs 10 and closes at 10.
    orders, _ = nodes.generate_orders(**arguments(order_generation=rules))
    assert sides(orders) == {"B": "sell", "A": "hold"}
    assert orders["reason"].iloc[0] == "stopped: close 20.00 is 100.0% above its cost 10.00"
    payload = {"deal_session": "2024-12-31", "revision": 0,
               "orders": [{"client_order_id": "x", "instrument": "A", "side": "sell", "quantity": 10,
                           "reference_price": "10.0000", "reason": "stopped: before"}]}  # fmt: skip
    earlier = Event(DAYS[0], EventKind.PLAN_RECORDED, "plan:2024-12-31:0", payload)
    events = (*ledger("B"), earlier)
    orders, _ = nodes.generate_orders(**arguments("up", held=("B",), events=events))
    assert sides(orders) == {"B": "hold", "C": "buy"}


def test_position_sizing_makes_buys_smaller():
    plain, _ = nodes.generate_orders(**arguments("up", held=()))
    sizing = {"position_sizing": {"method": "fractional_kelly", "window": 20}}
    rules = OrderGenerationParameters.model_validate({"source": "up", **sizing})
    unknown, _ = nodes.generate_orders(**arguments(held=(), order_generation=rules))
    # Two closes are too few to estimate from; the fixed part stands.
    assert unknown["quantity"].tolist() == plain["quantity"].tolist()


def with_transfers(*held):
    """Bring shares into the account before its first close; each is instrument, quantity, cost."""
    first, *rest = ledger()
    moved = [
        Event(DAYS[0], EventKind.TRANSFER, f"in:{name}", {"instrument": name, "quantity": quantity, "cost": cost})
        for name, quantity, cost in held
    ]
    return (first, *moved, *rest)


def test_fraction_of_a_share_and_holding_without_price_are_carried_and_orders_go_on():
    events = with_transfers(("A", "10.5", "105"), ("B", "0.4", "8"), ("GEVX", "25", "250"))
    given = arguments(events=events)
    orders, listed = nodes.generate_orders(**given)
    by_name = orders.set_index("instrument")
    # Ten whole shares of A are sold as ever; what cannot be traded is shown below.
    assert (by_name.loc["A", "side"], by_name.loc["A", "quantity"]) == ("sell", 10)
    assert by_name.loc["B", ["side", "quantity", "reason"]].tolist() == [
        "hold", 0, "kept: 0.4 of a share cannot be traded on an exchange",
    ]  # fmt: skip
    assert by_name.loc["GEVX", ["side", "quantity", "reason"]].tolist() == [
        "hold", 25, "kept: the market has no price of it; 25 are valued at cost",
    ]  # fmt: skip
    assert by_name.loc["GEVX", "reference_price"] == 10.0
    assert (orders["side"] == "buy").any()
    assert {event.kind for event in record(given, orders)} == {EventKind.PLAN_RECORDED}
    recorded = record(given, orders)[0].payload["orders"]
    assert {order["instrument"] for order in recorded}.isdisjoint({"B", "GEVX"})
    assert opinions_on(given, listed)


def test_stop_leaves_what_cannot_be_traded_alone():
    rules = OrderGenerationParameters.model_validate({"source": "fused", "stop_rules": {"stop_loss": 0.1}})
    given = arguments(events=with_transfers(("A", "10", "200"), ("GEVX", "25", "250")), order_generation=rules)
    by_name = nodes.generate_orders(**given)[0].set_index("instrument")
    assert by_name.loc["A", "reason"].startswith("stopped: close 10.00 is 50.0% below its cost")
    assert by_name.loc["GEVX", "side"] == "hold"


def test_what_the_limits_will_deny_is_said_with_the_rule_that_keeps_below(caplog):
    # A and B, ten shares each, and 1,000 of cash: C is bought with B's money and cash.
    limits = RiskLimits(max_position_weight=0.3, max_sector_weight=0.4, max_turnover=0.2)
    given = arguments(risk=limits)
    orders, _ = nodes.generate_orders(**given)
    (row,) = orders[orders["side"] == "buy"].itertuples()
    value = given["bars"].groupby("instrument")["close"].last()[["A", "B"]].sum() * 10 + 1_000
    warned = [record.message for record in caplog.records if "will be denied" in record.message]
    assert [message.split(" to ")[0] for message in warned] == [
        "the plan brings the position C",
        "the plan brings the sector Tech",
        "the plan brings the value of all orders",
    ]
    amount = row.quantity * row.reference_price
    assert (
        f"position C to {amount / value:.1%} of the account ({amount:,.2f}), above risk.max_position_weight 30%"
        in (warned[0])
    )
    assert "Set strategy.max_sector_weight a little below it" in warned[1]


def test_a_name_on_a_list_that_the_market_does_not_have_is_told(caplog):
    strategy = StrategyRules(topk=2, n_drop=1, blacklist=["A", "GEVXX"], watchlist=["c"], companies={"NOSUCH": "X"})
    nodes.generate_orders(**arguments(strategy=strategy))
    assert [message for message in caplog.messages if "the market does not have" in message] == [
        "strategy.blacklist names GEVXX, which the market does not have: it binds nothing",
        "strategy.watchlist names c, which the market does not have (did you mean 'C'?): it binds nothing",
        "strategy.companies names NOSUCH, which the market does not have: it binds nothing",
    ]


def test_orders_within_the_limits_say_nothing(caplog):
    nodes.generate_orders(**arguments())
    assert "will be denied" not in caplog.text


def test_the_rules_of_the_strategy_keep_orders_within_the_limits(caplog):
    strategy = StrategyRules(topk=2, n_drop=1, max_sector_weight=0.6, max_position_weight=0.5)
    given = arguments(held=(), strategy=strategy, risk=RiskLimits(max_position_weight=0.5, max_sector_weight=0.6))
    orders, _ = nodes.generate_orders(**given)
    bought = orders[(orders["side"] == "buy") & (orders["quantity"] > 0)]
    assert bought["instrument"].tolist() == ["C", "D"]
    assert "will be denied" not in caplog.text


def test_no_alternate_breaks_a_rule_of_the_strategy():
    _, plain = nodes.generate_orders(**arguments(held=(), alternates=4))
    assert plain.loc[plain["side"] == "alternate", "instrument"].tolist() == ["E", "F", "A", "B"]
    strategy = StrategyRules(
        topk=2, n_drop=1, watchlist=["E"], blacklist=["A"], companies={"B": "X", "D": "X"}, one_listing_per_company=True
    )
    _, bound = nodes.generate_orders(**arguments(held=(), alternates=4, strategy=strategy))
    assert bound.loc[bound["side"] == "alternate", "instrument"].tolist() == ["F"]
