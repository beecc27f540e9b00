"""The pipeline of execution: on the simulated broker, and on an account at a fake Alpaca."""

import logging
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest

from quant_pipeline.common.exceptions import AccountError, ConfigurationError, StaleDataError
from quant_pipeline.datasets.trading_desk import BrokerDesk
from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.pipelines.execution.nodes import describe_instruments, record_verdicts, report_execution
from quant_pipeline.pipelines.execution.tables import order_states_table, verdict_table
from quant_pipeline.testing.fake_alpaca import API_KEY, SECRET_KEY, FakeAlpaca, FakeExchange
from quant_pipeline.trading.brokers.gateway import DeskRules
from quant_pipeline.trading.ledger.account import fold
from quant_pipeline.trading.ledger.events import EventKind
from quant_pipeline.trading.orders.account_orders import AccountOrders
from quant_pipeline.trading.orders.execution_parameters import ExecutionRules
from quant_pipeline.trading.orders.outcome import outcome_of
from tests.helpers.browser import require_drawn
from tests.helpers.damaged_json import DAMAGED_JSON
from tests.helpers.execution_desk import LIMITS, ORDERS, PRICES, Desk, places, settle
from tests.helpers.trading_day import Day

HOUR = pd.Timedelta(hours=1)


def test_a_path_that_would_begin_at_the_folder_of_the_shell_is_refused():
    message = r"`kill_switch: STOP` of trading_desk .* has to be `kill_switch: \{filepath: …\}`"
    with pytest.raises(ConfigurationError, match=message):
        BrokerDesk("simulated", {"filepath": "ledger.sqlite"}, "STOP")


def simulated_desk(folder, ledger):
    return BrokerDesk("simulated", *places(folder, ledger), {"path": str(folder / "simulated_broker")})


@pytest.fixture
def simulated(tmp_path):
    dataset = simulated_desk(tmp_path, str(tmp_path / "ledger.sqlite"))
    desk = Desk(
        tmp_path,
        "2025-01-02",
        dataset,
        "sim",
        waves="together",
        wait_for_sales_seconds=0,
        wait_for_fills_seconds=0,
    )
    desk.book(desk.sessions)
    desk.plan()
    return desk


def states(desk):
    return {o.order.instrument: str(o.state) for o in AccountOrders.of(desk.events()).orders.values()}


def test_a_dry_run_shows_orders_and_verdicts_and_changes_nothing(simulated, caplog):
    before = simulated.events()
    with caplog.at_level(logging.INFO, logger="quant_pipeline"):
        left = simulated.run(dry_run=True)
    assert simulated.events() == before
    assert "buy      100 AAA    at 50.00: approved" in caplog.text
    assert "buy     7000 CCC    at 5.00: ORDER_VALUE: 35.00% (35000.00) against 30% (30000.00)" in caplog.text
    assert list(left["execution_report_csv"]["state"]) == ["not sent"] * 3
    assert list(left["execution_report_csv"]["reason"]) == [
        "not sent: this was a dry run; it was to be best",
        "not sent: this was a dry run; it was to be second",
        "not sent: ORDER_VALUE: 35.00% (35000.00) against 30% (30000.00); it was to be too much",
    ]
    assert "dry run: nothing sent" in left["execution_report"]
    assert "Orders: 3 planned, 2 would be sent.\n  buy  7000 CCC: ORDER_VALUE" in left["execution_summary"]
    assert left["execution_status"] == 0


def test_the_simulated_broker_takes_what_the_limits_let_through_and_post_trade_executes_it(simulated):
    left = simulated.run()
    assert states(simulated) == {"AAA": "accepted", "BBB": "accepted", "CCC": "denied"}
    denied = "not sent: ORDER_VALUE: 35.00% (35000.00) against 30% (30000.00); it was to be too much"
    for told in ("execution_report_csv", "execution_orders"):
        assert left[told].set_index("instrument")["reason"].to_dict() == {"AAA": "best", "BBB": "second", "CCC": denied}
    assert denied in left["execution_report"]
    assert left["execution_breaks"].empty
    assert "Orders: 3 planned, 2 sent, 1 denied, 2 open.\n" in left["execution_summary"]
    assert "Open orders wait for the open of 2025-01-03 14:30 UTC" in left["execution_summary"]
    assert left["execution_status"] == 3
    events = simulated.events()
    assert simulated.run()["execution_report_csv"]["verdict"].tolist() == ["approved", "approved", "denied"]
    assert simulated.events() == events
    simulated.live_on()
    assert states(simulated) == {"AAA": "filled", "BBB": "filled", "CCC": "denied"}
    held = fold(simulated.events()).positions
    assert {name: held[name].quantity for name in held} == {"AAA": 100, "BBB": 200}


def test_a_session_whose_orders_have_left_is_not_planned_again(simulated):
    simulated.run()
    with pytest.raises(AccountError, match="sim-20250103-AAA-buy-0 of 2025-01-03 has left already"):
        simulated.plan([("AAA", "buy", 90, 50.0, "less of it")])
    simulated.run()
    simulated.live_on()
    held = fold(simulated.events()).positions
    assert {name: held[name].quantity for name in held} == {"AAA": 100, "BBB": 200}


def test_a_desk_finds_a_ledger_by_its_url(simulated, tmp_path):
    kept_at = f"sqlite:///{simulated.ledger}"
    simulated.desk = simulated_desk(tmp_path, kept_at)
    simulated.run()
    assert states(simulated) == {"AAA": "accepted", "BBB": "accepted", "CCC": "denied"}


def test_books_of_the_simulated_broker_lie_where_the_configuration_says(simulated, tmp_path):
    folder = tmp_path / "50% cash? #1"
    simulated.desk = simulated_desk(folder, str(simulated.ledger))
    simulated.run()
    assert [file.name for file in (folder / "simulated_broker").glob("*.sqlite")] == ["2025-01-03.sqlite"]
    assert states(simulated) == {"AAA": "accepted", "BBB": "accepted", "CCC": "denied"}


def test_a_desk_shows_no_password_of_its_ledger():
    desk = simulated_desk(Path("/"), "postgresql+psycopg://trader:hidden@host/accounts")
    told = f"{desk} {desk._describe()} {desk.load()!r}"
    assert "trader" in told
    assert "hidden" not in told


def test_every_decision_says_what_it_was_made_from(simulated):
    simulated.run()
    for event in simulated.events():
        if event.kind in (EventKind.ORDER_RECORDED, EventKind.ORDER_DENIED):
            assert event.payload["provenance"]["plan"] == "plan:2025-01-03:0"
            assert event.payload["provenance"]["data"] == "2025-01-02"
            assert len(event.payload["provenance"]["plan_sha256"]) == 64
            assert event.payload["provenance"]["scores"] == "all_icir"
            assert event.payload["provenance"]["scores_sha256"] == "ab"


def test_an_account_that_is_past_the_session_sends_nothing(simulated):
    simulated.as_of = simulated.as_of - pd.Timedelta(days=2)
    with pytest.raises(StaleDataError, match="Run as of that session"):
        simulated.run()


@pytest.fixture
def exchange():
    return FakeExchange(cash=100_000, prices={name: Decimal(str(price)) for name, price in PRICES.items()})


@pytest.fixture
def paper(tmp_path, exchange):
    now = pd.Timestamp.now("UTC")
    as_of = TradingCalendar.of("XNYS", now - pd.Timedelta(days=30), now).latest_closed(now)
    with FakeAlpaca(exchange) as server:
        dataset = BrokerDesk(
            "alpaca",
            *places(tmp_path, str(tmp_path / "ledger.sqlite")),
            {"kind": "paper", "url": server.url, "read_pause_seconds": 0.01, "requests_a_minute": 100_000},
            {"api_key": API_KEY, "secret_key": SECRET_KEY},
        )
        yield Desk(tmp_path, as_of, dataset, "paper", waves="together", wait_for_fills_seconds=20, poll_seconds=0.05)


def test_a_paper_account_is_opened_closed_traded_and_equal_to_the_broker(paper, exchange):
    settle(paper)
    assert fold(paper.events()).last_session == paper.as_of
    paper.plan()
    left = paper.run()
    assert states(paper) == {"AAA": "filled", "BBB": "filled", "CCC": "denied"}
    assert left["execution_breaks"].empty
    assert fold(paper.events()).cash == exchange.cash == 100_000 - 5_000 - 4_000
    assert "The books equal the broker" in left["execution_report"]
    summary = left["execution_summary"]
    assert "Orders: 3 planned, 2 sent, 1 denied, 2 filled.\n  buy  7000 CCC denied: ORDER_VALUE" in summary
    assert "Bought for 9,000.00 USD, sold for 0.00 USD.\nBooks: equal to the broker's" in summary
    assert f"Page: data/accounts/desk/execution/{paper.as_of:%Y-%m-%d}/execution.html\nExit status 3: " in summary
    posts, events = exchange.posts, paper.events()
    paper.run()
    assert (exchange.posts, paper.events()) == (posts, events)


@pytest.fixture
def waiting(tmp_path):
    """What is reported of a day on which one order is denied and the others wait for trades."""
    day = Day(tmp_path)
    day.plan()
    day.broker.since_trade = pd.Timedelta(seconds=75)
    day.execute()
    book, session = day.desk.journal.book, day.desk.session
    verdicts, orders = verdict_table(book, (), session, {}), order_states_table(book, session, day.desk.held_back)
    return report_execution(verdicts, orders, outcome_of(day.desk), "2025-01-02", False, "x")


def test_the_page_says_what_an_order_waits_for(waiting):
    table, page, summary, status = waiting
    told = table.set_index("instrument")[["state", "message"]].T.to_dict("list")
    waits = "waits for a trade: STALE_DATA: last trade 75 s ago against 60 s"
    assert told["SELL"] == told["AAA"] == ["intended", waits]
    assert told["BIG"] == ["denied", "ORDER_VALUE: 66.67% (8000.00) against 30% (3600.00)"]
    assert waits in page
    reasons = table.set_index("instrument")["reason"]
    assert reasons["AAA"].startswith(f"not sent: {waits}; it was to be ")
    assert reasons["BIG"].startswith("not sent: ORDER_VALUE: 66.67% (8000.00) against 30% (3600.00); it was to be ")
    assert f"  sell 50 SELL intended: {waits}\n" in summary
    assert status == 3


def test_the_page_is_drawn_in_a_browser_at_two_widths(waiting, tmp_path):
    require_drawn(waiting[1], tmp_path / "execution.html")


def test_what_the_broker_does_not_trade_is_denied(paper, exchange):
    exchange.untradable.add("AAA")
    settle(paper)
    paper.plan(ORDERS[:2])
    report = paper.run()["execution_report_csv"].set_index("instrument")
    assert report["code"].to_dict() == {"AAA": "NOT_TRADABLE", "BBB": ""}
    assert report["state"].to_dict() == {"AAA": "denied", "BBB": "filled"}
    assert exchange.posts == 1


def test_the_keys_are_in_no_description_and_no_event(paper):
    settle(paper)
    told = repr(paper.desk.load()) + repr(paper.desk._describe()) + str([e.payload for e in paper.events()])
    assert API_KEY not in told
    assert SECRET_KEY not in told


def test_a_pinned_account_refuses_the_keys_of_another(paper, exchange):
    paper.execution = paper.execution.model_copy(update={"account_number": "OTHER"})
    with pytest.raises(ConfigurationError, match="pins OTHER"):
        settle(paper)
    assert exchange.posts == 0


def test_a_live_account_cannot_be_configured_without_arming(paper, exchange):
    keys = {"api_key": API_KEY, "secret_key": SECRET_KEY}
    live = BrokerDesk("alpaca", *places(Path("/"), "ledger.sqlite"), {"kind": "live"}, keys).load()
    rules = DeskRules("live", LIMITS, ExecutionRules(account_number="A1"))
    with pytest.raises(ConfigurationError, match="needs_arming is false"):
        live.open(paper.deals_in, rules, None)
    assert exchange.posts == 0


def test_before_the_open_nothing_is_judged_and_nothing_recorded(paper, exchange):
    settle(paper)
    paper.plan()
    before = paper.events()
    exchange.hours.set(TradingCalendar.of("XNYS", paper.as_of, paper.deals_in).hours(paper.deals_in)[0] - HOUR)
    paper.execution = paper.execution.model_copy(update={"waves": "sells_first"})
    with pytest.raises(StaleDataError, match="nothing was recorded"):
        paper.run()
    assert paper.events() == before
    assert paper.run(dry_run=True)["risk_verdicts"]["verdict"].tolist() == ["approved", "approved", "denied"]


def test_a_perfect_day_ends_with_status_0_and_an_empty_plan_is_one(paper):
    settle(paper)
    paper.plan([])
    left = paper.run()
    assert left["execution_status"] == 0
    assert "the plan of the session holds none" in left["execution_summary"]


def test_all_orders_filled_end_with_status_0(paper):
    settle(paper)
    paper.plan(ORDERS[:2])
    left = paper.run()
    assert "Orders: 2 planned, 2 sent, 2 filled.\nBought for 9,000.00 USD" in left["execution_summary"]
    assert "Exit status 0: everything is as planned." in left["execution_summary"]
    assert left["execution_status"] == 0


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_session_without_a_plan_is_said_to_have_none(paper, dry_run):
    settle(paper)
    left = paper.run(dry_run=dry_run)
    assert "Orders: no plan was recorded for the session; `kedro run --pipelines daily" in left["execution_summary"]
    assert "No plan was recorded" in left["execution_report"]
    assert left["execution_status"] == (0 if dry_run else 5)


def test_an_account_that_is_not_active_says_so_first_and_ends_with_status_4(paper, exchange):
    settle(paper)
    paper.plan(ORDERS[:2])
    exchange.cash -= 500
    left = paper.run()
    assert left["execution_status"] == 4
    lines = left["execution_summary"].splitlines()
    assert lines[2].startswith("! the account is reducing since")
    assert "kedro account resume --env paper" in " ".join(lines[2:5])
    assert "  cash: 100000 in the books, 99500 at the broker" in left["execution_summary"]
    assert "the account is reducing since" in left["execution_report"]
    assert exchange.posts == 0


def test_a_pulled_kill_switch_is_named_with_every_order_that_did_not_leave(paper, exchange, tmp_path):
    settle(paper)
    paper.plan(ORDERS[:2])
    (tmp_path / "STOP").touch()
    left = paper.run()
    assert (left["execution_status"], exchange.posts) == (4, 0)
    assert "the kill switch file" in left["execution_summary"]


def test_what_has_no_sector_is_reported(simulated, caplog):
    caplog.set_level(logging.WARNING, logger="quant_pipeline")
    table = describe_instruments(
        simulated.bars,
        pd.DataFrame({"instrument": list(PRICES), "sector": ["X", "Unknown", "Z"]}).astype("str"),
        simulated.bars[["date", "instrument"]],
        pd.DataFrame({"date": simulated.sessions}),
        LIMITS,
        f"{simulated.as_of:%Y-%m-%d}",
    )
    assert table.set_index("instrument")["sector"].to_dict() == {"AAA": "X", "BBB": "", "CCC": "Z"}
    assert "1 instruments, BBB among them, have no sector" in caplog.text


@pytest.mark.parametrize("text", DAMAGED_JSON.values(), ids=DAMAGED_JSON)
def test_stored_verdicts_that_are_damaged_are_refused_with_the_remedy(text):
    verdicts = pd.DataFrame({"deal_session": [pd.Timestamp("2025-01-03")], "provenance": [text]})
    with pytest.raises(StaleDataError, match=r"do not say what was judged .*`kedro run --pipelines execution`"):
        record_verdicts(verdicts, dry_run=False)
