"""A session at the fake Alpaca: what the watching process writes, and what `kedro account protect` does about it."""

import json
import shutil
import time
from decimal import Decimal
from types import SimpleNamespace

import pandas as pd
import pytest
from click.testing import CliRunner

from quant_pipeline.cli.account import account as account_command
from quant_pipeline.cli.live import live as live_command
from quant_pipeline.cli.opened_account import open_account
from quant_pipeline.live.account import LiveAccount
from quant_pipeline.live.market_data.files import SCORES_FILE, WATCH_FILE
from quant_pipeline.live.market_data.session import LiveSession
from quant_pipeline.live.market_data.watch import Books, Watcher, _value, _value_before
from quant_pipeline.models.inference import Scores
from quant_pipeline.testing.fake_alpaca import API_KEY, SECRET_KEY, ExchangeHours, FakeAlpaca, FakeExchange
from quant_pipeline.trading.ledger.account import AccountState
from quant_pipeline.trading.ledger.lots import Lot, Position
from quant_pipeline.trading.market_snapshot import MARKET_FILE, MarketSnapshot
from quant_pipeline.trading.orders.reconciliation import open_books
from tests.helpers.project import PROJECT, copy_project

NOON = pd.Timestamp("2025-01-03 17:00", tz="UTC")
AS_OF = "2025-01-02"
STOPS = "order_generation.stop_rules.stop_loss=0.1"
BAR = {"o": 50.0, "h": 51.0, "l": 49.0, "c": 50.0, "v": 1000}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return SimpleNamespace(project_path=copy_project(PROJECT, tmp_path_factory.mktemp("watch") / "project").path)


@pytest.fixture
def fake(monkeypatch):
    monkeypatch.setenv("ALPACA_PAPER_API_KEY", API_KEY)
    monkeypatch.setenv("ALPACA_PAPER_SECRET_KEY", SECRET_KEY)
    prices = {"AAPL": Decimal(50), "MSFT": Decimal(400)}
    exchange = FakeExchange(cash=10_000, prices=prices, hours=ExchangeHours(NOON))
    exchange.move("AAPL", Decimal(50), Decimal(50))
    exchange.last_equity = exchange.equity()
    with FakeAlpaca(exchange) as server:
        yield server


@pytest.fixture
def opened(place, fake):
    shutil.rmtree(place.project_path / "data", ignore_errors=True)
    params = {"alpaca_url": fake.url, "as_of": AS_OF, "order_generation": {"stop_rules": {"stop_loss": 0.1}}}
    with open_account(place, "paper", params) as opened:
        with opened.open_without_market() as desk:
            open_books(desk)
        days = pd.to_datetime(["2024-12-31", AS_OF])
        bars = pd.DataFrame({"date": days, "instrument": "AAPL", "open": 50.0, "high": [50.0, 52.0], "low": 49.0,
                             "close": 50.0, "volume": 1e6})  # fmt: skip
        opened.catalog.save("bars", bars.astype({"instrument": "str"}))
        none = {"date": days[:0], "instrument": pd.array([], "str"), "kind": pd.array([], "str"), "value": [0.0][:0]}
        opened.catalog.save("corporate_actions", pd.DataFrame(none))
        view = pd.DataFrame({"instrument": ["AAPL"], "price": [50.0], "price_age": [0], "average_volume": [1e6],
                             "sector": ["Technology"], "tradable": [True], "member": [True]})  # fmt: skip
        opened.catalog.save("execution_market", view)
        yield SimpleNamespace(account=LiveAccount.of(place, opened, {}), opened=opened)


def at(minutes):
    return pd.Timestamp("2025-01-03 14:30", tz="UTC") + pd.Timedelta(minutes=minutes)


def until(holds):
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def books_of(cash, closed_equity, closes, **held):
    """Books after a booked close: `held` names shares and what they cost."""
    state = AccountState(cash=Decimal(cash))
    for name, (quantity, cost) in held.items():
        lot = Lot(pd.Timestamp(AS_OF), Decimal(quantity), Decimal(cost))
        state.positions[name] = Position([lot])
    return Books(0.0, state, {name: Decimal(price) for name, price in closes.items()}, Decimal(closed_equity))


@pytest.mark.parametrize(
    ("books", "prices", "change"),
    [
        (books_of(0, 100, {"A": 45}, A=(2, 100)), {"A": 45}, Decimal("-0.1")),
        (books_of(60, 100, {"A": 45}, A=(1, 45)), {"A": 40}, Decimal(0)),
        (books_of(50, 100, {}, A=(1, 90)), {}, Decimal(0)),
        (books_of(0, 200, {"A": 50}, A=(2, 100), B=(1, 10)), {"A": 40}, Decimal(-20) / 110),
    ],
    ids=["bought above its close and fallen back", "sold above its close", "without any price", "one without a price"],
)
def test_the_change_of_the_session_counts_from_what_was_booked_at_the_close(books, prices, change):
    known = {**books.closes, **{name: Decimal(price) for name, price in prices.items()}}
    assert _value(books.state, known) / _value_before(books, known) - 1 == change


class Scorer:
    """Scores of the closes that have arrived."""

    def score(self, session, bars):
        return Scores(bars.set_index("instrument")["close"] / 3, "a-bundle", session)


def test_a_day_is_written_for_limits_operator_and_process(opened, fake, tmp_path):
    session = LiveSession(opened.opened)
    ring = session.ring(["AAPL", "MSFT"])
    market = fake.market_stream
    market.publish_bar("AAPL", at(0), BAR)
    with session.stream(ring) as stream:
        until(lambda: ring.connections and market.subscriptions)
        watcher = Watcher(session, ring, stream, tmp_path, {"ridge": Scorer()}, 0.0)
        found = watcher.look(NOON)
        assert (found["change"], found["alarms"]) == (0.0, []), "the gap before the connection was filled"
        assert found["instruments"] == 1
        market.publish_trade("AAPL", at(3), 40.0)
        market.publish_bar("AAPL", at(2), BAR | {"l": 40.0, "c": 40.5})
        market.publish_status("MSFT", at(3), "H", "Trading Halt")
        until(lambda: ring.snapshot().halted)
        found = watcher.look(NOON)
    assert found["net_asset_value"] == "12000.00"
    assert found["change"] == -0.04
    assert found["alarms"] == ["losses", "stop AAPL"]
    assert found["stops"] == {"AAPL": "stopped: stop loss at 45.00, its cost is 50.00"}
    assert json.loads((tmp_path / WATCH_FILE).read_text()) == found
    snapshot = MarketSnapshot.read(tmp_path / MARKET_FILE)
    assert (snapshot.trades["AAPL"].price, dict(snapshot.halted)) == (Decimal("40.0"), {"MSFT": "Trading Halt"})
    scores = json.loads((tmp_path / SCORES_FILE).read_text())
    assert scores["models"] == {"ridge": {"bundle": "a-bundle", "scores": {"AAPL": 40.5 / 3}}}, "to the last bit"
    assert not any(key in path.read_text() for path in tmp_path.iterdir() for key in (API_KEY, SECRET_KEY))


def test_the_command_watches_until_the_process_that_started_it_is_gone(opened, fake, place, monkeypatch):
    folder, looks = opened.account.folder, []
    fake.market_stream.publish_bar("AAPL", at(0), BAR)

    def parent():
        is_there = (folder / WATCH_FILE).exists() and json.loads((folder / WATCH_FILE).read_text())["instruments"]
        looks.append(is_there)
        return 2 if is_there else 1

    monkeypatch.setattr("quant_pipeline.cli.live.os.getppid", parent)
    monkeypatch.setattr("quant_pipeline.cli.live.signal.signal", lambda *_: None)
    words = ["watch", "--env", "paper", "--params", f"alpaca_url={fake.url},as_of={AS_OF}"]
    done = CliRunner().invoke(live_command, words, obj=place)
    assert done.exit_code == 0, (done.output, done.exception)
    assert MarketSnapshot.read(folder / MARKET_FILE, 600).trades["AAPL"].price == 50
    assert not (folder / SCORES_FILE).exists()


def test_the_command_ends_at_once_when_the_process_that_started_it_was_killed_before_it_looked(opened, fake, place):
    words = ["watch", "--parent", "1", "--env", "paper", "--params", f"alpaca_url={fake.url},as_of={AS_OF}"]
    done = CliRunner().invoke(live_command, words, obj=place)
    assert done.exit_code == 0, (done.output, done.exception)
    assert not (opened.account.folder / WATCH_FILE).exists()


def test_protect_sells_what_has_touched_its_stop_by_the_way_of_every_order(opened, fake, place):
    fake.market_stream.publish_bar("AAPL", at(0), BAR)
    fake.market_stream.publish_bar("AAPL", at(1), BAR | {"l": 44.0, "c": 48.0})
    fake.exchange.prices["AAPL"] = Decimal(48)
    words = ["protect", "--env", "paper", "--params", f"alpaca_url={fake.url},as_of={AS_OF},{STOPS}"]
    done = CliRunner().invoke(account_command, words, obj=place)
    assert done.exit_code == 0, done.output
    assert "AAPL: stopped: stop loss at 45.00, its cost is 50.00" in done.output
    assert "paper-rehearsal" in done.output
    known = [(str(e.kind), e.payload) for e in opened.opened.ledger.open().events()][-3:]
    assert "is active; 1 stops are touched, 1 holdings were sold" in done.output, known
    assert "AAPL" not in fake.exchange.positions
    again = CliRunner().invoke(account_command, words, obj=place)
    assert again.output.endswith("0 stops are touched, 0 holdings were sold\n")


@pytest.mark.parametrize(("opened_at", "sold"), [(50.0, 1), (40.0, 0)], ids=["a fall in the session", "a gap or split"])
def test_protect_sells_what_has_fallen_far_in_the_session_and_leaves_a_gap_at_its_open_to_the_operator(
    opened, fake, place, opened_at, sold
):
    fake.market_stream.publish_bar("AAPL", at(0), BAR | {"o": opened_at, "l": 40.0, "c": 40.0})
    fake.exchange.prices["AAPL"] = Decimal(40)
    limits = "risk.soft_daily_loss=0.5,risk.hard_daily_loss=0.6,risk.max_drawdown=0.7"
    words = ["protect", "--env", "paper", "--params", f"alpaca_url={fake.url},as_of={AS_OF},{STOPS},{limits}"]
    done = CliRunner().invoke(account_command, words, obj=place)
    assert f"1 stops are touched, {sold} holdings were sold" in done.output, done.output
    assert ("AAPL" in fake.exchange.positions) == (not sold)


def test_protect_lets_only_exits_through_after_losses(opened, fake, place):
    fake.exchange.prices["AAPL"] = Decimal(40)
    words = ["protect", "--env", "paper", "--params", f"alpaca_url={fake.url},as_of={AS_OF}"]
    done = CliRunner().invoke(account_command, words, obj=place)
    assert "is reducing; 0 stops are touched" in done.output, done.output


@pytest.mark.parametrize(("env", "message"), [("sim", "'sim' has no broker that could protect it")])
def test_protect_without_a_broker_is_refused(place, env, message):
    done = CliRunner().invoke(account_command, ["protect", "--env", env, "--params", f"as_of={AS_OF}"], obj=place)
    assert done.exit_code == 1
    assert message in done.output
