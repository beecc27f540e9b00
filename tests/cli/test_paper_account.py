"""The commands of the guide to rehearsals, as a reader types them, before a whole fake Alpaca."""

import json
import shlex
import urllib.request
from decimal import Decimal

import pandas as pd
import pytest
import yaml

from quant_pipeline.testing.small_project import SMALL_PARAMETERS
from quant_pipeline.trading.ledger.account import fold
from quant_pipeline.trading.ledger.store import Ledger
from tests.helpers.documented_files import commands_of
from tests.helpers.project import PATIENCE
from tests.helpers.servers import answers, free_port

SYMBOLS = ["AAPL", "CAT", "JPM", "KO", "MSFT", "NEE", "PFE", "XOM"]
WINDOWS = {
    "train": ["2023-06-01", "2024-03-28"],
    "valid": ["2024-04-01", "2024-07-31"],
    "test": ["2024-08-01", None],
}
DAY, NEXT = "2025-03-03", "2025-03-04"
OTHER = "alpaca_url=http://127.0.0.1:9"


@pytest.fixture(scope="module")
def guide(project_path):
    return project_path / "docs" / "guides" / "rehearsal.md"


@pytest.fixture(scope="module")
def address(module_project, guide):
    """The fake Alpaca of the guide, at which it is the forenoon of `NEXT`; a few symbols, two years."""
    port = free_port()
    (serve,) = (line.strip() for line in guide.read_text().splitlines() if line.startswith("    python -m"))
    assert f"--now {NEXT}T15:00" in serve
    serving = module_project.start_process(
        f"{serve} --port {port} --start 2023-01-03 --symbols {','.join([*SYMBOLS, 'SPY'])}"
    )
    assert answers(f"http://127.0.0.1:{port}/", seconds=PATIENCE)
    yield f"http://127.0.0.1:{port}"
    serving.terminate()
    serving.wait(timeout=PATIENCE)


@pytest.fixture(scope="module")
def paper(module_project, address):
    """Run a command for the paper account, with the operator's keys in the shell."""
    conf = module_project.path / "conf" / "paper"
    small = {"split": WINDOWS, "models": SMALL_PARAMETERS["models"], "strategy": {"topk": 4, "n_drop": 1}}
    small["risk"] = {"max_order_weight": 0.3, "max_position_weight": 0.3}
    for name, changes in {"globals": {"symbols": SYMBOLS}, "parameters": small}.items():
        file = conf / f"{name}.yml"
        file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | changes))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ALPACA_PAPER_API_KEY", "FAKEKEY")
        patch.setenv("ALPACA_PAPER_SECRET_KEY", "fake-secret")
        yield lambda command, day, ok=True: module_project.run(
            f"{command} --env paper --params alpaca_url={address},as_of={day}", ok=ok
        )


@pytest.fixture(scope="module")
def follow(guide, module_project, paper, address):
    """Return a function that runs the next command of the guide, which begins with what the test expects of it."""
    commands = iter(commands_of(guide))

    def run(expected):
        command = next(commands).replace("127.0.0.1:8765", address.removeprefix("http://"))
        assert command.replace(" --env paper", "").startswith(expected)
        return ask(command) if command.startswith("curl") else module_project.run(command).stdout

    return run


def ask(command):
    """Do what `curl` does, which not every machine has."""
    words = shlex.split(command)
    url = next(word for word in words if word.startswith("127.0.0.1"))
    body = words[words.index("-d") + 1].encode() if "-d" in words else None
    with urllib.request.urlopen(f"http://{url}", body, timeout=PATIENCE) as answer:
        return json.load(answer)


@pytest.fixture(scope="module")
def account(module_project, address):
    """Folder of the account that rehearses at this address."""
    return module_project.path / f"data/accounts/paper-rehearsal-{address.rpartition(':')[2]}"


@pytest.fixture(scope="module")
def trained(follow):
    """What the first command of the guide has printed: models of the rehearsed market are there from here on."""
    return follow("kedro run")


def orders_at(address):
    return {order["client_order_id"]: order for order in ask(f"curl {address.removeprefix('http://')}/")["orders"]}


def test_the_days_of_the_guide_can_be_rehearsed(module_project, trained, follow, paper, address, account):
    assert "rank IC" in trained
    plan = pd.read_csv(account / f"orders/{DAY}.csv")
    planned = plan.loc[plan["side"] == "buy"].set_index("instrument")["quantity"]
    assert 0 < len(planned) <= 4
    follow("kedro run --pipelines execution")
    assert orders_at(address) == {}, "a dry run sends nothing"
    early = paper("kedro run --pipelines daily", NEXT, ok=False)
    assert f"the session {NEXT} ends at {NEXT} 21:00 UTC, and it is {NEXT} 15:00; nothing was read" in early.stderr

    follow("kedro run --pipelines execution")
    sent = orders_at(address)
    assert {order["status"] for order in sent.values()} == {"filled"}
    assert {order["symbol"]: int(order["qty"]) for order in sent.values()} == planned.to_dict()
    paper("kedro run --pipelines execution", DAY)
    assert orders_at(address) == sent, "twice sends nothing twice"

    follow("curl -X POST")
    follow("kedro run --pipelines daily")
    holdings = pd.read_parquet(account / f"holdings/{NEXT}.parquet")
    assert holdings.set_index("instrument")["quantity"].astype(int).to_dict() == planned.to_dict()
    shown = follow("kedro account show")
    for symbol in planned.index:
        assert symbol in shown
    everything = "".join(path.read_text(errors="ignore") for path in (module_project.path / "logs").glob("paper*"))
    assert "fake-secret" not in everything

    for _ in range(3):
        follow("curl -X POST")
    follow("kedro account reconcile")
    state = follow("curl")
    assert [row["activity_type"] for row in state["activities"][-4:]] == ["CSD", "INT", "FEE", "FILL"]
    books = fold(Ledger.at(account / "ledger.sqlite").events())
    assert books.cash == Decimal(state["cash"])
    assert {name: held.quantity for name, held in books.positions.items()} == {
        name: Decimal(quantity) for name, quantity in state["positions"].items()
    }
    assert len(books.positions) == len(planned) - 1, "the last fill was busted"


@pytest.mark.parametrize(
    "of",
    [
        f"paper --params as_of={DAY},{OTHER}",
        pytest.param(f"paper --params as_of={DAY}", marks=pytest.mark.slow),
        f"live --params as_of={DAY}",
    ],
    ids=["another rehearsal", "paper", "live"],
)
@pytest.mark.usefixtures("trained")
def test_what_was_rehearsed_is_unknown_to_real_accounts_and_other_rehearsals(module_project, paper, address, of):
    market = module_project.path / f"data/markets/alpaca-rehearsal-{address.rpartition(':')[2]}"
    champions = {path.name for path in market.glob("06_models/*/bundle/versions/*")}
    listed = paper("kedro models list", DAY).stdout
    assert champions
    assert any(champion in listed for champion in champions)
    listed = module_project.run(f"kedro models list --env {of}").stdout
    assert not [champion for champion in champions if champion in listed]
    shown = module_project.run(f"kedro account show --env {of}").stdout
    assert "nothing booked yet" in shown
    missing = module_project.run(f"kedro run --pipelines features --env {of}", ok=False)
    assert missing.returncode == 1
    bars = pd.read_parquet(market / "02_intermediate/bars.parquet")
    assert bars.attrs == {"source": f"alpaca at {address}"}
    for real in ("markets/alpaca", "accounts/paper", "accounts/live"):
        assert not list((module_project.path / "data" / real).rglob("*.parquet"))
