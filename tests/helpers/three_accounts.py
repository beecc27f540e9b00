"""Three accounts that have traded, without a run of the whole path: simulated, by statements, at a fake Alpaca."""

from contextlib import contextmanager
from decimal import Decimal

import pandas as pd
import yaml

from quant_pipeline.cli.account_environment import scaffold_environment
from quant_pipeline.datasets.trading_desk import BrokerDesk
from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.exchange.shared_market import market_of
from quant_pipeline.testing.fake_alpaca import API_KEY, SECRET_KEY, ExchangeHours, FakeAlpaca, FakeExchange
from quant_pipeline.trading.ledger.bookkeeping import book_days
from quant_pipeline.trading.ledger.store import Ledger
from tests.helpers import four_days
from tests.helpers.execution_desk import ORDERS, PRICES, Desk, places, settle
from tests.helpers.project import bare_project


def three_accounts(project_path, path):
    """Make a project with the environments sim, hand and paper, and a market of a few instruments."""
    bare_project(project_path, path)
    tracking = {"server": {"mlflow_tracking_uri": f"sqlite:///{path / 'mlflow.db'}"}}
    (path / "conf/base/mlflow.yml").write_text(yaml.safe_dump(tracking))
    scaffold_environment(path / "conf", "hand", "sim")
    (path / "conf/hand/parameters_own.yml").write_text("account: {filled_by: statements}\n")
    write_market(path / "data/markets/simulated", four_days.bars_table(), four_days.actions_table(), four_days.DAYS)
    return path


def write_market(folder, bars, actions, sessions):
    instruments = pd.DataFrame({"instrument": sorted(bars["instrument"].unique())}).astype("str")
    listed = {"name": instruments["instrument"], "sector": "Energy", "listed": sessions[0], "delisted": pd.NaT}
    instruments = instruments.assign(**listed).astype(dict.fromkeys(("listed", "delisted"), "datetime64[ns]"))
    tables = {
        "02_intermediate/bars": bars,
        "02_intermediate/corporate_actions": actions,
        "02_intermediate/instruments": instruments,
        "02_intermediate/sessions": pd.DataFrame({"date": sessions}),
        "03_primary/universe_members": bars[["date", "instrument"]],
    }
    for name, table in tables.items():
        file = folder / f"{name}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        table.to_parquet(file)


def simulated(path):
    rules, (second, third, last) = (MarketRules(), CostRules()), four_days.DAYS[1:]
    bars, actions = four_days.bars_table(), four_days.actions_table()
    events = four_days.book((), bars, actions, rules, second)
    events = four_days.plan(events, second, third, ("AAA", "buy", 30, 10.0, "best"))
    events = four_days.book(events, bars, actions, rules, third)
    events = four_days.plan(events, third, last, ("AAA", "sell", 10, 11.0, "worse"), ("BBB", "buy", 5, 20.0, "best"))
    Ledger.at(path / "data/accounts/sim/ledger.sqlite").append(four_days.book(events, bars, actions, rules, last))


def by_statements(path):
    sale = "2025-01-02,fill,AAA,sell,10,11.00,0,110"
    entries = four_days.entries(four_days.statement(four_days.DEPOSIT, four_days.BUY, sale))
    market = market_of(four_days.bars_table(), four_days.actions_table(), four_days.DAYS, MarketRules())
    events = book_days((), "hand", 0, market, entries)
    ledger = Ledger.at(path / "data/accounts/hand/ledger.sqlite")
    ledger.append(events)
    decided, executes_in = four_days.DAYS[-1], pd.Timestamp("2025-01-06")
    ledger.append(four_days.plan(events, decided, executes_in, ("BBB", "buy", 5, 20.0, "best"))[len(events) :])


@contextmanager
def at_broker(path, closes=True):
    """Trade a session on a paper account at a fake Alpaca; the session is closed, or it is 15:00 UTC of it."""
    # The market opens higher than the bars closed.
    prices = {name: Decimal(str(price)) for name, price in (PRICES | {"AAA": 52.0}).items()}
    exchange = FakeExchange(cash=100_000, prices=prices, hours=ExchangeHours("2025-03-04 15:00"))
    with FakeAlpaca(exchange) as server:
        parameters = {"kind": "paper", "url": server.url, "read_pause_seconds": 0.01, "requests_a_minute": 100_000}
        folder = path / f"data/accounts/paper-rehearsal-{server.port}"
        folder.mkdir(parents=True)
        keys = {"api_key": API_KEY, "secret_key": SECRET_KEY}
        dataset = BrokerDesk("alpaca", *places(folder, str(folder / "ledger.sqlite")), parameters, keys)
        desk = Desk(
            folder,
            "2025-03-03",
            dataset,
            "paper-rehearsal",
            waves="together",
            wait_for_fills_seconds=20,
            poll_seconds=0.05,
        )
        settle(desk)
        desk.plan(ORDERS[:2])
        assert desk.run()["execution_status"] == 0
        if closes:
            exchange.hours.set("2025-03-04 21:05")
            tomorrow = desk.bars[desk.bars["date"] == desk.as_of].assign(date=desk.deals_in)
            desk.bars = pd.concat([desk.bars, tomorrow]).sort_values(["instrument", "date"], ignore_index=True)
            desk.sessions = desk.sessions.append(pd.DatetimeIndex([desk.deals_in]))
            desk.as_of = desk.deals_in
            settle(desk)
        write_market(path / f"data/markets/alpaca-rehearsal-{server.port}", desk.bars, desk.actions, desk.sessions)
        yield server, exchange
