"""Attribution of an account: parts of each session sum to the ledger's change, to the cent, whatever happened."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.evaluation.risk_factors.attribution import RiskModel
from quant_pipeline.evaluation.risk_factors.exposures import HISTORY, STYLES, measure_exposures
from quant_pipeline.evaluation.risk_factors.regression import MARKET, estimate_factors
from quant_pipeline.exchange.market import TradingMarket
from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.market.price_adjustment import adjust_bars
from quant_pipeline.pipelines.analysis.nodes import Compared
from quant_pipeline.pipelines.analysis.parameters import AnalysisParameters
from quant_pipeline.pipelines.analysis.risk import (
    MONEY,
    attribute_sessions,
    compare_exposures,
    measure_all_loadings,
    summarise_attribution,
)
from quant_pipeline.trading.brokers.adapter import Exchange
from quant_pipeline.trading.brokers.simulated.bookkeeping import book_sessions
from quant_pipeline.trading.ledger.events import Event, EventKind
from quant_pipeline.trading.ledger.profit_parts import profit_parts
from quant_pipeline.trading.ledger.session_effects import walk_effects
from quant_pipeline.trading.orders.plans import record_plan

SESSIONS = pd.bdate_range("2023-01-02", periods=HISTORY + 30)
NAMES = [f"I{number:02d}" for number in range(24)]
FIRST = HISTORY + 2
RULES = AnalysisParameters(min_sessions=20)


@pytest.fixture(scope="module")
def market():
    """Bars of two dozen instruments; one splits and two pay while the account lives."""
    random = np.random.default_rng(8)
    returns = random.normal(0, 0.01, (len(SESSIONS), 1)) + random.normal(0, 0.01, (len(SESSIONS), len(NAMES)))
    close = (50 * np.exp(returns.cumsum(axis=0))).round(2)
    close[FIRST + 8 :, 0] = (close[FIRST + 8 :, 0] / 2).round(2)
    rows = [
        (
            day,
            name,
            close[i, j],
            close[i, j] + 0.5,
            close[i, j] - 0.5,
            close[i, j],
            float(random.integers(10**5, 10**6)),
        )
        for j, name in enumerate(NAMES)
        for i, day in enumerate(SESSIONS)
    ]
    bars = pd.DataFrame(rows, columns=["date", "instrument", "open", "high", "low", "close", "volume"])
    actions = pd.DataFrame(
        [
            (SESSIONS[FIRST + 8], "I00", "split", 2.0),
            (SESSIONS[FIRST + 5], "I01", "cash_dividend", 0.37),
            (SESSIONS[FIRST + 12], "I00", "cash_dividend", 0.11),
        ],
        columns=["date", "instrument", "kind", "value"],
    )
    return bars.astype({"instrument": "str"}), actions.astype({"instrument": "str", "kind": "str"})


@pytest.fixture(scope="module")
def model(market):
    bars, actions = market
    instruments = pd.DataFrame({"instrument": NAMES, "sector": ["A", "B"] * 12}).astype("str")
    exposures = measure_exposures(adjust_bars(bars, actions), bars[["date", "instrument"]], instruments, SESSIONS)
    return RiskModel(exposures, estimate_factors(exposures))


@pytest.fixture(scope="module")
def parts(market):
    """A simulated account that buys, sells a part, receives a deposit and pays a fee."""
    bars, actions = market
    rules, costs = MarketRules(), CostRules(buy_rate=0.001, sell_rate=0.001, half_spread=0.0002)
    events = ()
    for place in range(FIRST, FIRST + 20):
        day = SESSIONS[place]
        known, acted = bars[bars["date"] <= day], actions[actions["date"] <= day]
        exchange = Exchange(known, acted, SESSIONS[: place + 1], rules, costs)
        events = (*events, *book_sessions(events, "sim", 100_000.0, exchange))
        orders = {FIRST + 1: ("buy", 101), FIRST + 9: ("sell", 40)}.get(place)
        if orders is not None:
            rows = [(name, orders[0], orders[1], 50.0, "by hand") for name in NAMES[:6]]
            table = pd.DataFrame(rows, columns=["instrument", "side", "quantity", "reference_price", "reason"])
            events = (*events, *record_plan(events, table, day, SESSIONS[place + 1]))
        if place == FIRST + 3:
            following = SESSIONS[place + 1]
            facts = [(EventKind.DEPOSIT, "5000"), (EventKind.FEE, "-12.5")]
            moved = [Event(following, kind, str(kind), {"instrument": "", "amount": amount}) for kind, amount in facts]
            events = (*events, *moved)
    whole = TradingMarket.from_bars(bars, actions, SESSIONS, rules)
    return profit_parts(walk_effects(events, whole, SESSIONS[FIRST], SESSIONS[FIRST + 19]))


def test_parts_of_every_session_sum_to_the_change_of_the_ledger(parts, model):
    profits, holdings = parts
    found = attribute_sessions(profits, holdings, model)
    total = found["flow"] + found[[*MONEY]].sum(axis=1)
    assert total.tolist() == pytest.approx(profits["change"].tolist(), abs=1e-9)
    assert found["flow"].sum() == 105_000
    assert found["costs"].sum() < -12.5
    assert found["not_modelled"].abs().max() == 0
    # A simulated account is paid on the day, so that nothing is left but cents of fractions.
    assert found["rest"].abs().max() < 0.01
    assert found[MARKET].abs().max() > 10


def test_dividend_that_is_not_paid_is_the_rest(parts, model):
    profits, holdings = parts[0].copy(), parts[1].copy()
    day = SESSIONS[FIRST + 5]
    unpaid = (holdings["date"] == day) & (holdings["instrument"] == "I01")
    holdings.loc[unpaid, "profit"] -= 101 * 0.37
    profits.loc[profits["date"] == day, ["holdings", "change"]] -= 101 * 0.37
    found = attribute_sessions(profits, holdings, model).set_index("date")
    assert found.loc[day, "rest"] == pytest.approx(-101 * 0.37, abs=0.01)
    assert found["rest"].drop(day).abs().max() < 0.01


def test_session_after_one_that_was_never_closed_is_not_modelled(parts, model):
    profits, holdings = parts[0].copy(), parts[1]
    day = SESSIONS[FIRST + 6]
    profits.loc[profits["date"] == day, "since"] = SESSIONS[FIRST + 4]
    found = attribute_sessions(profits, holdings, model).set_index("date")
    whole = attribute_sessions(*parts, model).set_index("date")
    assert found.drop(day).equals(whole.drop(day))
    earned = profits.set_index("date").loc[day, "holdings"]
    assert abs(earned) > 10
    assert found.loc[day, "not_modelled"] == pytest.approx(earned, abs=1e-4)
    assert found.loc[day, [MARKET, "sectors", *STYLES, "selection"]].abs().sum() == 0
    assert found.loc[day, "flow"] + found.loc[day, [*MONEY]].sum() == pytest.approx(found.loc[day, "change"], abs=1e-9)


def test_session_that_the_model_does_not_know_is_not_modelled(parts, model):
    days = model.exposures.sessions[FIRST + 5 :]
    later = RiskModel(replace(model.exposures, sessions=days), model.factors)
    found = attribute_sessions(*parts, later).set_index("date")
    earned = parts[0].set_index("date")["holdings"]
    unknown = SESSIONS[FIRST + 3 : FIRST + 6]
    assert found.loc[unknown, "not_modelled"].tolist() == pytest.approx(earned[unknown].tolist(), abs=1e-4)
    assert found.loc[unknown, "rest"].abs().max() < 0.01


def test_walk_over_a_session_that_was_never_closed_says_since_when(market):
    bars, actions = market
    booked = book_sessions((), "sim", 100.0, Exchange(bars, actions, SESSIONS[: FIRST + 1], MarketRules(), CostRules()))
    deposit = Event(SESSIONS[FIRST + 2], EventKind.DEPOSIT, "more", {"instrument": "", "amount": "5"})
    close = Event(SESSIONS[FIRST + 2], EventKind.SESSION_CLOSED, "close", {"net_asset_value": "105", "cash": "105"})
    whole = TradingMarket.from_bars(bars, actions, SESSIONS, MarketRules())
    walked = walk_effects((*booked, deposit, close), whole, SESSIONS[FIRST], SESSIONS[FIRST + 2])
    profits, _ = profit_parts(walked)
    assert profits["since"].tolist() == [pd.NaT, SESSIONS[FIRST]]


def test_summary_ends_with_the_profit_and_has_bands_from_enough_sessions_on(parts, model):
    found = attribute_sessions(*parts, model)
    summary = summarise_attribution(found, parts[0], RULES).set_index("part")
    assert summary.index[-1] == "profit"
    assert summary.loc["profit", "amount"] == pytest.approx(summary["amount"].drop("profit").sum(), abs=1e-6)
    assert np.isfinite(summary.loc["profit", ["lower", "upper"]].astype(float)).all()
    few = summarise_attribution(found, parts[0], AnalysisParameters())
    assert few["lower"].isna().all()


def test_exposures_and_loadings_name_the_portfolio(model):
    held = pd.DataFrame({"date": SESSIONS[-2], "instrument": ["I00", "I01"], "value": [40.0, 50.0], "nav": 100.0})
    found = compare_exposures({"account": held}, model, RULES).set_index("factor")
    assert found.loc[MARKET, "newest"] == pytest.approx(0.9)
    assert found.loc["sector: A", "newest"] == pytest.approx(0.4)
    sold = pd.DataFrame({"date": SESSIONS[-1:], "instrument": None, "value": np.nan, "nav": 100.0})
    of_both = compare_exposures({"account": pd.concat([held, sold])}, model, RULES).set_index("factor")
    assert of_both["newest"].tolist() == [0.0] * len(of_both)
    assert of_both.loc[MARKET, ["mean", "sessions"]].tolist() == [pytest.approx(0.45), 2]
    later = sold.assign(date=pd.Timestamp("2030-01-02"))
    of_unknown = compare_exposures({"account": pd.concat([held, later])}, model, RULES).set_index("factor")
    assert of_unknown["newest"].isna().all()
    assert of_unknown.loc[MARKET, ["mean", "sessions"]].tolist() == [pytest.approx(0.9), 1]
    styles = model.factors.table().pivot(index="date", columns="factor", values="value")[[MARKET]]
    loadings = measure_all_loadings({"account": styles[MARKET] * 0.5}, {"own": styles}, RULES)
    assert loadings.loc[loadings["factor"] == MARKET, "loading"].item() == pytest.approx(0.5)
    assert measure_all_loadings({"account": styles[MARKET].head(5)}, {"own": styles}, RULES).empty


def test_portfolio_knows_the_sessions_in_which_nothing_was_held_and_the_returns_of_one_session():
    held = pd.DataFrame({"date": [SESSIONS[1]], "instrument": ["I00"], "market_value": [90.0]})
    amounts = pd.DataFrame(
        {"date": SESSIONS[[1, 2, 4, 5]], "nav": [100.0, 101, 104, 105], "return": [0, 0.1, 0.2, 0.3]}
    )
    compared = Compared(held, amounts, None, None, None)
    account = compared.portfolios["account"]
    assert account["date"].tolist() == list(SESSIONS[[1, 2, 4, 5]])
    assert account["instrument"].isna().tolist() == [False, True, True, True]
    found = compared.returns(SESSIONS)["account"]
    assert found.to_dict() == {SESSIONS[2]: 0.1, SESSIONS[5]: 0.3}
