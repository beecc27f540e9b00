"""What the account adds to the decision: its state, its limits, stops, sizes, alternates, and what it cannot trade."""

from quant_pipeline.pipelines.order_generation import nodes
from quant_pipeline.pipelines.order_generation.parameters import OrderGenerationParameters
from quant_pipeline.strategy.rules import StrategyRules
from quant_pipeline.trading.ledger.events import Event, EventKind
from quant_pipeline.trading.orders.desk import trading_state_event
from quant_pipeline.trading.orders.risk_limits import RiskLimits
from quant_pipeline.trading.orders.risk_view import TradingState
from tests.helpers.six_instruments import DAYS, MEMBERS, arguments, ledger, opinions_on, ranked, record, sides


def halted_ledger(state):
    return (*ledger("A", "B"), trading_state_event(DAYS[1], 0, state, "PERSON", "drill"))


def test_a_plan_of_an_account_that_is_reducing_says_what_will_be_denied():
    given = arguments(events=halted_ledger(TradingState.REDUCING))
    orders, with_alternates = nodes.generate_orders(**given)
    told = with_alternates[with_alternates["quantity"] > 0].set_index("instrument")["remark"].to_dict()
    words = "will be denied: the account is reducing until `kedro account resume --env t`"
    assert {told[name] for name, side in sides(orders).items() if side == "buy"} == {words}
    assert {told[name] for name, side in sides(orders).items() if side != "buy"} == {""}
    reasons = with_alternates.set_index("instrument")["reason"]
    assert reasons["C"] == f"{words}; it was to be bought: rank 1 of 6, score 6, among the best 2"
    assert not reasons[[name for name, side in sides(orders).items() if side != "buy"]].str.contains("denied").any()
    assert not orders["reason"].str.contains("denied").any()  # The plan keeps what was decided.
    page = opinions_on(given, with_alternates)[-1]
    assert "the account is reducing since 2024-12-31: drill (PERSON); buys are denied until" in page
    assert words in page


def test_a_plan_of_an_active_account_has_no_remarks():
    _, with_alternates = nodes.generate_orders(**arguments())
    assert set(with_alternates["remark"]) == {""}


def test_reason_of_a_sale_without_score_says_whether_the_name_left_the_universe():
    lower = OrderGenerationParameters(source="file", min_coverage=0.5)
    given = arguments("file", score_file=ranked("CDEF"), order_generation=lower)
    members = MEMBERS[MEMBERS["instrument"] != "A"]
    orders, _ = nodes.generate_orders(**given | {"universe_members": members})
    reasons = orders.set_index("instrument")["reason"]
    assert reasons["A"] == "sold: it has no score, it left the universe"
    assert reasons["B"] == "sold: it has no score, although it is in the universe"


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
