"""The pane Now while the market of the account is watched."""

import json

from quant_pipeline.live.market_data.files import SCORES_FILE
from quant_pipeline.service.page.panes.now import watched

MARKET = {"at": "2025-01-03T17:00:00+00:00", "session": "2025-01-03", "net_asset_value": "12000.50", "change": -0.04,
          "halted": {"MSFT": "news"}, "alarms": ["losses"]}  # fmt: skip


def test_value_halts_and_the_highest_live_scores_are_shown_while_the_market_is_watched(tmp_path):
    scores = {"AAA": 0.1, "BBB": 0.3, "CCC": -1.0}
    said = {"at": MARKET["at"], "session": "2025-01-03", "models": {"ridge": {"bundle": "b", "scores": scores}}}
    (tmp_path / SCORES_FILE).write_text(json.dumps(said))
    value, live = watched(MARKET, tmp_path, "USD")
    assert "12,000 USD" in str(value)
    assert "-4.00% since the close" in str(value)
    assert "halted: MSFT" in str(value)
    assert "BBB, AAA, CCC" in str(live)
    assert "as if the session had closed at 2025-01-03 17:00:00 UTC" in live.as_of
    assert watched(None, tmp_path, "USD") == []
    assert len(watched(MARKET | {"session": "2025-01-06"}, tmp_path, "USD")) == 1, "scores of another session are none"


def test_what_a_process_that_has_ended_said_of_the_market_is_stale(tmp_path):
    (value,) = watched(MARKET | {"alarms": []}, tmp_path, "USD", is_over=True)
    assert "stale since 2025-01-03 17:00:00 UTC" in value.as_of
    assert value.tone == "bad"
