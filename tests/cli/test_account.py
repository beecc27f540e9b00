"""``kedro account`` on an account of four booked sessions, in a copy of the configuration."""

import shutil
import time

import pandas as pd
import pytest
import yaml
from click.testing import CliRunner
from kedro.framework.startup import bootstrap_project

from quant_pipeline.cli.account import account as command
from quant_pipeline.cli.account_environment import scaffold_environment
from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.market.sources.simulated import SimulatedMarketParameters, generate_market
from quant_pipeline.trading.brokers.adapter import Exchange
from quant_pipeline.trading.brokers.simulated.bookkeeping import book_sessions
from quant_pipeline.trading.ledger.account import fold
from quant_pipeline.trading.ledger.events import Event, EventKind
from quant_pipeline.trading.ledger.store import Ledger
from quant_pipeline.trading.orders.account_orders import AccountOrders
from quant_pipeline.trading.orders.lease import Lease
from quant_pipeline.trading.orders.plans import record_plan
from tests.helpers.four_days import orders_table
from tests.helpers.project import bare_project

AS_OF = pd.Timestamp("2024-12-31")


@pytest.fixture(scope="session")
def small_market():
    return generate_market(SimulatedMarketParameters(n_instruments=12, start="2023-01-03", end="2025-01-31")).as_of(
        AS_OF
    )


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, project_path, small_market):
    """A project folder with a market and a simulated account that holds one instrument."""
    path = bare_project(project_path, tmp_path_factory.mktemp("accounts"))
    tracking = {"server": {"mlflow_tracking_uri": f"sqlite:///{path / 'mlflow.db'}"}}
    (path / "conf/base/mlflow.yml").write_text(yaml.safe_dump(tracking))
    sessions = pd.DatetimeIndex(sorted(small_market.bars["date"].unique()))
    write_market(path / "data/markets/simulated", small_market, sessions)
    events = booked(small_market, (), sessions[:-3])
    best = str(small_market.bars.loc[small_market.bars["date"] == sessions[-4], "instrument"].iloc[0])
    bought = orders_table((best, "buy", 100, 10.0, "best"))
    events = (*events, *record_plan(events, bought, sessions[-4], sessions[-3]))
    events = booked(small_market, events, sessions)
    Ledger.at(path / "data/accounts/sim/ledger.sqlite").append(events)
    return path, best


def write_market(folder, market, sessions):
    tables = {
        "02_intermediate/bars": market.bars,
        "02_intermediate/corporate_actions": market.corporate_actions,
        "02_intermediate/instruments": market.instruments,
        "02_intermediate/sessions": pd.DataFrame({"date": sessions}),
        "03_primary/universe_members": market.bars[["date", "instrument"]],
    }
    for name, table in tables.items():
        file = folder / f"{name}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        table.to_parquet(file)


def booked(market, events, sessions):
    bars = market.bars[market.bars["date"] <= sessions[-1]]
    actions = market.corporate_actions[market.corporate_actions["date"] <= sessions[-1]]
    exchange = Exchange(bars, actions, sessions, MarketRules(), CostRules())
    return (*events, *book_sessions(events, "sim", 100_000, exchange))


@pytest.fixture
def project(prepared, tmp_path, monkeypatch):
    """A copy of the prepared project for one test."""
    path = tmp_path / "project"
    shutil.copytree(prepared[0], path)
    monkeypatch.chdir(path)
    monkeypatch.setenv("COLUMNS", "120")
    return bootstrap_project(path)


@pytest.fixture
def run(project):
    def run(*words, fails=False, **options):
        result = CliRunner().invoke(command, [*words, "--env", "sim"], obj=project, catch_exceptions=True, **options)
        assert (result.exit_code != 0) == fails, (result.output, result.exception)
        return result.output

    return run


@pytest.fixture
def ledger(project):
    return Ledger.at(project.project_path / "data/accounts/sim/ledger.sqlite")


def test_show_draws_cash_holdings_and_fills(run, prepared):
    picture = run("show")
    assert "sim, close of 2024-12-31" in picture
    assert "net asset value" in picture
    holding = next(line for line in picture.splitlines() if line.startswith(prepared[1]))
    assert " 100 " in holding
    assert "Last fills" in picture
    assert "active" in picture


def test_verify_tells_a_whole_chain_and_finds_a_change(run, ledger):
    number = len(ledger.events())
    assert f"sim: {number} events, the chain is whole; 4 closes agree" in run("verify")
    with ledger.engine.begin() as connection:
        connection.exec_driver_sql("update event set payload = replace(payload, 'active', 'x') where 1 = 1")
        connection.exec_driver_sql("update event set session = '2000-01-01' where sequence = 2")
    assert "changed from outside at event 2" in run("verify", fails=True)


def test_the_simulated_account_equals_its_broker(run):
    assert "sim: cash and 1 positions equal the broker's" in run("reconcile")


def test_an_advised_command_names_the_account_that_it_is_about(project):
    scaffold_environment(project.project_path / "conf", "third", "sim")
    words = ["quarantine", "dismiss", "nothing", "--reason", "none", "--env", "third"]
    refused = CliRunner().invoke(command, words, obj=project)
    assert refused.exit_code == 1
    assert "`kedro account quarantine list --env third` shows what is" in refused.output


def test_a_difference_to_the_broker_is_reported(run, ledger, project):
    run("reconcile")
    gift = {"amount": "5", "note": "nobody told the broker"}
    ledger.append([Event(AS_OF, EventKind.DEPOSIT, "gift", gift)])
    told = run("reconcile", "--params", "execution.poll_seconds=0.02", fails=True)
    assert "cash: " in told
    assert "1 differences" in told


def test_halt_writes_file_and_ledger_and_resume_takes_both_back(run, ledger, project):
    stop = project.project_path / "data/accounts/sim/STOP"
    run("halt", "--reason", "fire drill")
    assert stop.read_text() == "fire drill\n"
    assert AccountOrders.of(ledger.events()).trading_state == "halted"
    assert "halted" in run("show")
    run("halt")
    assert AccountOrders.of(ledger.events()).state_changes == 1
    run("resume")
    assert not stop.exists()
    assert AccountOrders.of(ledger.events()).trading_state == "active"


def test_a_command_typed_in_a_folder_of_the_project_acts_on_the_same_account(run, project, monkeypatch):
    monkeypatch.chdir(project.project_path / "conf")
    run("halt")
    assert (project.project_path / "data/accounts/sim/STOP").exists()
    run("resume")
    assert "equal the broker's" in run("reconcile")
    assert not (project.project_path / "conf/data").exists()


def test_halt_reaches_the_broker_while_another_process_sends(run, ledger, project):
    (project.project_path / "conf/sim/parameters_own.yml").write_text("account: {filled_by: broker}\n")
    at_broker = ("--params", "as_of=2024-12-31")
    lease = Lease.acquire(ledger.engine, 60, time.time)
    assert "the broker has been instructed" in run("halt", *at_broker)
    assert "another process" in str(run("resume", *at_broker, fails=True))
    lease.release()
    assert "the broker has been instructed" in run("resume", *at_broker)


def test_a_command_takes_the_parameters_of_a_run(run):
    assert "reaches 2024-12-31 and has no session 2025-01-31" in run(
        "reconcile", "--params", "as_of=2025-01-31,account.filled_by=broker", fails=True
    )
    assert "is no `key=value`" in run("show", "--params", "nonsense", fails=True)


def test_an_operator_who_answers_no_sells_nothing(run, ledger):
    before = ledger.events()
    assert "Sell 1 holdings of sim on 2025-01-02?" in run("flatten", input="n\n", fails=True)
    assert ledger.events() == before


def test_flatten_sells_everything_through_execution_and_closes_buys_also_when_halted(run, ledger, small_market):
    run("halt")
    assert "1 sales: 0 executed, 1 wait for the next daily run, which executes them; buys stay closed" in run(
        "flatten", "--yes"
    )
    book = AccountOrders.of(ledger.events())
    assert book.trading_state == "reducing"
    (order,) = book.of_session(pd.Timestamp("2025-01-02"))
    assert (order.order.side, order.quantity, order.state) == ("sell", 100, "accepted")


def test_a_plan_that_was_denied_is_planned_again(run, ledger, prepared):
    assert "has planned no order for 2025-01-02" in run("replan", fails=True)
    sale = orders_table((prepared[1], "sell", 10, 10.0, "worst"))
    (plan,) = record_plan(ledger.events(), sale, AS_OF, pd.Timestamp("2025-01-02"))
    order = plan.payload["orders"][0]
    facts = {"order": order, "client_order_id": order["client_order_id"], "code": "RESTRICTED", "message": "RESTRICTED"}
    denied = Event(AS_OF, EventKind.ORDER_DENIED, f"order:{order['client_order_id']}",
                   facts | {"deal_session": "2025-01-02", "provenance": {}, "value": "", "limit": ""})  # fmt: skip
    ledger.append([plan, denied])
    assert "has planned 2025-01-02 again" in run("replan")
    assert ledger.events()[-1].key == "plan:2025-01-02:1"


def test_only_accounts_that_need_it_are_armed(run):
    assert "needs no arming" in run("arm", fails=True)


def test_a_real_account_is_armed_for_one_session_by_its_pinned_number(project, run, ledger):
    rules = project.project_path / "conf/sim/parameters_execution.yml"
    rules.write_text("execution: {needs_arming: true}\n")
    assert "is not pinned" in run("arm", "--account-number", "PA1", fails=True)
    rules.write_text("execution: {needs_arming: true, account_number: PA1}\n")
    assert "nothing was armed" in run("arm", input="PA2\n", fails=True)
    assert "may send orders in the session 2025-01-02" in run("arm", input="PA1\n")
    assert AccountOrders.of(ledger.events()).armed == {pd.Timestamp("2025-01-02"): "PA1"}


def test_an_account_kept_by_statements_has_no_broker(project, run):
    (project.project_path / "conf/sim/parameters_own.yml").write_text("account: {filled_by: statements}\n")
    assert "there is no broker to ask" in run("reconcile", fails=True)


def test_a_new_account_is_an_environment_of_its_own(project):
    made = CliRunner().invoke(command, ["new", "second", "--from", "live"], obj=project)
    assert made.exit_code == 0, made.output
    conf = project.project_path / "conf/second"
    globals_ = (conf / "globals.yml").read_text()
    assert "account: second\n" in globals_
    assert "  account: data/accounts/second\n" in globals_
    assert "market: data/markets/alpaca" in globals_
    shown = CliRunner().invoke(command, ["show", "--env", "second"], obj=project)
    assert "nothing booked yet" in shown.output, (shown.output, shown.exception)


def test_a_new_account_takes_neither_keys_nor_account_number(tmp_path):
    live = tmp_path / "live"
    live.mkdir()
    (live / "credentials.yml").write_text("alpaca_live: {api_key: secret}\n")
    (live / "parameters_execution.yml").write_text("execution:\n  account_number: PA123 # mine\n  waves: together\n")
    scaffold_environment(tmp_path, "mine", "live")
    written = "".join(file.read_text() for file in (tmp_path / "mine").iterdir())
    assert "secret" not in written
    assert "PA123" not in written
    assert "account_number: null" in written
    assert "waves: together" in written


@pytest.mark.parametrize(
    ("name", "source", "message"),
    [
        ("Bad Name", "live", "cannot name an account"),
        ("base", "live", "cannot name an account"),
        ("live", "live", "there is an environment 'live' already"),
        ("mine", "base", "no environment 'base' to copy; there are live"),
        ("mine", "nobody", "no environment 'nobody'"),
    ],
)
def test_a_new_account_that_cannot_be_is_an_error(tmp_path, name, source, message):
    for folder in ("base", "live"):
        (tmp_path / folder).mkdir()
    with pytest.raises(ConfigurationError, match=message):
        scaffold_environment(tmp_path, name, source)


def test_backup_restores_a_lost_ledger_and_keeps_what_was_there(run, project, ledger):
    number = ledger.verify()
    file = project.project_path / "data/accounts/sim/ledger.sqlite"
    assert f"{number} events" in run("backup", "copy.sqlite")
    assert "data/accounts/sim/backups/ledger-" in run("backup")
    assert "exists already" in run("backup", "copy.sqlite", fails=True)
    ledger.engine.dispose()
    file.unlink()
    assert f"shows that it had {number}" in run("verify", fails=True)
    assert f"restored {number} events" in run("restore", "copy.sqlite", "--yes")
    assert f"{number} events, the chain is whole" in run("verify")


def test_a_ledger_is_copied_and_brought_back_whatever_day_stands_in_the_catalog(run, project, ledger):
    (project.project_path / "conf/local").mkdir(exist_ok=True)
    entry = {"type": "quant_pipeline.datasets.point_in_time.PointInTimeTable", "filepath": "odd", "as_of": "2020-01-02"}
    odd = project.project_path / "conf/local/catalog_odd.yml"
    odd.write_text(yaml.safe_dump({"odd": entry}))
    number = ledger.verify()
    assert "and the session of this run is" in run("show", fails=True)
    assert f"{number} events" in run("backup", "copy.sqlite")
    ledger.engine.dispose()
    assert f"restored {number} events" in run("restore", "copy.sqlite", "--yes")
    assert f"{number} events, the chain is whole" in run("verify")


def test_restore_discards_newer_events_only_when_it_is_said(run, project, ledger):
    run("backup", "copy.sqlite")
    number = ledger.verify()
    ledger.append([Event(AS_OF, EventKind.ALERT_RAISED, "alert:newer", {"code": "X", "message": "newer"})])
    assert "has 1 events more than copy.sqlite; nothing was restored" in run("restore", "copy.sqlite", fails=True)
    assert ledger.verify() == number + 1
    assert "Aborted" in run("restore", "copy.sqlite", "--discard-newer", input="n\n", fails=True)
    assert "what was there is in data/accounts/sim/replaced/" in run(
        "restore", "copy.sqlite", "--discard-newer", "--yes"
    )
    assert f"{number} events, the chain is whole" in run("verify")


def test_backup_of_another_account_is_refused(run, project, tmp_path):
    Ledger.at(tmp_path / "other.sqlite").append(
        [Event(AS_OF, EventKind.ACCOUNT_OPENED, "open", {"account": "other", "cash": "1.0000", "lot_method": "fifo"})]
    )
    message = run("restore", str(tmp_path / "other.sqlite"), "--yes", fails=True)
    assert "is a backup of the account 'other', not of 'sim'" in message


def test_orders_tell_what_became_of_each(run, prepared):
    picture = run("orders", "--date", "2024-12-27")
    row = next(line.split() for line in picture.splitlines() if line.startswith(prepared[1]))
    assert row[1:3] == ["buy", "100"]
    assert "filled" in row
    assert "'sim' has no order of 2024-12-30; the newest is of 2024-12-27" in run(
        "orders", "--date", "2024-12-30", fails=True
    )


def test_trades_are_listed_with_their_sums(run, prepared):
    assert prepared[1] in run("trades")
    assert "1 trades: bought " in run("trades", "--date", "2024-12-27")
    assert "'sim' has no trade of 2024-12-31; the newest is of 2024-12-27" in run(
        "trades", "--date", "2024-12-31", fails=True
    )


def test_profits_sum_to_the_change_of_the_net_asset_value(run, ledger):
    state = fold(ledger.events())
    earned = state.closes[-1][1] - state.contributed
    picture = run("pnl")
    total = next(line for line in picture.splitlines() if line.startswith("profit "))
    assert total.split() == ["profit", f"{earned:+,.2f}"]
    before, after = (value for _, value, _ in state.closes[-2:])
    assert f"{after - before:+,.2f}" in next(line for line in picture.splitlines() if line.startswith("session "))
    assert "other prices" not in picture
    assert "close of 2024-12-30" in run("pnl", "--date", "2024-12-30")


def test_missed_sessions_are_named(run, ledger):
    days = ("2024-12-27 Friday", "2024-12-30 Monday", "2024-12-31 Tuesday")
    undecided = "".join(f"{day}: no orders were decided\n" for day in days)
    assert run("missed") == f"{undecided}sim, sessions from 2024-12-26 to 2024-12-31: 3 missed\n"
    closed = [session for session, _, _ in fold(ledger.events()).closes]
    skipped = [
        event for event in ledger.events() if not (event.session == closed[-3] and event.key.startswith("close"))
    ]
    file = ledger.file
    ledger.engine.dispose()
    for path in file.parent.glob("ledger.*"):
        path.unlink()
    Ledger.at(file).append(skipped)
    told = run("missed")
    assert "2024-12-27 Friday: never closed, no orders were decided" in told


def test_a_ledger_from_the_folder_of_another_account_is_refused_until_it_is_renamed(run, project, ledger):
    """Both accounts and the way to rename are named; every kind of command refuses it alike."""
    copied = [Event(AS_OF, EventKind.ACCOUNT_OPENED, "open", {"account": "other", "cash": "1", "lot_method": "fifo"})]
    file = project.project_path / "data/accounts/sim/ledger.sqlite"
    ledger.engine.dispose()
    for path in file.parent.glob("ledger.*"):
        path.unlink()
    Ledger.at(file).append(copied)
    for words in (["show"], ["verify"], ["reconcile"], ["orders"]):
        message = run(*words, fails=True)
        assert "is of the account 'other', not of 'sim'" in message.replace("\n", " ")
        assert "kedro account rename other --reason WHY" in message.replace("\n", " ")
    assert "is of the account 'other', not of 'third'" in run("rename", "third", "--reason", "moved", fails=True)
    assert "goes on under this name" in run("rename", "other", "--reason", "the account moved", "--name", "kim")
    assert "2 events, the chain is whole" in run("verify")
    assert "bears that name already" in run("rename", "sim", "--reason", "again", fails=True)
    renamed = Ledger.read(file).events()[-1]
    assert (renamed.kind, renamed.payload) == (
        EventKind.ACCOUNT_RENAMED,
        {"account": "sim", "from": "other", "reason": "the account moved", "name": "kim"},
    )
