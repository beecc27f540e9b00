"""The file of the stream: read while it is new, and nothing at all otherwise."""

import os
from decimal import Decimal

import pandas as pd
import pytest

from quant_pipeline.trading.broker_records import LastTrade
from quant_pipeline.trading.market_snapshot import MarketSnapshot
from tests.helpers.damaged_json import DAMAGED_JSON

TRADE = LastTrade(Decimal("10.05"), pd.Timestamp("2025-03-03 15:00:00.123456", tz="UTC"))


def test_what_was_written_is_read_while_it_is_new(tmp_path):
    snapshot = MarketSnapshot({"A": TRADE}, {"B": "Trading Halt"})
    snapshot.write(tmp_path / "market.json")
    assert MarketSnapshot.read(tmp_path / "market.json") == snapshot
    old = (tmp_path / "market.json").stat().st_mtime - 60
    os.utime(tmp_path / "market.json", (old, old))
    assert MarketSnapshot.read(tmp_path / "market.json") == MarketSnapshot()


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"trades": {}}', '{"trades": {"A": ["NaN", "2025-03-03T15:00Z"]}, "halted": {}}',
     '{"trades": {"A": ["-1", "2025-03-03T15:00Z"]}, "halted": {}}', '{"trades": {"A": ["1", "noon"]}, "halted": {}}',
     '{"trades": {"A": ["1", "2025-03-03T15:00"]}, "halted": {}}'],
)  # fmt: skip
def test_what_cannot_be_read_is_nothing(tmp_path, text):
    (tmp_path / "market.json").write_text(text)
    assert MarketSnapshot.read(tmp_path / "market.json") == MarketSnapshot()
    assert MarketSnapshot.read(None) == MarketSnapshot()


@pytest.mark.parametrize("text", DAMAGED_JSON.values(), ids=DAMAGED_JSON)
def test_what_is_damaged_is_nothing(tmp_path, text):
    (tmp_path / "market.json").write_bytes(text)
    assert MarketSnapshot.read(tmp_path / "market.json") == MarketSnapshot()
