"""What another engine is given, and what of its answer is refused."""

import json
from dataclasses import replace

import pandas as pd
import pytest

from quant_pipeline.backtest.other_engines.folder import VERSION, write_exchange
from quant_pipeline.backtest.other_engines.verdicts import read_executed, read_facts
from quant_pipeline.common.exceptions import ConfigurationError, StaleDataError
from tests.helpers.damaged_json import DAMAGED_JSON


def test_the_plan_holds_what_was_asked_for_and_ours_what_became_of_it(finished, tmp_path):
    assert write_exchange(tmp_path / "own", finished) == 4
    plan = pd.read_parquet(tmp_path / "own/plan.parquet")
    assert plan["quantity"].tolist() == [50, 25, 20, 50]
    assert plan["side"].tolist() == ["buy", "buy", "sell", "sell"]
    assert set(plan["kind"]) == {"market_on_open"}
    assert not {"price", "status", "fee"} & set(plan.columns)
    assert pd.read_parquet(tmp_path / "own/ours/fills.parquet")["quantity"].tolist() == [50, 20, 0, 50]
    assert len(pd.read_parquet(tmp_path / "own/tape.parquet")) == 5
    assert pd.read_parquet(tmp_path / "own/corporate_actions.parquet")["kind"].tolist() == ["cash_dividend"]
    rules = json.loads((tmp_path / "own/rules.json").read_text())
    assert (rules["cost_rules"]["half_spread"], rules["account"]["initial_cash"]) == (0.0002, 1000.0)


def test_what_an_engine_wrote_goes_with_the_plan_that_it_executed(finished, tmp_path):
    write_exchange(tmp_path, finished)
    before = read_facts(tmp_path)["fingerprint"]
    (tmp_path / "engines/other").mkdir(parents=True)
    write_exchange(tmp_path, finished)
    assert not (tmp_path / "engines").exists()
    assert read_facts(tmp_path)["fingerprint"] == before
    write_exchange(tmp_path, replace(finished, trades=finished.trades.iloc[:3]))
    assert read_facts(tmp_path)["fingerprint"] != before


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"trades": lambda table: table.assign(kind=["market", "market", "stop", "market"])},
            "orders of the kind stop",
        ),
        ({"parameters": lambda blocks: blocks | {"market_rules": {"deal_price": "close"}}}, "execute at the close"),
    ],
)
def test_only_market_orders_at_the_open_are_handed_over(finished, tmp_path, changed, said):
    parts = {name: change(getattr(finished, name)) for name, change in changed.items()}
    with pytest.raises(ConfigurationError, match=said):
        write_exchange(tmp_path / "own", replace(finished, **parts))
    assert not (tmp_path / "own").exists()


def test_bars_that_were_corrected_since_are_refused(finished, tmp_path):
    corrected = finished.bars.replace({"open": {10.5: 10.51}})
    with pytest.raises(StaleDataError, match="traded AAA on 2024-01-04 at another open"):
        write_exchange(tmp_path / "own", replace(finished, bars=corrected))


def test_a_folder_of_another_kind_or_version_is_refused(finished, tmp_path):
    with pytest.raises(ConfigurationError, match=r"no exchange folder: it has no exchange\.json"):
        read_facts(tmp_path)
    write_exchange(tmp_path, finished)
    facts = json.loads((tmp_path / "exchange.json").read_text())
    (tmp_path / "exchange.json").write_text(json.dumps(facts | {"version": VERSION + 1}))
    with pytest.raises(ConfigurationError, match=f"has version {VERSION + 1} of the format"):
        read_facts(tmp_path)


def answer(folder, orders=4, **changes):
    """Write what an engine answers."""
    place = folder / "engines" / "other"
    place.mkdir(parents=True, exist_ok=True)
    fills = pd.DataFrame({"order": range(orders), "quantity": 0, "price": float("nan"), "fee": 0.0, "message": ""})
    fills.to_parquet(place / "fills.parquet")
    verdict = {
        "version": VERSION,
        "fingerprint": read_facts(folder)["fingerprint"],
        "engine": "Other",
        "engine_version": "1",
        "licence": "MIT",
        "python": "3.13.0",
        "prices": "with_costs",
        "seconds": 1.0,
    }
    (place / "verdict.json").write_text(json.dumps(verdict | changes))


@pytest.mark.parametrize(
    ("changes", "kind", "said"),
    [
        ({"fingerprint": "0"}, StaleDataError, "of another plan"),
        ({"prices": "guessed"}, ConfigurationError, "prices"),
        ({"verison": 1}, ConfigurationError, "verison"),
        ({"orders": 3}, ConfigurationError, "not one row for each order of the plan"),
    ],
)
def test_an_answer_that_does_not_fit_is_refused(finished, tmp_path, changes, kind, said):
    write_exchange(tmp_path, finished)
    answer(tmp_path, **changes)
    with pytest.raises(kind, match=said):
        read_executed(tmp_path, read_facts(tmp_path))


def test_an_engine_that_has_not_ended_has_no_answer(finished, tmp_path):
    write_exchange(tmp_path, finished)
    answer(tmp_path)
    assert [each.name for each in read_executed(tmp_path, read_facts(tmp_path))] == ["other"]
    (tmp_path / "engines/other/verdict.json").unlink()
    assert read_executed(tmp_path, read_facts(tmp_path)) == []


@pytest.mark.parametrize("text", DAMAGED_JSON.values(), ids=DAMAGED_JSON)
def test_damaged_files_of_an_exchange_folder_are_named(finished, tmp_path, text):
    write_exchange(tmp_path, finished)
    answer(tmp_path)
    facts = read_facts(tmp_path)
    (tmp_path / "engines/other/verdict.json").write_bytes(text)
    with pytest.raises(ConfigurationError, match=r"^\S*verdict\.json .*\. Run the adapter again\.$"):
        read_executed(tmp_path, facts)
    (tmp_path / "exchange.json").write_bytes(text)
    with pytest.raises(ConfigurationError, match=r"^\S*exchange\.json cannot be read: .*\. Write it again: "):
        read_facts(tmp_path)
