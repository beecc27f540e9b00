"""The ledger as the catalog sees it."""

import pandas as pd
import pytest

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.datasets.ledger import LedgerEvents
from quant_pipeline.trading.ledger.events import Event, EventKind

OPENED = Event(pd.Timestamp("2024-12-30"), EventKind.ACCOUNT_OPENED, "opened", {"cash": "1000.0000"})
CLOSED = Event(pd.Timestamp("2024-12-31"), EventKind.SESSION_CLOSED, "2024-12-31", {"nav": "1000.0000"})


def test_an_account_that_was_never_used_has_no_events_and_no_file(tmp_path):
    dataset = LedgerEvents(filepath=str(tmp_path / "ledger.sqlite"))
    assert not dataset.exists()
    assert dataset.load() == ()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("address", ["sqlite://", "sqlite:///file::memory:?uri=true", "sqlite:///ledger.db"])
def test_a_ledger_that_nothing_would_keep_or_find_again_is_refused(address):
    with pytest.raises(ConfigurationError, match=r"^a ledger, which .* cannot lie at sqlite:.* Write the path of the"):
        LedgerEvents(filepath=address)


def test_saving_appends_what_is_new(tmp_path):
    dataset = LedgerEvents(filepath=str(tmp_path / "account" / "ledger.sqlite"))
    dataset.save([OPENED])
    dataset.save([OPENED, CLOSED])
    assert [(event.kind, event.key, dict(event.payload)) for event in dataset.load()] == [
        ("account_opened", "opened", {"cash": "1000.0000"}),
        ("session_closed", "2024-12-31", {"nav": "1000.0000"}),
    ]


def test_the_preview_shows_the_newest_events(tmp_path):
    dataset = LedgerEvents(filepath=str(tmp_path / "ledger.sqlite"))
    dataset.save([OPENED, CLOSED])
    assert dataset.preview(1) == {
        "index": [0],
        "columns": ["session", "kind", "key"],
        "data": [["2024-12-31", "session_closed", "2024-12-31"]],
    }


def test_a_ledger_never_counts_as_existing_so_that_no_run_skips_the_node_that_appends(tmp_path):
    dataset = LedgerEvents(filepath=str(tmp_path / "ledger.sqlite"))
    dataset.save([OPENED])
    assert not dataset.exists()
