"""Portfolio rules: by hand, against the rule in plain Python, and what must hold for every account."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from quant_pipeline.common.exceptions import MarketDataError, StrategyError
from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.market.classification import Classification
from quant_pipeline.strategy.rebalance import rebalance
from quant_pipeline.strategy.rules import StrategyRules
from tests.helpers.properties import examples

NAMES = list("ABCDEFGHIJKL")
SECTORS = dict(zip(NAMES, ["Tech"] * 4 + ["Oil"] * 4 + ["Food"] * 3, strict=False))
COMPANIES = {"A": "Alpha", "B": "Alpha", "E": "Echo", "F": "Echo"}
KNOWN = Classification(SECTORS, COMPANIES)
FALLING = {name: float(12 - index) for index, name in enumerate(NAMES)}


def holding(sessions: int = 5, **quantities: int) -> pd.DataFrame:
    index = pd.Index(list(quantities), dtype="str")
    return pd.DataFrame({"quantity": list(quantities.values()), "sessions_held": sessions}, index=index)


def decide(positions=None, cash=0.0, scores=None, halted="", price=10.0, market=None, known=KNOWN, **rules):
    positions = holding() if positions is None else positions
    prices = pd.Series(price, index=NAMES)
    tradable = pd.Series([name not in halted for name in NAMES], index=NAMES)
    strategy = StrategyRules(**{"topk": 4, "n_drop": 1, "risk_degree": 1.0, **rules})
    given_scores = pd.Series(FALLING if scores is None else scores, dtype="float64")
    return rebalance(
        given_scores, positions, prices, tradable, cash, strategy, market or MarketRules(), CostRules(), None, known
    )


def trades(orders: pd.DataFrame) -> list[tuple[str, str, int]]:
    traded = orders[orders["side"].isin(["buy", "sell"]) & (orders["quantity"] > 0)]
    return list(traded[["side", "instrument", "quantity"]].itertuples(index=False, name=None))


def reason(orders: pd.DataFrame, name: str) -> str:
    return str(orders.set_index("instrument").loc[name, "reason"])


METHODS = [{"method": "topk_drop"}, {"method": "buffer_zone"}, {"method": "target_weights"}]


@pytest.mark.parametrize("method", METHODS)
def test_candidates_of_a_full_sector_are_passed_over(method):
    # Positions of 25: two of Tech fill its half; C and D are passed over, and Oil comes next.
    orders = decide(cash=1_000, max_sector_weight=0.5, **method)
    assert trades(orders) == [("buy", "A", 25), ("buy", "B", 25), ("buy", "E", 25), ("buy", "F", 25)]
    expected = "not bought: rank 3 of 12, score 10, but sector Tech has no room below max_sector_weight 50%"
    assert reason(orders, "C") == expected


def test_a_weak_holding_makes_room_in_its_own_sector():
    # Tech is full with C and D; D goes for A, which it makes room for.
    orders = decide(holding(C=25, D=25, E=25, F=25), max_sector_weight=0.5, scores=FALLING | {"D": 0.0})
    assert trades(orders) == [("sell", "D", 25), ("buy", "A", 25)]


def test_nothing_is_sold_for_a_candidate_that_its_sector_refuses():
    # A would replace F, but Tech is full; E, the next one outside Tech, is held; G ranks below F.
    orders = decide(holding(B=25, C=25, E=25, F=25), max_sector_weight=0.5)
    assert trades(orders) == []
    assert reason(orders, "A").startswith("not bought: rank 1 of 12")
    assert reason(orders, "F") == "held: rank 6 of 12, score 7"


def test_an_instrument_without_a_sector_is_a_sector_of_its_own():
    scores = {"K": 1.0, "L": 2.0}
    unknown = Classification({"A": "Tech"})
    orders = decide(cash=1_000, topk=2, scores=scores, known=unknown, max_sector_weight=0.5)
    assert trades(orders) == [("buy", "L", 50), ("buy", "K", 50)]


@pytest.mark.parametrize("method", METHODS)
def test_only_the_best_listing_of_a_company_is_bought(method):
    orders = decide(cash=1_000, topk=2, one_listing_per_company=True, **method)
    assert trades(orders) == [("buy", "A", 50), ("buy", "C", 50)]
    assert reason(orders, "B").endswith("but another listing of its company is held or bought")


def test_another_listing_is_bought_when_the_held_one_goes():
    # B, held, is the weakest and goes; A is of the same company and takes its place.
    orders = decide(holding(B=25, C=25, D=25, E=25), one_listing_per_company=True, scores=FALLING | {"B": 0.0})
    assert trades(orders) == [("sell", "B", 25), ("buy", "A", 25)]


def test_companies_can_be_named_in_the_rules():
    orders = decide(cash=1_000, topk=2, known=None, one_listing_per_company=True, companies={"A": "X", "C": "X"})
    assert trades(orders) == [("buy", "A", 50), ("buy", "B", 50)]


@pytest.mark.parametrize("method", METHODS)
def test_blacklisted_names_are_sold_and_never_bought(method):
    orders = decide(holding(A=25, B=25, C=25, D=25), blacklist=["A", "E"], n_drop=0, **method)
    assert trades(orders) == [("sell", "A", 25), ("buy", "F", 25)]
    assert reason(orders, "A") == "sold: it is on the blacklist"


def test_a_blacklisted_holding_waits_until_it_can_be_sold():
    orders = decide(holding(A=25, B=25, C=25, D=25), blacklist=["A"], halted="A")
    assert trades(orders) == []
    assert reason(orders, "A") == "held: it is on the blacklist, but it cannot trade"


@pytest.mark.parametrize("method", METHODS)
def test_names_on_the_watchlist_are_held_but_not_bought(method):
    orders = decide(holding(A=25), cash=750, watchlist=["A", "B"], **method)
    assert trades(orders) == [("buy", "C", 25), ("buy", "D", 25), ("buy", "E", 25)]
    assert reason(orders, "A") == "held: rank 1 of 12, score 12"


def test_a_name_on_the_watchlist_is_sold_by_its_rank():
    orders = decide(holding(A=25, B=25, C=25, L=25), watchlist=["L"])
    assert trades(orders) == [("sell", "L", 25), ("buy", "D", 25)]


def test_target_weights_raise_nothing_on_the_watchlist():
    orders = decide(holding(A=10), cash=900, method="target_weights", watchlist=["A"])
    assert trades(orders) == [("buy", "B", 25), ("buy", "C", 25), ("buy", "D", 25)]


def test_turnover_builds_a_portfolio_over_several_sessions():
    orders = decide(cash=1_000, max_turnover=0.5)
    assert trades(orders) == [("buy", "A", 25), ("buy", "B", 25)]
    assert reason(orders, "C") == "not bought: rank 3 of 12, score 10, but max_turnover 50% is used up"


def test_turnover_lets_the_worst_be_replaced_first():
    # Half of 100 % is for sales: two of 250, each with a buy. J is worse than I, and H stays.
    held = holding(A=25, H=25, I=25, J=25)
    assert trades(decide(held, n_drop=3, max_turnover=1.0)) == [
        ("sell", "J", 25), ("sell", "I", 25), ("buy", "B", 25), ("buy", "C", 25),
    ]  # fmt: skip
    orders = decide(held, n_drop=3, max_turnover=0.5)
    assert trades(orders) == [("sell", "J", 25), ("buy", "B", 25)]
    assert reason(orders, "I").endswith("should go, but max_turnover 50% leaves no room for its sale")


def test_buffer_zone_sells_its_worst_leaver_first_whatever_its_name():
    scores = FALLING | {"I": -5.0}
    orders = decide(holding(A=25, H=25, I=25, J=25), method="buffer_zone", max_turnover=0.5, scores=scores)
    assert trades(orders) == [("sell", "I", 25), ("buy", "B", 25)]


def test_orphans_and_blacklisted_holdings_go_beyond_the_turnover():
    scores = {name: score for name, score in FALLING.items() if name != "J"}
    orders = decide(holding(A=25, H=25, I=25, J=25), scores=scores, blacklist=["I"], max_turnover=0.5)
    assert trades(orders) == [("sell", "I", 25), ("sell", "J", 25)]


def test_target_weights_cut_their_trades_to_the_turnover():
    # 1,000 of 2,000 may be traded: A is trimmed by 500 of the 1,500 it has too much, and 500 are bought.
    orders = decide(holding(A=200), method="target_weights", topk=4, max_turnover=0.5)
    assert trades(orders) == [("sell", "A", 50), ("buy", "B", 50)]


def test_target_weights_trim_the_worst_ranked_first():
    orders = decide(holding(A=100, B=100), method="target_weights", max_turnover=0.5)
    assert trades(orders) == [("sell", "B", 50), ("buy", "C", 50)]


def test_no_position_is_bought_above_the_largest_weight():
    assert trades(decide(cash=1_000, topk=2, max_position_weight=0.3)) == [("buy", "A", 30), ("buy", "B", 30)]
    # What A may not have goes to the others.
    scores = {"A": 8.0, "B": 1.0, "C": 1.0}
    weights = {"method": "target_weights", "topk": 3, "position_weights": "score"}
    orders = decide(cash=1_000, scores=scores, max_position_weight=0.4, **weights)
    assert trades(orders) == [("buy", "A", 40), ("buy", "B", 30), ("buy", "C", 30)]


def test_money_that_is_too_little_for_all_goes_to_the_best():
    # 300 pay for three positions of 100, and a position has to be 200.
    orders = decide(holding(D=70), cash=300, min_position_weight=0.2)
    assert trades(orders) == [("buy", "A", 25)]
    assert reason(orders, "B") == (
        "not bought: rank 2 of 12, score 11, but there is too little money for min_position_weight 20.00%"
    )


def test_target_weights_below_the_smallest_go_to_the_others():
    scores = {"A": 6.0, "B": 3.0, "C": 1.0}
    weights = {"method": "target_weights", "topk": 3, "position_weights": "score"}
    orders = decide(holding(C=10), cash=900, scores=scores, min_position_weight=0.15, **weights)
    assert trades(orders) == [("sell", "C", 10), ("buy", "A", 66), ("buy", "B", 33)]


def test_of_equal_weights_below_the_smallest_the_worst_ranked_go():
    orders = decide(cash=1_000, method="target_weights", topk=5, min_position_weight=0.25)
    assert trades(orders) == [("buy", name, 25) for name in "ABCD"]


def test_a_sector_cap_cuts_target_weights_that_are_not_equal():
    # Half and half of 1,000; a full position of Tech fits below 40 %, and its weight is cut to it.
    scores = {"A": 8.0, "E": 2.0, "I": 1.0}
    weights = {"method": "target_weights", "topk": 3, "position_weights": "score"}
    orders = decide(cash=1_100, scores=scores, max_sector_weight=0.4, **weights)
    assert trades(orders) == [("buy", "A", 44), ("buy", "E", 20), ("buy", "I", 10)]


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ({"max_sector_weight": 0.2}, "below a full position of 0.2500"),
        ({"max_turnover": 0.4}, "no holding could be replaced"),
        ({"min_position_weight": 0.3}, "above a full position"),
        ({"min_position_weight": 0.3, "max_position_weight": 0.2}, "nothing could be bought"),
        ({"max_turnover": 2.5}, "less than or equal to 2"),
        ({"max_sector_weight": 0.0}, "greater than 0"),
    ],
)
def test_rules_under_which_nothing_could_be_traded_are_refused(rules, words):
    with pytest.raises(ValidationError, match=words):
        StrategyRules(topk=4, n_drop=1, risk_degree=1.0, **rules)


def test_rules_that_need_what_is_not_known_are_refused():
    with pytest.raises(StrategyError, match="needs the sectors"):
        decide(cash=100, known=None, max_sector_weight=0.5)
    with pytest.raises(MarketDataError, match=r"strategy\.companies"):
        decide(cash=100, known=Classification(SECTORS), one_listing_per_company=True)


def test_the_table_of_instruments_names_sectors_and_companies():
    table = pd.DataFrame(
        {
            "instrument": ["A", "B", "C", "D"],
            "sector": ["Tech", "Tech", "Unknown", "Unknown"],
            "company": ["X", "X", "", None],
        }
    )
    known = Classification.of(table)
    assert known.sector_numbers(pd.Index(["A", "B", "C", "D"])).tolist() == [0, 0, 1, 2]
    assert known.company_numbers(pd.Index(["D", "C", "B", "A"])).tolist() == [0, 1, 2, 2]
    assert Classification.of(table.drop(columns="company")).companies == {}


accounts = st.fixed_dictionaries(
    {
        "scores": st.dictionaries(st.sampled_from(NAMES), st.integers(-3, 5).map(float), min_size=2),
        "held": st.dictionaries(st.sampled_from(NAMES), st.integers(1, 60), max_size=7),
        "halted": st.sets(st.sampled_from(NAMES), max_size=3),
        "cash": st.integers(0, 3_000),
    }
)
bounds = st.fixed_dictionaries(
    {
        "max_sector_weight": st.none() | st.sampled_from([0.34, 0.5, 0.8]),
        "max_position_weight": st.none() | st.sampled_from([0.2, 0.3]),
        "max_turnover": st.none() | st.sampled_from([0.7, 1.2]),
        "one_listing_per_company": st.booleans(),
        "blacklist": st.lists(st.sampled_from(NAMES), max_size=2, unique=True),
        "watchlist": st.lists(st.sampled_from(NAMES), max_size=2, unique=True),
    }
)
methods = st.sampled_from(
    [
        {"method": "topk_drop", "n_drop": 2},
        {"method": "buffer_zone", "buffer": 2},
        {"method": "target_weights", "buffer": 1},
        {"method": "target_weights", "position_weights": "score"},
    ]
)
topks = st.integers(3, 6)


def decide_case(account, prices, **rules) -> pd.DataFrame:
    tradable = pd.Series([name not in account["halted"] for name in NAMES], index=NAMES)
    strategy = StrategyRules(risk_degree=1.0, **rules)
    positions = holding(**dict(sorted(account["held"].items())))
    scores = pd.Series(account["scores"], dtype="float64")
    return rebalance(
        scores, positions, prices, tradable, account["cash"], strategy, MarketRules(), CostRules(), None, KNOWN
    )


@settings(max_examples=examples(150))
@given(account=accounts, rules=bounds, method=methods, topk=topks, seed=st.integers(0, 3))
def test_no_decision_breaks_a_rule(account, rules, method, topk, seed):
    prices = pd.Series([float(5 + (index * 7 + seed) % 11) for index in range(len(NAMES))], index=NAMES)
    orders = decide_case(account, prices, topk=topk, **method, **rules)
    held = pd.Series(account["held"], dtype="float64").reindex(NAMES).fillna(0.0)
    value = account["cash"] + (held * prices).sum()
    traded = orders[orders["side"].isin(["buy", "sell"])].set_index("instrument")
    signed = (traded["quantity"] * traded["side"].map({"buy": 1, "sell": -1})).reindex(NAMES).fillna(0.0)
    after = (held + signed) * prices
    bought = signed[signed > 0].index
    assert not set(bought) & {*rules["blacklist"], *rules["watchlist"]}
    due = [name for name in rules["blacklist"] if held[name] and name not in account["halted"]]
    assert all(after[name] == 0 for name in due)
    for name in bought:
        if rules["max_position_weight"]:
            assert after[name] <= rules["max_position_weight"] * value + 0.01
        if rules["max_sector_weight"]:
            of_sector = sum(after[other] for other in NAMES if KNOWN.sector_of(other) == KNOWN.sector_of(name))
            assert of_sector <= rules["max_sector_weight"] * value + 0.01
        if rules["one_listing_per_company"] and not held[name]:
            assert sum(after[other] > 0 for other in NAMES if KNOWN.company_of(other) == KNOWN.company_of(name)) == 1
    if rules["max_turnover"]:
        orphans = [name for name in held[held > 0].index if name not in account["scores"]]
        forced = sum(held[name] * prices[name] for name in {*due, *orphans} if signed[name] < 0)
        assert (signed.abs() * prices).sum() <= max(rules["max_turnover"] * value, forced) + 0.01
    assert orders["instrument"].is_unique


@settings(max_examples=examples(60))
@given(account=accounts, method=methods, topk=topks)
def test_rules_that_bind_nothing_change_nothing(account, method, topk):
    prices = pd.Series(10.0, index=NAMES)
    without = decide_case(account, prices, topk=topk, **method)
    bound = decide_case(account, prices, topk=topk, watchlist=["ELSEWHERE"], max_turnover=2.0, **method)
    pd.testing.assert_frame_equal(bound, without)


def plain_topk_drop(account, topk, n_drop, sector_cap, one_listing, barred, banned):
    """The rule in words, for shares of ten each worth 10, with sorted lists: the oracle of the kernel."""
    scores, halted, held = account["scores"], account["halted"], account["held"]
    value = account["cash"] + sum(10 * quantity for quantity in held.values())
    full = value // topk
    rank = {name: (-score, name) for name, score in scores.items()}
    forced = sorted(name for name in held if (name not in scores or name in banned) and name not in halted)
    ranked = sorted((name for name in held if name in scores and name not in banned), key=rank.__getitem__)
    refused: set[str] = set()
    while True:
        free = topk - len(held) + len(forced)
        candidates = [n for n in sorted(scores, key=rank.__getitem__) if n not in {*held, *halted, *barred, *refused}]
        candidates = candidates[: max(free + n_drop, 0)]
        union = sorted(ranked + candidates, key=rank.__getitem__)
        weakest = union[max(len(union) - n_drop, 0) :]
        dropped = [name for name in reversed(weakest) if name in held and name not in halted]
        dropped = dropped[: max(len(candidates) - free, 0)]
        places = free + len(dropped)
        portfolio = {name: 10 * held[name] for name in held if name not in {*forced, *dropped}}
        buys, newly = [], set()
        for name in candidates:
            if len(buys) >= places:
                break
            companions = [other for other in portfolio if KNOWN.company_of(other) == KNOWN.company_of(name)]
            of_sector = sum(portfolio[o] for o in portfolio if KNOWN.sector_of(o) == KNOWN.sector_of(name))
            if (one_listing and companions) or (sector_cap and of_sector + full > sector_cap * value):
                newly.add(name)
                continue
            portfolio[name] = full
            buys.append(name)
        refused |= newly
        if not newly or len(buys) >= places:
            return forced + dropped, buys


@settings(max_examples=examples(150))
@given(
    account=accounts,
    topk=topks,
    n_drop=st.integers(0, 3),
    sector_cap=st.none() | st.sampled_from([0.5, 0.8]),
    one_listing=st.booleans(),
    watchlist=st.sets(st.sampled_from(NAMES), max_size=2),
    blacklist=st.sets(st.sampled_from(NAMES), max_size=2),
)
def test_kernel_equals_the_rule_in_plain_python(account, topk, n_drop, sector_cap, one_listing, watchlist, blacklist):
    account = account | {"cash": account["cash"] * 10 + 10_000}
    orders = decide_case(
        account,
        pd.Series(10.0, index=NAMES),
        topk=topk,
        n_drop=n_drop,
        max_sector_weight=sector_cap,
        one_listing_per_company=one_listing,
        watchlist=sorted(watchlist),
        blacklist=sorted(blacklist),
    )
    sells, buys = plain_topk_drop(account, topk, n_drop, sector_cap, one_listing, watchlist | blacklist, blacklist)
    assert list(orders.loc[orders["side"] == "sell", "instrument"]) == sells
    bought = orders[(orders["side"] == "buy") | orders["reason"].str.contains("does not pay for one lot")]
    assert list(bought["instrument"]) == buys


def test_an_instrument_without_sector_is_one_of_its_own_however_the_source_writes_it():
    table = pd.DataFrame({"instrument": ["A", "B", "C", "D"], "sector": ["Tech", "", "Unknown", None]})
    known = Classification.of(table)
    assert [known.sector_of(name) for name in "ABCDE"] == ["Tech", "only B", "only C", "only D", "only E"]
