"""The state of the process for others: whole files, and no secret in them."""

import json
import os

import pandas as pd
import pytest

from quant_pipeline.live.board import METRICS, STATUS, Board, Seen, read_status
from quant_pipeline.live.journal import Journal
from quant_pipeline.live.market_data.files import SCORES_FILE, WATCH_FILE, best_scores, read_watch
from quant_pipeline.live.notifications.dispatcher import Dispatcher
from quant_pipeline.live.notifications.messages import HIDDEN
from quant_pipeline.live.parameters import NotificationParameters
from quant_pipeline.live.status import describe
from tests.helpers.damaged_json import DAMAGED_JSON

NOW = pd.Timestamp("2025-01-02 21:20", tz="UTC")
SECRET = "s3cr3t-T0ken"


def test_the_value_of_a_watched_account_is_in_both_files_while_it_is_new(tmp_path):
    said = {"net_asset_value": "12000.50", "change": -0.04, "halted": {"MSFT": "news"}, "alarms": []}
    (tmp_path / WATCH_FILE).write_text(json.dumps(said))
    board, journal = Board(tmp_path, "paper", "paper"), Journal(tmp_path / "journal.jsonl")
    seen, messages = Seen(NOW, "ready", None, "", "", None), Dispatcher([], NotificationParameters())
    board.write(seen, journal, messages)
    assert 'quant_pipeline_live_net_asset_value{account="paper"} 12000.5' in (tmp_path / METRICS).read_text()
    status = json.loads((tmp_path / STATUS).read_text())
    assert "market: value 12000.50, -4.00% since the close, halted: MSFT" in list(describe(status))
    os.utime(tmp_path / WATCH_FILE, (0, 0))
    board.write(seen, journal, messages, at_once=True)
    assert "net_asset_value" not in (tmp_path / METRICS).read_text()
    assert json.loads((tmp_path / STATUS).read_text())["market"] is None


def test_a_secret_that_a_command_prints_or_the_journal_holds_stands_in_neither_file(tmp_path):
    journal = Journal(tmp_path / "journal.jsonl")
    journal.append(NOW, "note", what=f"https://user:{SECRET}@example.com")
    board = Board(tmp_path, "sim", "sim", (SECRET,))
    seen = Seen(NOW, "working", None, "daily 2025-01-02", f"key {SECRET} refused", pd.Timestamp("2025-01-02"))
    board.write(seen, journal, Dispatcher([], NotificationParameters()))
    status, metrics = (tmp_path / STATUS).read_text(), (tmp_path / METRICS).read_text()
    assert SECRET not in status + metrics
    found = json.loads(status)
    assert found["progress"] == f"key {HIDDEN} refused"
    assert found["watermark"] == "2025-01-02"
    assert 'quant_pipeline_live_up{account="sim"} 1.0' in metrics
    assert 'quant_pipeline_live_watermark_timestamp_seconds{account="sim"} 1.735776e+09' in metrics


def test_a_secret_that_looks_different_in_json_stands_in_no_file_either(tmp_path):
    secret = 'pässwort"\\1'
    board, journal = Board(tmp_path, "sim", "sim", (secret,)), Journal(tmp_path / "journal.jsonl")
    board.write(Seen(NOW, "working", None, "", f"key {secret} refused", None), journal,
                Dispatcher([], NotificationParameters()))  # fmt: skip
    assert json.loads((tmp_path / STATUS).read_text())["progress"] == f"key {HIDDEN} refused"


@pytest.mark.parametrize("text", DAMAGED_JSON.values(), ids=DAMAGED_JSON)
def test_files_beside_the_journal_that_are_damaged_say_nothing(tmp_path, text):
    for name in (STATUS, WATCH_FILE, SCORES_FILE):
        (tmp_path / name).write_bytes(text)
    assert (read_status(tmp_path), read_watch(tmp_path), best_scores(tmp_path, "2025-01-02", 5)) == ({}, {}, None)


@pytest.mark.parametrize(
    "models", [None, [], {"ridge": 5}, {"ridge": {"scores": [1]}}, {"ridge": {"scores": {"A": 1, "B": "x"}}}]
)
def test_live_scores_of_another_form_are_none(tmp_path, models):
    (tmp_path / SCORES_FILE).write_text(json.dumps({"session": "2025-01-02", "at": "noon", "models": models}))
    assert best_scores(tmp_path, "2025-01-02", 5) is None
