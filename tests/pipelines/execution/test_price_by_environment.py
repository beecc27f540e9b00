"""Every price in every environment: orders execute at the configured price, or are refused; never at another one."""

from functools import cache
from types import SimpleNamespace

import pandas as pd
import pytest
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from kedro.pipeline import Pipeline

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.project.hooks import AccountGuardHooks
from quant_pipeline.trading.brokers.adapter import Exchange
from quant_pipeline.trading.brokers.simulated.bookkeeping import book_sessions
from quant_pipeline.trading.ledger.events import EventKind
from quant_pipeline.trading.ledger.store import Ledger
from quant_pipeline.trading.orders.desk import trading_state_event
from quant_pipeline.trading.orders.plans import record_plan
from quant_pipeline.trading.orders.risk_view import FLATTEN, TradingState

REFUSED_PRICE = "Alpaca executes at open or close only"
AT_BROKER = {
    ("open", "day"): None,
    ("open", "opg"): None,
    ("open", "cls"): "Set execution.time_in_force to day or opg",
    ("close", "day"): "Set execution.time_in_force to cls and execution.waves to together",
    ("close", "opg"): "Set execution.time_in_force to cls",
    ("close", "cls"): None,
    ("vwap", "day"): REFUSED_PRICE,
    ("vwap", "opg"): REFUSED_PRICE,
    ("vwap", "cls"): REFUSED_PRICE,
}
CASES = [
    (environment, price, kind, outcome if environment in ("paper", "live") else None)
    for environment in ("sim", "files", "qlib", "cn", "paper", "live")
    for (price, kind), outcome in AT_BROKER.items()
    if environment in ("paper", "live") or kind == "day"
]
DECIDED, EXECUTED = pd.Timestamp("2025-01-02"), pd.Timestamp("2025-01-03")


@pytest.fixture(scope="module")
def configuration(project_path):
    """Return what the project's own configuration of an environment says."""
    bootstrap_project(project_path)

    @cache
    def read(environment):
        loader = KedroSession.create(project_path, env=environment).load_context().config_loader
        return {name: loader[name] for name in ("catalog", "parameters")}

    return read


def begin(environment, configuration, price, kind, ledger=None):
    """Let a run begin, up to what the guard says."""
    parameters, catalog = dict(configuration["parameters"]), dict(configuration["catalog"])
    changes = {"market_rules": {"deal_price": price}, "execution": {"time_in_force": kind, "waves": "together"}}
    parameters |= {block: parameters[block] | values for block, values in changes.items()}
    if ledger is not None:
        catalog["ledger_as_found"] = {"filepath": str(ledger)}
    pair = {"api_key": "key", "secret_key": "key"}
    config = {
        "catalog": catalog,
        "parameters": parameters,
        "credentials": {"alpaca_paper": pair, "alpaca_live": pair},
    }
    guard = AccountGuardHooks()
    guard.after_context_created(SimpleNamespace(env=environment, config_loader=config))
    guard.before_pipeline_run(Pipeline([]))


@pytest.mark.parametrize(("environment", "price", "kind", "remedy"), CASES)
def test_a_price_that_the_broker_does_not_execute_at_is_refused_when_a_run_begins(
    configuration, environment, price, kind, remedy
):
    if remedy is None:
        begin(environment, configuration(environment), price, kind)
        return
    with pytest.raises(ConfigurationError, match=f"market_rules.deal_price is {price}") as refused:
        begin(environment, configuration(environment), price, kind)
    assert remedy in refused.value.message


def test_the_way_out_is_not_closed_by_a_price_that_cannot_be_had(configuration, tmp_path):
    file = tmp_path / "ledger.sqlite"
    Ledger.at(file).append([trading_state_event(DECIDED, 0, TradingState.REDUCING, FLATTEN, "sold by command")])
    begin("paper", configuration("paper"), "vwap", "day", file)


@pytest.mark.parametrize(("deal_price", "paid"), [("open", "11.0000"), ("close", "14.0000"), ("vwap", "12.5000")])
def test_the_simulated_account_executes_at_the_configured_price(deal_price, paid):
    rows = [(DECIDED, 10.0, 10.0, 10.0, 10.0, 10.0), (EXECUTED, 11.0, 15.0, 9.0, 14.0, 12.5)]
    bars = pd.DataFrame(rows, columns=["date", "open", "high", "low", "close", "vwap"])
    bars = bars.assign(instrument="AAA", volume=1e6).astype({"instrument": "str"})
    actions = pd.DataFrame({"date": pd.DatetimeIndex([]), "instrument": [], "kind": [], "value": []})
    rules, days = MarketRules(deal_price=deal_price), pd.DatetimeIndex(bars["date"])
    events = book_sessions((), "sim", 1_000, Exchange(bars[:1], actions, days[:1], rules, CostRules()))
    order = pd.DataFrame(
        [("AAA", "buy", 10, 10.0, "best")], columns=["instrument", "side", "quantity", "reference_price", "reason"]
    )
    events += record_plan(events, order, DECIDED, EXECUTED)
    events += book_sessions(events, "sim", 1_000, Exchange(bars, actions, days, rules, CostRules()))
    (fill,) = [event for event in events if event.kind is EventKind.FILL]
    assert fill.payload["price"] == paid
