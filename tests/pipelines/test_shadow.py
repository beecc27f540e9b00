"""The stage of the shadow account: it replays what is new, decides again, and raises alerts."""

from functools import partial
from itertools import pairwise

import pandas as pd
import pytest

from quant_pipeline.exchange import shared_market
from quant_pipeline.exchange.market import TradingMarket
from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.pipelines.ensemble.parameters import EnsembleParameters
from quant_pipeline.pipelines.order_generation.parameters import OrderGenerationParameters
from quant_pipeline.pipelines.order_generation.sources import fingerprint_of_scores
from quant_pipeline.pipelines.shadow.again import Deciding, EarlierScores
from quant_pipeline.pipelines.shadow.nodes import compare_with_shadow
from quant_pipeline.pipelines.shadow.parameters import ShadowParameters
from quant_pipeline.strategy.account_parameters import AccountParameters
from quant_pipeline.strategy.rules import StrategyRules
from quant_pipeline.trading.ledger.account import fold
from quant_pipeline.trading.ledger.bookkeeping import closing_event
from quant_pipeline.trading.ledger.events import Event, EventKind
from quant_pipeline.trading.orders.plans import record_plan
from tests.helpers.four_days import DAYS, actions_table, bars_table, book, orders_table

RULES = (MarketRules(), CostRules(buy_rate=0.001, sell_rate=0.001))
LABEL = "Ref($open, -2)/Ref($open, -1)-1"
BEST = {"AAA": 2.0, "BBB": 1.0}


def risen():
    """Let AAA rise in the second session, so that it matters what was bought at its open."""
    bars = bars_table()
    bars.loc[(bars["instrument"] == "AAA") & (bars["date"] == DAYS[1]), "close"] = 10.5
    return bars


def scores_file(best=None):
    rows = [(day, name, score) for day in DAYS for name, score in (best or BEST).items()]
    return pd.DataFrame(rows, columns=["datetime", "instrument", "score"]).astype({"instrument": "str"})


def scores_of_model(day):
    """Scores of a model as prediction leaves them."""
    index = pd.MultiIndex.from_product([[day], list(BEST)], names=["datetime", "instrument"])
    return pd.DataFrame({"score": list(BEST.values()), "label": LABEL, "bundle": "B1"}, index=index)


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


def market_of_all(bars):
    return TradingMarket.from_bars(bars, actions_table(), DAYS, RULES[0])


@pytest.fixture(scope="module")
def events():
    """Three sessions of an account that trades the file of scores."""
    known, facts = (), given(DAYS[0])
    names = ("bars", "corporate_actions", "sessions", "instruments", "strategy", "market_rules", "cost_rules")
    deciding = Deciding.of(*(facts[name] for name in (*names, "order_generation", "ensemble", "account")))
    scores = EarlierScores(facts["score_file"])
    file = scores.at(DAYS[0])["file"]
    for day, following in pairwise(DAYS):
        known = book(known, risen(), actions_table(), RULES, day)
        provenance = {"scores_sha256": fingerprint_of_scores(file[file["datetime"] == day])}
        orders = deciding.again(day, known, scores, market_of_all(facts["bars"])).orders
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


def test_every_session_whose_scores_are_kept_is_decided_again(events):
    revised = scores_file({"AAA": 1.0, "BBB": 2.0})
    sessions, *_ = compare_with_shadow(events=events, **given(DAYS[2], score_file=revised))
    assert sessions["decided_again"].tolist() == [False, True, True]
    assert (sessions["difference"] == sessions["data_revisions"]).all()
    assert sessions["data_revisions"].ne(0).tolist() == [False, True, True]
    changed = given(DAYS[2], strategy=StrategyRules(topk=2, n_drop=1))
    sessions, *_ = compare_with_shadow(events=events, **changed)
    assert sessions["code_changes"].ne(0).tolist()[1]
    assert sessions["unexplained"].tolist() == [0, 0, 0]


def test_scores_of_models_are_read_for_the_sessions_that_are_replayed_and_no_others(events):
    read = []

    def table(day):
        read.append(day)
        return scores_of_model(day)

    tables = {f"{day:%Y-%m-%d}": partial(table, day) for day in DAYS}
    rules = OrderGenerationParameters(source="m")
    facts = given(DAYS[2], score_file=None, order_generation=rules, m_earlier_scores=tables)
    first = compare_with_shadow(events=events, **facts)
    assert first[0]["decided_again"].tolist() == [False, True, True]
    assert read == list(DAYS[:2])
    compare_with_shadow(events=events, **facts | {"shadow_sessions_found": first[0]})
    assert read == [*DAYS[:2], DAYS[1]]


@pytest.fixture
def with_a_gap(events):
    """The third session was never closed: what it had is booked with the fourth."""
    kept = [e for e in events if not (e.kind is EventKind.SESSION_CLOSED and e.session == DAYS[2])]
    fee = Event(DAYS[3], EventKind.FEE, "fee", {"instrument": "", "amount": "-1"})
    state = fold([*kept, fee])
    market = TradingMarket.from_bars(risen(), actions_table(), DAYS, RULES[0])
    return [*kept, fee, closing_event(state, market, DAYS[3])]


def test_session_after_one_that_was_never_closed_is_left_out_and_named(with_a_gap, caplog):
    sessions, _, _, alerts = compare_with_shadow(events=with_a_gap, **given(DAYS[3]))
    assert sessions["date"].tolist() == list(DAYS[:2])
    assert alerts == ()
    assert "2025-01-03 is not compared with the backtest: the close before it is that of 2024-12-31" in caplog.text
    caplog.clear()
    compare_with_shadow(events=with_a_gap, **given(DAYS[1]))
    assert "not compared" not in caplog.text


def test_correction_of_a_session_replayed_before_is_measured_again(events):
    tables = ("shadow_sessions_found", "shadow_differences_found", "order_shortfall_found")
    first = compare_with_shadow(events=events, **given(DAYS[1]))
    (fill,) = (event for event in events if event.kind is EventKind.FILL)
    kept = [e for e in events if e.session <= DAYS[2] and not (e.kind == "session_closed" and e.session == DAYS[2])]
    correction = Event(DAYS[2], EventKind.TRADE_CORRECTION, "fixed", {"fill": fill.key, "price": "10.25"})
    market = TradingMarket.from_bars(risen(), actions_table(), DAYS, RULES[0])
    corrected = [*kept, correction, closing_event(fold([*kept, correction]), market, DAYS[2])]
    second = compare_with_shadow(events=corrected, **given(DAYS[2], **dict(zip(tables, first[:3], strict=True))))
    pd.testing.assert_frame_equal(second[0].iloc[:2], first[0])
    assert first[2]["price"].tolist() == [10.0]
    assert second[2]["price"].tolist() == [10.25]
    assert second[0]["data_revisions"].tolist() == [0, 0, 94 * 0.25]


def test_order_whose_fill_was_booked_late_is_measured_again(events):
    tables = ("shadow_sessions_found", "shadow_differences_found", "order_shortfall_found")
    first = compare_with_shadow(events=events, **given(DAYS[1]))
    kept = [e for e in events if e.session <= DAYS[2] and not (e.kind == "session_closed" and e.session == DAYS[2])]
    facts = {"instrument": "AAA", "side": "buy", "quantity": "1", "price": "10", "fee": "0", "effective": "2024-12-31"}
    known = [*kept, Event(DAYS[2], EventKind.FILL, "late", facts)]
    market = TradingMarket.from_bars(risen(), actions_table(), DAYS, RULES[0])
    known = [*known, closing_event(fold(known), market, DAYS[2])]
    second = compare_with_shadow(events=known, **given(DAYS[2], **dict(zip(tables, first[:3], strict=True))))
    assert (first[2]["executed"].tolist(), second[2]["executed"].tolist()) == ([94], [95])
    assert second[0]["delay"].tolist() == [0, 0, -1]


def test_revised_close_of_a_holding_that_is_not_traded_is_revised_data(events):
    assert not next(e for e in events if e.kind is EventKind.PLAN_RECORDED and e.session == DAYS[1]).payload["orders"]
    names = ("corporate_actions", "sessions", "instruments", "strategy", "market_rules", "cost_rules")
    facts = given(DAYS[1])
    others = [facts[name] for name in (*names, "order_generation", "ensemble", "account")]
    scores = EarlierScores(facts["score_file"])
    revised = risen()
    revised.loc[(revised["instrument"] == "AAA") & (revised["date"] == DAYS[1]), "close"] = 10.4

    def has_same_inputs(bars):
        return Deciding.of(bars, *others).again(DAYS[1], events, scores, market_of_all(bars)).same_inputs

    assert [has_same_inputs(bars) for bars in (risen(), revised)] == [True, False]
    # The net asset value of a broker is at its own prices, which say nothing about closes.
    others[-1] = AccountParameters(name="sim", filled_by="broker")
    assert has_same_inputs(revised)


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


def test_a_run_builds_its_market_once(events, monkeypatch):
    built, from_bars = [], TradingMarket.from_bars
    shared_market._build.cache_clear()
    monkeypatch.setattr(TradingMarket, "from_bars", lambda *given: built.append(1) or from_bars(*given))
    compare_with_shadow(events=events, **given(DAYS[2]))
    assert len(built) == 1
