"""From two keys to a filled paper account, on the command line, before a whole fake Alpaca."""

import json
import urllib.request

import pandas as pd
import pytest
import yaml

from tests.helpers.project import PATIENCE, SMALL_PARAMETERS
from tests.helpers.servers import free_port

SYMBOLS = ["AAPL", "CAT", "JPM", "KO", "MSFT", "NEE", "PFE", "XOM"]
WINDOWS = {
    "train": ["2023-06-01", "2024-03-28"],
    "valid": ["2024-04-01", "2024-07-31"],
    "test": ["2024-08-01", None],
}
DAY, NEXT = "2025-03-03", "2025-03-04"


@pytest.fixture(scope="module")
def address(module_project):
    """A fake Alpaca at which it is the forenoon of `NEXT`; a few symbols, two years."""
    port = free_port()
    serving = module_project.start_process(
        f"python -m quant_pipeline.testing.fake_alpaca --port {port} --start 2023-01-03 --end 2025-03-31 "
        f"--now {NEXT}T15:00 --symbols {','.join([*SYMBOLS, 'SPY'])}"
    )
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
        yield lambda command, day, *more: module_project.run(
            f"{command} --env paper --params {','.join([f'alpaca_url={address}', f'as_of={day}', *more])}"
        )


def orders_at(address):
    with urllib.request.urlopen(f"{address}/", timeout=PATIENCE) as page:
        return {order["client_order_id"]: order for order in json.load(page)["orders"]}


def move_clock(address, now):
    body = json.dumps({"now": now}).encode()
    urllib.request.urlopen(
        urllib.request.Request(f"{address}/control/clock", body, method="POST"), timeout=PATIENCE
    ).close()


def test_the_whole_path_on_a_paper_account(module_project, paper, address):
    told = paper("kedro run", DAY)
    assert "rank IC" in told.stdout + told.stderr
    plan = pd.read_csv(module_project.path / f"data/accounts/paper/orders/{DAY}.csv")
    planned = plan.loc[plan["side"] == "buy"].set_index("instrument")["quantity"]
    assert 0 < len(planned) <= 4
    paper("kedro run --pipelines execution", DAY, "dry_run=true")
    assert orders_at(address) == {}, "a dry run sends nothing"

    paper("kedro run --pipelines execution", DAY)
    sent = orders_at(address)
    assert {order["status"] for order in sent.values()} == {"filled"}
    assert {order["symbol"]: int(order["qty"]) for order in sent.values()} == planned.to_dict()
    paper("kedro run --pipelines execution", DAY)
    assert orders_at(address) == sent, "twice sends nothing twice"

    move_clock(address, f"{NEXT}T21:05")
    paper("kedro run --pipelines daily", NEXT)
    holdings = pd.read_parquet(module_project.path / f"data/accounts/paper/holdings/{NEXT}.parquet")
    assert holdings.set_index("instrument")["quantity"].astype(int).to_dict() == planned.to_dict()
    shown = paper("kedro account show", NEXT).stdout
    for symbol in planned.index:
        assert symbol in shown
    everything = "".join(path.read_text(errors="ignore") for path in (module_project.path / "logs").glob("paper*"))
    assert "fake-secret" not in everything
