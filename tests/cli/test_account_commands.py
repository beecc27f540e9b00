"""Every subcommand of ``kedro account`` on an account of every kind that has traded: an answer or one line, always."""

import shutil
from contextlib import ExitStack
from pathlib import Path

import click
import pandas as pd
import pytest
from click.testing import CliRunner
from kedro.framework.startup import bootstrap_project

from quant_pipeline.cli.account import account as command
from quant_pipeline.exchange.rules import CostRules, MarketRules
from quant_pipeline.testing.fake_alpaca import API_KEY, SECRET_KEY
from quant_pipeline.trading.ledger.store import Ledger
from tests.helpers import four_days
from tests.helpers.three_accounts import at_broker, by_statements, simulated, three_accounts

WHY = ("--reason", "a test", "--name", "Ann")
STEPS = {
    "verify": (0, "the chain is whole"),
    "show": (0, "net asset value"),
    "orders": (0, "Orders of"),
    "trades": (0, "trades: bought"),
    "pnl": (0, "since the beginning"),
    "missed": (0, "missed"),
    "why AAA": (0, "AAA at the close of"),
    "explain 2025-01-03": (0, "by the backtest"),
    "adopt-slippage": (1, "no slippage is proposed: it takes 100 executed orders"),
    "explain 2024-12-28": (1, "has not closed 2024-12-28"),
    "quarantine list": (0, "quarantine"),
    "backup copy.sqlite": (0, "the chain is whole"),
    "quarantine book nothing": (1, "is not in quarantine"),
    "quarantine dismiss nothing": (1, "is not in quarantine"),
    "replan": (1, ""),
    "arm": (1, "needs no arming"),
    "disarm": (1, "is not armed"),
    "reconcile": (0, "equal the broker's"),
    "protect": (1, "has no broker that could protect it"),
    "cancel": (0, "cancelled at the broker"),
    "halt": (0, "the ledger says halted"),
    "resume": (0, "may send orders again"),
    "adjust --cash 1.25": (0, ""),
    "restore copy.sqlite --discard-newer --yes": (0, "restored"),
    "flatten --yes": (0, "buys stay closed"),
}
"""Commands in this order, with their exit status and a part of what they say on a simulated account."""
OTHERWISE = {
    "simulation": {"cancel": (0, "there is no broker that could have orders of it")},
    "statements": {
        "cancel": (0, "there is no broker that could have orders of it"),
        "reconcile": (1, "is kept by statements; there is no broker to ask"),
        "flatten --yes": (1, "is kept by statements: nothing here reaches its broker. Sell there: 20 AAA"),
    },
    "broker": {
        "explain 2025-01-03": (1, "has not closed 2025-01-03; the last one is 2025-03-04"),
        "protect": (0, "is active; 0 stops are touched"),
    },
}
ELSEWHERE = {
    "new": "test_account.py",
    "rename": "test_account.py",
    "preview": "test_account_preview.py",
    "quarantine": "its three commands above",
}


@pytest.fixture(scope="module")
def template(tmp_path_factory, project_path):
    """A project with the environments sim, hand and paper, and two markets of a few instruments."""
    return three_accounts(project_path, tmp_path_factory.mktemp("commands") / "project")


KINDS = {"simulation": "sim", "statements": "hand", "broker": "paper-rehearsal"}
REPEATED = pytest.mark.slow


def kinds(**marks):
    """Take accounts of every kind; those that only repeat what another shows with marks."""
    cases = [pytest.param((kind, True), id=kind, marks=marks.get(kind, ())) for kind in KINDS]
    return pytest.mark.parametrize("run", cases, indirect=True)


@pytest.fixture
def run(template, tmp_path, monkeypatch, request):
    """Run commands on a copy of the project, in which the account of the asked kind has traded."""
    filled_by, closes = request.param
    path = tmp_path / "project"
    shutil.copytree(template, path)
    monkeypatch.chdir(path)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("ALPACA_PAPER_API_KEY", API_KEY)
    monkeypatch.setenv("ALPACA_PAPER_SECRET_KEY", SECRET_KEY)
    with ExitStack() as stack:
        params = []
        if filled_by == "broker":
            server, run_exchange = stack.enter_context(at_broker(path, closes))
            day = "2025-03-04" if closes else "2025-03-03"
            params = ["--params", f"alpaca_url={server.url},as_of={day},execution.poll_seconds=0.02"]
        else:
            {"simulation": simulated, "statements": by_statements}[filled_by](path)
            run_exchange = None
        metadata = bootstrap_project(path)

        def run(*words):
            arguments = [*words, "--env", KINDS[filled_by].removesuffix("-rehearsal"), *params]
            return CliRunner().invoke(command, arguments, obj=metadata)

        run.exchange = run_exchange
        yield run


def test_every_subcommand_is_tried():
    tried = {words.split()[0] for words in STEPS}
    assert tried | set(ELSEWHERE) == set(command.commands)


def test_every_subcommand_takes_the_parameters_of_a_run():
    """Such as the address of a rehearsal, without which another account is meant."""

    def without(name, entry):
        if isinstance(entry, click.Group):
            return [each for word, own in entry.commands.items() for each in without(f"{name} {word}", own)]
        return [] if {"env", "params"} <= {option.name for option in entry.params} else [name]

    assert without("account", command) == ["account new"]


@kinds(statements=REPEATED, broker=REPEATED)
def test_a_command_answers_or_says_in_one_line_why_not(run, request):
    """`account_at_broker` types most of them before a broker."""
    answers_or_says_why_not(run, STEPS | OTHERWISE[request.node.callspec.params["run"][0]])


@pytest.mark.parametrize("run", [("statements", True)], indirect=True, ids=["statements"])
def test_what_an_account_that_statements_keep_cannot_do_is_one_line(run):
    answers_or_says_why_not(run, OTHERWISE["statements"])


def answers_or_says_why_not(run, steps):
    wrong = []
    for words, (status, text) in steps.items():
        arguments = words.split()
        is_signed = arguments[0] == "adjust" or arguments[-1] == "nothing"
        if run.exchange is not None and arguments[0] == "flatten":
            run.exchange.hours.set("2025-03-05 15:00")
        result = run(*arguments, *(WHY if is_signed else ()))
        is_one_line = status == 0 or len(result.output.strip().splitlines()) == 1
        if result.exit_code != status or text not in result.output or not is_one_line:
            wrong.append((words, result.exit_code, result.output, result.exception))
    assert wrong == []


def test_session_after_one_that_was_never_closed_is_not_explained(template, tmp_path, monkeypatch):
    path = tmp_path / "project"
    shutil.copytree(template, path)
    monkeypatch.chdir(path)
    rules = (MarketRules(), CostRules())
    events = ()
    for day in four_days.DAYS:
        events = four_days.book(events, four_days.bars_table(), four_days.actions_table(), rules, day)
    kept = [event for event in events if event.key != "close:2025-01-02"]
    assert len(kept) == len(events) - 1
    Ledger.at(path / "data/accounts/sim/ledger.sqlite").append(kept)
    explained = CliRunner().invoke(command, ["explain", "2025-01-03"], obj=bootstrap_project(path))
    assert (explained.exit_code, explained.output.count("\n")) == (1, 1)
    assert "2025-01-03 is not compared with the backtest: the close before it is that of 2024-12-31" in explained.output


BEFORE = {"simulation": ("2025-01-02", "AAA", "30"), "statements": ("2024-12-31", "AAA", "30")}


@kinds(statements=REPEATED)
def test_an_account_is_shown_as_it_was_at_the_close_of_a_session(run, request):
    kind = request.node.callspec.params["run"][0]
    day, *held = BEFORE.get(kind, ("2025-03-03",))
    shown = run("show", "--date", day)
    assert shown.exit_code == 0, shown.output
    assert f"{KINDS[kind]}, close of {day} " in shown.output
    holdings = shown.output.partition("Holdings")[2].partition("Orders of")[0]
    assert all(word in holdings for word in held)
    assert held or "no holdings" in shown.output
    refused = run("show", "--date", "2025-01-04")
    assert (refused.exit_code, refused.output.count("\n")) == (1, 1)
    assert f"'{KINDS[kind]}' has no close of 2025-01-04; the newest is of" in refused.output


@pytest.mark.parametrize("run", [("broker", False)], indirect=True, ids=["between fills and close"])
def test_what_was_filled_since_the_close_is_valued_at_its_own_price(run):
    shown = run("show")
    assert shown.exit_code == 0, shown.output
    assert "paper-rehearsal, close of 2025-03-03, and fills of 2025-03-04 at the prices of the fills" in shown.output
    value, profit = (shown.output.partition(name)[2] for name in ("net asset value", "profit so far"))
    figures = next(line for line in shown.output.splitlines() if "100,000.00" in line)
    assert (bool(value), bool(profit), "+0.00" in figures) == (True, True, True)
    orders = shown.output.partition("Orders of 2025-03-04")[2].splitlines()
    rows = {line.split()[0]: line.split() for line in orders if line.startswith(("AAA", "BBB"))}
    assert rows["AAA"][1:7] == ["buy", "100", "50.00", "filled", "100", "52.00"]
    assert rows["BBB"][1:7] == ["buy", "200", "20.00", "filled", "200", "20.00"]


@pytest.mark.parametrize("run", [("simulation", True)], indirect=True, ids=["simulation"])
@pytest.mark.parametrize("written", ["soon", "null", "${nothing}", "2025-01-05"])
def test_a_simulated_account_is_sold_where_the_files_name_another_session_or_none(run, written):
    Path("conf/local/parameters.yml").write_text("as_of: 2024-03-28\n")
    refused = run("replan")
    assert (refused.exit_code, "`as_of` of conf/local/parameters.yml is" in refused.output) == (1, True)
    Path("conf/local/globals.yml").write_text(f"as_of: {written}\n")
    assert run("cancel").exit_code == 0
    sold = run("flatten", "--yes")
    assert (sold.exit_code, "buys stay closed" in sold.output) == (0, True), sold.output


@pytest.mark.parametrize("run", [("simulation", True)], indirect=True, ids=["simulation"])
def test_a_day_without_a_session_is_shown_and_nothing_is_booked_on_it(run):
    Path("conf/local/globals.yml").write_text("as_of: 2025-01-05\n")
    ledger = Ledger.at(Path("data/accounts/sim/ledger.sqlite"))
    recorded = ledger.events()
    assert run("show").exit_code == 0
    for booking in (("adjust", "--cash", "500", *WHY), ("resume",)):
        refused = run(*booking)
        assert refused.output.splitlines()[-1] == (
            "Error: as_of=2025-01-05 is not a session of XNYS; the last one before it is 2025-01-03. Pass that with "
            "--params as_of=…"
        )
    assert ledger.events() == recorded
    assert run("resume", "--reducing").exit_code == 0


@pytest.mark.parametrize("run", [("simulation", True)], indirect=True, ids=["simulation"])
def test_a_sale_that_the_run_would_refuse_is_refused_before_anything_is_recorded(run):
    Path("conf/local/catalog.yml").write_text(
        "bars:\n  type: quant_pipeline.datasets.point_in_time.PointInTimeTable\n"
        "  filepath: data/markets/simulated/02_intermediate/bars.parquet\n  as_of: 2024-01-02\n"
    )
    ledger = Ledger.at(Path("data/accounts/sim/ledger.sqlite"))
    recorded = ledger.events()
    refused = run("flatten", "--yes")
    assert (refused.exit_code, "`as_of` of bars in conf/local/catalog.yml is" in refused.output) == (1, True)
    assert ledger.events() == recorded


@pytest.mark.parametrize("run", [("simulation", True)], indirect=True, ids=["simulation"])
def test_what_is_booked_after_the_close_is_no_profit_of_that_close(run):
    before = run("pnl").output
    assert run("adjust", "--cash", "500", *WHY).exit_code == 0
    assert run("pnl").output == f"{before}Booked since this close, and counted at the next one: +500.00 in cash\n"
    assert "Booked since" not in run("pnl", "--date", "2025-01-02").output


@pytest.mark.parametrize("run", [("simulation", True)], indirect=True, ids=["simulation"])
def test_why_tells_universe_rank_decision_cash_and_what_became_of_the_order(run):
    day = "2025-01-02"
    orders = pd.DataFrame(
        [("AAA", "sell", 10, 11.0, "sold: rank 2 of 2", ""), ("BBB", "buy", 5, 20.0, "bought: rank 1 of 2", "denied")],
        columns=["instrument", "side", "quantity", "reference_price", "reason", "remark"],
    )
    rows = [
        ("all_icir", "combination", True, "AAA", "SELL", 2, 0.25),
        ("all_icir", "combination", True, "BBB", "BUY", 1, 0.75),
        ("ridge", "model", False, "AAA", "HOLD", 1, 0.5),
        ("ridge", "model", False, "BBB", "-", 0, float("nan")),
    ]
    opinions = pd.DataFrame(rows, columns=["source", "kind", "is_chosen", "instrument", "opinion", "rank", "score"])
    folder = Path("data/accounts/sim")
    for name in ("orders", "opinions"):
        (folder / name).mkdir()
    orders.to_csv(folder / f"orders/{day}.csv", index=False)
    opinions.to_parquet(folder / f"opinions/{day}.parquet")
    said = run("why", "AAA", "--date", day).output.splitlines()
    assert said[:6] == [
        f"AAA at the close of {day}, account sim",
        "  universe: a member of this session",
        "  scores: all_icir, which gives the orders: rank 2 of 2, score 0.25, would sell",
        "  scores: ridge: rank 1 of 1, score 0.5, would hold",
        "  decision: sell 10 at about 11.00; sold: rank 2 of 2",
        "  decision: the strategy (topk_drop) invests 95% in the best 30",
    ]
    assert said[6] == "  cash: sales bring about 110.00, buys cost about 100.00"
    assert said[8].startswith("  holding: 30 shares at 11.")
    assert said[9].startswith("  order: sell 10 filled, 10 filled at 1")
    bought = run("why", "BBB", "--date", day).output
    assert "  scores: ridge: no score, would do nothing\n" in bought
    assert "  decision: denied\n" in bought
    assert "holding: none" in bought
    unknown = run("why", "ZZZ", "--date", day).output
    assert "  universe: no member, the market does not know it\n" in unknown
    assert "  scores: no source has a score of it\n" in unknown
    assert "  decision: nothing, it is not held, and what gives the orders has no score of it; the strategy" in unknown
    assert "the market does not know it (did you mean 'AAA'?)" in run("why", "aaa", "--date", day).output
    for given, words in (("blacklist", "sold as soon as it can be"), ("watchlist", "kept or sold by its rank")):
        listed = run("why", "ZZZ", "--date", day, "--params", f"strategy.{given}=[ZZZ]").output
        named = (
            f"  decision: nothing, strategy.{given} names it: it is never bought, and a holding is {words}; the strat"
        )
        assert named in listed
    missed = run("why", "AAA", "--date", "2024-12-31").output
    assert "  scores: none were decided on at this close, and the session is over\n" in missed
    no_session = run("why", "AAA", "--date", "2025-01-04")
    assert (no_session.exit_code, no_session.output.count("\n")) == (1, 1)
    assert "'sim' has no close of 2025-01-04; the newest is of 2025-01-03" in no_session.output
