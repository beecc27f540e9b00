"""The state of the process for others: whole files, and no secret in them."""

import json

import pandas as pd

from quant_pipeline.live.board import METRICS, STATUS, Board, Seen
from quant_pipeline.live.journal import Journal
from quant_pipeline.live.notifications.dispatcher import Dispatcher
from quant_pipeline.live.notifications.messages import HIDDEN
from quant_pipeline.live.parameters import NotificationParameters

NOW = pd.Timestamp("2025-01-02 21:20", tz="UTC")
SECRET = "s3cr3t-T0ken"


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
