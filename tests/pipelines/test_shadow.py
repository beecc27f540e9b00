"""The stage of the shadow account: it replays what is new, decides again, and raises alerts."""

from itertools import pairwise

import pandas as pd
import pytest

from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.pipelines.ensemble.parameters import EnsembleParameters
from quant_pipeline.pipelines.order_generation.parameters import OrderGenerationParameters
from quant_pipeline.pipelines.order_generation.sources import fingerprint_of_scores
from quant_pipeline.pipelines.shadow.again import Deciding, EarlierScores
from quant_pipeline.pipelines.shadow.nodes import compare_with_shadow
from quant_pipeline.pipelines.shadow.parameters import ShadowParameters
from quant_pipeline.strategy.account_parameters import AccountParameters
from quant_pipeline.strategy.rules import StrategyRules
from quant_pipeline.trading.ledger.events import Event, EventKind
from quant_pipeline.trading.orders.plans import record_plan
from tests.helpers.four_days import DAYS, actions_table, bars_table, book, orders_table

RULES = (MarketRules(), CostRules(buy_rate=0.001, sell_rate=0.001))
BEST = {"AAA": 2.0, "BBB": 1.0}


def risen():
    """Let AAA rise in the second session, so that it matters what was bought at its open."""
    bars = bars_table()
    bars.loc[(bars["instrument"] == "AAA") & (bars["date"] == DAYS[1]), "close"] = 10.5
    return bars


def scores_file(best=None):
    rows = [(day, name, score) for day in DAYS for name, score in (best or BEST).items()]
    return pd.DataFrame(rows, columns=["datetime", "instrument", "score"]).astype({"instrument": "str"})


def given(as_of, **changes):
    return {
        "bars": risen(),
        "corporate_actions": actions_table(),
        "sessions": pd.DataFrame({"date": DAYS}),
        "instruments": pd.DataFrame({"instrument": ["AAA", "BBB"], "name": "", "sector": "Energy"}).astype("str"),
        "strategy": StrategyRules(topk=1, n_drop=1),
        "market_rules": RULES[0],
        "cost_rules": RULES[1],
        "order_generation": OrderGenerationParameters(source="file"),
        "ensemble": EnsembleParameters(default="all", combinations={"all": {"models": ["m"]}}),
        "account": AccountParameters(name="sim"),
        "shadow": ShadowParameters(),
        "as_of": f"{as_of:%Y-%m-%d}",
        "score_file": scores_file(),
        "shadow_sessions_found": None,
        "shadow_differences_found": None,
        "order_shortfall_found": None,
    } | changes


@pytest.fixture(scope="module")
def events():
    """Three sessions of an account that trades the file of scores."""
    known, facts = (), given(DAYS[0])
    names = ("bars", "corporate_actions", "sessions", "instruments", "strategy", "market_rules", "cost_rules")
    deciding = Deciding.of(*(facts[name] for name in (*names, "order_generation", "ensemble", "account")))
    sources = EarlierScores(facts["score_file"]).of({})
    provenance = {"scores_sha256": fingerprint_of_scores(sources["file"][sources["file"]["datetime"] == DAYS[0]])}
    for day, following in pairwise(DAYS):
        known = book(known, risen(), actions_table(), RULES, day)
        orders = deciding.again(day, known, sources).orders
        rows = [(o.instrument, o.side, o.quantity, float(o.reference_price), o.reason) for o in orders]
        known = (*known, *record_plan(known, orders_table(*rows), day, following, provenance))
    assert [event.kind for event in known].count(EventKind.FILL) == 1
    return known


def test_account_that_trades_as_decided_does_not_differ_and_later_runs_replay_what_is_new(events):
    first = compare_with_shadow(events=events, **given(DAYS[1]))
    sessions, differences, shortfall, alerts = first
    assert sessions["date"].tolist() == list(DAYS[:2])
    assert sessions["decided_again"].tolist() == [False, True]
    assert sessions["difference"].tolist() == [0, 0]
    assert differences.empty
    assert shortfall[["instrument", "side", "requested", "executed"]].to_numpy().tolist() == [["AAA", "buy", 94, 94]]
    assert alerts == ()
    tables = ("shadow_sessions_found", "shadow_differences_found", "order_shortfall_found")
    second = compare_with_shadow(events=events, **given(DAYS[2], **dict(zip(tables, first[:3], strict=True))))
    assert second[0]["decided_again"].tolist() == [False, True, True]
    again = compare_with_shadow(events=events, **given(DAYS[2], **dict(zip(tables, second[:3], strict=True))))
    for one, other in zip(second[:3], again[:3], strict=True):
        pd.testing.assert_frame_equal(one, other)


def test_scores_that_were_revised_since_make_another_decision_of_revised_data(events):
    revised = given(DAYS[1], score_file=scores_file({"AAA": 1.0, "BBB": 2.0}))
    sessions, differences, _, alerts = compare_with_shadow(events=events, **revised)
    newest = sessions.iloc[-1]
    assert newest["difference"] == newest["data_revisions"] != 0
    assert set(differences["cause"]) == {"data_revisions"}
    assert alerts == ()


def test_strategy_that_was_changed_since_makes_another_decision_of_the_same_data(events):
    changed = given(DAYS[1], strategy=StrategyRules(topk=2, n_drop=1))
    sessions, *_ = compare_with_shadow(events=events, **changed)
    newest = sessions.iloc[-1]
    assert newest["difference"] == newest["code_changes"] != 0


def test_scores_that_are_gone_leave_the_recorded_decision(events):
    sessions, *_ = compare_with_shadow(events=events, **given(DAYS[1], score_file=None))
    assert sessions["decided_again"].tolist() == [False, False]
    assert sessions["difference"].tolist() == [0, 0]


@pytest.mark.parametrize(("limit", "raised"), [(1.0, 1), (100.0, 0)])
def test_what_has_no_cause_raises_one_alert_beyond_its_limit(events, limit, raised):
    cash = next(e for e in events if e.kind is EventKind.SESSION_CLOSED and e.session == DAYS[1]).payload
    kept = [e for e in events if e.session <= DAYS[1] and not (e.kind == "session_closed" and e.session == DAYS[1])]
    odd = Event(DAYS[1], EventKind.OTHER_CASH, "odd", {"instrument": "", "amount": "-3", "message": "MYST"})
    facts = {name: str(float(amount) - 3) for name, amount in cash.items()}
    close = Event(DAYS[1], EventKind.SESSION_CLOSED, "close", facts)
    shadow = ShadowParameters(max_unexplained_bps=limit)
    sessions, _, _, alerts = compare_with_shadow(events=[*kept, odd, close], **given(DAYS[1], shadow=shadow))
    assert sessions["unexplained"].tolist() == [0, 3]
    assert [alert.payload["code"] for alert in alerts] == ["SHADOW_UNEXPLAINED"] * raised
    assert all("kedro account explain 2024-12-31" in alert.payload["message"] for alert in alerts)
