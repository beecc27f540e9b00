"""The broker of docs/extending/broker.md lives outside of the package, passes the contract, and cannot send unarmed."""

import re
import shutil
import sys
import time
from decimal import Decimal
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from quant_pipeline.cli.account_environment import scaffold_environment
from quant_pipeline.common.exceptions import AccountError, ConfigurationError
from quant_pipeline.datasets.trading_desk import BrokerDesk
from quant_pipeline.testing.contract_market import SESSIONS
from quant_pipeline.testing.venue import NUMBER, TOKEN, Venue
from quant_pipeline.trading.broker_records import OrderRequest
from quant_pipeline.trading.brokers.gateway import DeskRules
from quant_pipeline.trading.ledger.store import Ledger
from quant_pipeline.trading.orders.account_orders import AccountOrders
from quant_pipeline.trading.orders.desk import arming_event
from quant_pipeline.trading.orders.lease import Lease, LeaseHeldError
from quant_pipeline.trading.orders.risk_view import DenialCode
from quant_pipeline.trading.ports import BrokerUnavailableError, OrderWithheldError
from tests.helpers.documented_files import files_of
from tests.helpers.execution_desk import LIMITS, Desk, places, settle

PAGE = Path(__file__).resolve().parents[2] / "docs" / "extending" / "broker.md"
FILES = files_of(PAGE)
MODULE, SUITE = FILES["src/my_broker.py"], FILES["tests/test_my_broker.py"]


def imported(name, text):
    module = sys.modules[name] = ModuleType(name)
    exec(compile(text, f"{PAGE.name}: {name}", "exec"), module.__dict__)
    return module


my_broker = imported("my_broker", MODULE)
TestOutsideBroker = imported("test_my_broker", SUITE).TestOutsideBroker


class AtItsOwnTime(my_broker.OutsideAdapter):
    """The example, as at a venue whose sessions are of the past."""

    @property
    def has_own_time(self):
        return True


my_broker.AtItsOwnTime = AtItsOwnTime


def test_the_example_is_short():
    assert sum(bool(line.strip()) for line in MODULE.splitlines()) < 60


class TestRun:
    """Runs of Kedro in an environment like live, whose broker is the example."""

    @pytest.fixture
    def run(self, project_path, tmp_path, monkeypatch):
        monkeypatch.setenv("MY_BROKER_TOKEN", TOKEN)
        bootstrap_project(project_path)
        conf = shutil.copytree(project_path / "conf", tmp_path / "conf", ignore=shutil.ignore_patterns("local"))
        scaffold_environment(conf, "mine", "live")
        for name, text in FILES.items():
            if name.startswith("conf/"):
                (tmp_path / name).write_text(text)
        settings = conf / "mine" / "globals.yml"
        settings.write_text(settings.read_text().replace(" data/", f" {tmp_path}/"))

        def run(*pipelines, **execution):
            rules = {"needs_arming": True, "account_number": NUMBER} | execution
            lines = [f"  {name}: {value}" for name, value in rules.items()]
            (conf / "mine" / "parameters_execution.yml").write_text("\n".join(["execution:", *lines, ""]))
            runtime = {"as_of": f"{SESSIONS[0]:%Y-%m-%d}"}
            with KedroSession.create(
                project_path, env="mine", conf_source=str(conf), runtime_params=runtime, save_on_close=False
            ) as session:
                session.run(pipeline_names=list(pipelines))

        yield run
        with KedroSession.create(project_path, env="sim", save_on_close=False) as session:
            session.load_context()

    @pytest.mark.parametrize("pipelines", [("execution",), ("daily", "execution")], ids=["execution", "whole day"])
    @pytest.mark.parametrize(
        ("execution", "message"),
        [
            ({}, f"account {NUMBER} is not armed for 2025-01-03.*`kedro account arm --env mine`"),
            ({"account_number": "null"}, "execution.account_number does not pin the account"),
            ({"needs_arming": "false"}, "trades real money at the outside broker, but execution.needs_arming is false"),
        ],
        ids=["not armed", "not pinned", "no arming"],
    )
    def test_is_refused_before_it_begins(self, run, tmp_path, pipelines, execution, message):
        with pytest.raises(ConfigurationError, match=message):
            run(*pipelines, **execution)
        assert list(tmp_path.rglob("venue.sqlite")) == []

    def test_without_its_key_names_the_variable(self, run, tmp_path, monkeypatch):
        monkeypatch.delenv("MY_BROKER_TOKEN")
        with pytest.raises(ConfigurationError, match=r"its token is not set\. Set MY_BROKER_TOKEN in the shell"):
            run("execution")
        assert list(tmp_path.rglob("venue.sqlite")) == []


class TestPipeline:
    """Plan and execution as nodes, without the hooks that refuse a run: every order still passes the gateway."""

    ORDERS = (("AAA", "buy", 20, 40.0, "best"), ("BBB", "buy", 30, 20.0, "second"))
    ARMED = arming_event(SESSIONS[1], NUMBER)

    @pytest.fixture
    def venue(self, tmp_path):
        return Venue(tmp_path / "venue.sqlite")

    @pytest.fixture
    def desk(self, tmp_path, venue):
        dataset = BrokerDesk(
            "my_broker.AtItsOwnTime",
            *places(tmp_path, str(tmp_path / "ledger.sqlite")),
            {"path": str(tmp_path / "venue.sqlite")},
            {"token": TOKEN},
        )
        rules = {"waves": "together", "wait_for_fills_seconds": 0, "needs_arming": True, "account_number": NUMBER}
        desk = Desk(tmp_path, SESSIONS[0], dataset, "mine", prices={"AAA": 40.0, "BBB": 20.0}, **rules)
        settle(desk)
        desk.plan(self.ORDERS)
        return desk

    @staticmethod
    def orders(venue):
        return venue.request(TOKEN, "orders", {"since": "2025-01-01T00:00Z"})

    def test_armed_it_sends_and_its_fills_come_back(self, desk, venue):
        Ledger.at(desk.ledger).append([self.ARMED])
        desk.run()
        assert [(row["instrument"], row["quantity"]) for row in self.orders(venue)] == [("AAA", "20"), ("BBB", "30")]
        venue.advance()
        desk.as_of = SESSIONS[1]
        desk.sessions = desk.sessions.append(SESSIONS[1:2])
        settle(desk)
        states = {o.order.instrument: str(o.state) for o in AccountOrders.of(desk.events()).orders.values()}
        assert states == {"AAA": "filled", "BBB": "filled"}

    def test_not_armed_it_sends_nothing(self, desk, venue):
        codes = desk.run()["risk_verdicts"]["code"]
        assert set(codes) == {str(DenialCode.NOT_ARMED)}
        assert self.orders(venue) == []

    def test_armed_for_another_session_or_account_it_sends_nothing(self, desk, venue):
        Ledger.at(desk.ledger).append([arming_event(SESSIONS[2], NUMBER), arming_event(SESSIONS[1], "V-2")])
        assert set(desk.run()["risk_verdicts"]["code"]) == {str(DenialCode.NOT_ARMED)}
        assert self.orders(venue) == []

    def test_configured_to_need_no_arming_it_does_not_open(self, desk, venue):
        desk.execution = desk.execution.model_copy(update={"needs_arming": False})
        with pytest.raises(ConfigurationError, match=r"real money at the outside broker.*needs_arming is false"):
            desk.run()
        assert self.orders(venue) == []

    def test_pinned_to_another_account_it_sends_nothing(self, desk, venue):
        Ledger.at(desk.ledger).append([self.ARMED])
        desk.execution = desk.execution.model_copy(update={"account_number": "V-2"})
        with pytest.raises(ConfigurationError, match=f"open account {NUMBER}, but execution.account_number pins V-2"):
            desk.run()
        assert self.orders(venue) == []

    def test_while_another_process_holds_the_lease_it_sends_nothing(self, desk, venue):
        ledger = Ledger.at(desk.ledger)
        ledger.append([self.ARMED])
        Lease.acquire(ledger.engine, 600, time.time)
        with pytest.raises(LeaseHeldError, match="another process"):
            desk.run()
        assert self.orders(venue) == []

    def test_with_the_kill_switch_pulled_it_sends_nothing(self, desk, venue, tmp_path):
        Ledger.at(desk.ledger).append([self.ARMED])
        (tmp_path / "STOP").touch()
        desk.run()
        assert self.orders(venue) == []

    def test_what_the_limits_deny_does_not_leave(self, desk, venue):
        Ledger.at(desk.ledger).append([self.ARMED])
        desk.plan((("AAA", "buy", 200, 40.0, "too much"), *self.ORDERS[1:]))
        desk.run()
        assert [row["instrument"] for row in self.orders(venue)] == ["BBB"]

    def test_without_its_key_it_does_not_open(self, desk, venue):
        desk.desk._credentials = {"token": ""}
        with pytest.raises(ConfigurationError, match="'mine' has no token for the outside broker"):
            desk.run()
        assert self.orders(venue) == []

    def test_its_key_is_in_no_description_and_no_event(self, desk):
        shown = f"{desk.desk} {desk.desk._describe()} {desk.desk.load()!r} {[event.payload for event in desk.events()]}"
        assert TOKEN not in shown


class TestGate:
    """Code that sends an order directly, past order management: the gate stops it at every broker."""

    ORDER = OrderRequest("mine-1", "AAA", "buy", Decimal(1))

    @pytest.fixture
    def open_desk(self, tmp_path):
        def open_desk(*events, takes_lease=True, **execution):
            Ledger.at(tmp_path / "ledger.sqlite").append(events)
            desk = Desk(tmp_path, SESSIONS[0], None, "mine", prices={"AAA": 40.0}, needs_arming=True, **execution)
            exchange = my_exchange(desk)
            gateway = BrokerDesk(
                "my_broker.AtItsOwnTime",
                *places(tmp_path, str(tmp_path / "ledger.sqlite")),
                {"path": str(tmp_path / "venue.sqlite")},
                {"token": TOKEN},
            ).load()
            return gateway.open(SESSIONS[1], DeskRules("mine", LIMITS, desk.execution), exchange, takes_lease)

        return open_desk

    @pytest.mark.parametrize(
        ("events", "options", "kind", "message"),
        [
            ([TestPipeline.ARMED], {"takes_lease": False}, AccountError, "opened to look only"),
            ([], {"account_number": NUMBER}, OrderWithheldError, f"account {NUMBER} is not armed"),
            ([TestPipeline.ARMED], {}, ConfigurationError, "pins no account"),
            ([TestPipeline.ARMED], {"account_number": NUMBER}, AccountError, "has no approved order buy 1 AAA"),
        ],
        ids=["without lease", "not armed", "not pinned", "not approved"],
    )
    def test_stops_it(self, open_desk, events, options, kind, message):
        with open_desk(*events, **options) as desk:
            with pytest.raises(kind, match=f"mine-1 was not sent: .*{message}"):
                desk.broker.submit(self.ORDER)
            assert desk.broker.open_orders() == ()

    def test_stops_it_while_the_kill_switch_is_pulled(self, open_desk, tmp_path):
        (tmp_path / "STOP").touch()
        with open_desk(TestPipeline.ARMED, account_number=NUMBER) as desk:
            with pytest.raises(my_broker.ports.OrderWithheldError, match=r"the kill switch file .* exists"):
                desk.broker.submit(self.ORDER)
            assert desk.broker.open_orders() == ()


def my_exchange(desk):
    from quant_pipeline.exchange.rules import CostRules, MarketRules
    from quant_pipeline.trading.brokers.adapter import Exchange

    return Exchange(desk.bars, desk.actions, desk.sessions, MarketRules(), CostRules())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"cash": None}, "'cash' of a BrokerAccount of the broker is None, which cannot be read: it is needed"),
        ({"cash": "NaN"}, "it is not finite"),
        ({"cash": "much"}, "'cash' of a BrokerAccount of the broker is 'much'"),
        ({"suspended": "no"}, "it is not bool"),
    ],
)
def test_what_cannot_be_read_is_an_error_and_never_zero(wrong, message):
    amounts = dict.fromkeys(("cash", "equity", "last_equity", "buying_power"), "1")
    row = {"account_number": "V-1", "currency": "USD"} | amounts | wrong
    with pytest.raises(BrokerUnavailableError, match=re.escape(message)):
        my_broker.read_record(my_broker.records.BrokerAccount, row, my_broker.NAMES)


def test_what_is_missing_is_named():
    with pytest.raises(BrokerUnavailableError, match="a BrokerAccount of the broker has no 'account_number'"):
        my_broker.read_record(my_broker.records.BrokerAccount, {}, my_broker.NAMES)


def test_an_instant_without_time_zone_is_refused_and_a_day_has_none():
    with pytest.raises(BrokerUnavailableError, match=r"'at' of a LastTrade .* it has no time zone"):
        my_broker.read_record(my_broker.records.LastTrade, {"price": "1", "at": "2025-01-02 21:00"})
    row = {"activity_id": "1", "date": "2025-01-02 21:00", "type": "new"}
    with pytest.raises(BrokerUnavailableError, match=r"'date' of a UnknownActivity .* it is no day"):
        my_broker.read_record(my_broker.records.UnknownActivity, row, my_broker.NAMES)


def test_a_status_without_a_word_stays_visible_as_unknown(tmp_path):
    row = Venue(tmp_path / "venue.sqlite").request(
        TOKEN,
        "send",
        {
            "client_order_id": "one",
            "instrument": "AAA",
            "side": "buy",
            "quantity": "1",
            "order_type": "market",
            "time_in_force": "day",
        },
    )
    known = my_broker.read_order(row | {"state": "on the moon"})
    assert (str(known.status), known.raw_status) == ("unknown", "on the moon")
    assert known.submitted_at == pd.Timestamp("2025-01-02 21:00", tz="UTC")
