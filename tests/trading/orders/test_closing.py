"""A session is closed once, between its last trade and the end of the next session."""

from decimal import Decimal

import pandas as pd
import pytest

from quant_pipeline.common.exceptions import AccountError
from quant_pipeline.testing.chaos import rehearsal
from quant_pipeline.trading.broker_records import CashActivity, CashKind
from quant_pipeline.trading.ledger.account import fold
from quant_pipeline.trading.orders.closing import close_books

MONDAY = pd.Timestamp("2025-01-06")


@pytest.fixture
def desk(tmp_path):
    """A desk of Friday, on an account of 12,000 at the close; on Monday KEEP has doubled."""
    broker = rehearsal.new_broker(frozenset(), 7)
    clockwork = rehearsal.Clockwork(lambda: broker.now, broker.advance)
    desk = rehearsal.open_desk(tmp_path / "ledger.sqlite", broker, clockwork, holds_lease=False)
    broker.close_session()
    return desk


def stand_at(desk, instant):
    desk.broker.now = pd.Timestamp(instant, tz="UTC")
    if desk.broker.now >= MONDAY.tz_localize("UTC"):
        desk.broker.prices["KEEP"] = Decimal(100)


@pytest.mark.parametrize("instant", ["2025-01-03 21:05", "2025-01-06 15:00", "2025-01-06 20:59"])
def test_a_session_is_closed_with_the_equity_of_its_close(desk, instant):
    stand_at(desk, instant)
    assert close_books(desk) == ()
    assert fold(desk.journal.ledger.events()).closes == [(rehearsal.SESSION, 12_000, 4_000)]


def test_a_session_that_goes_on_is_not_closed(desk):
    stand_at(desk, "2025-01-03 20:59")
    with pytest.raises(AccountError, match="2025-01-03 ends at 2025-01-03 21:00 UTC"):
        close_books(desk)


def test_a_session_whose_equity_is_no_longer_stated_is_not_closed(desk):
    stand_at(desk, "2025-01-06 21:00")
    with pytest.raises(AccountError, match="2025-01-03 is past"):
        close_books(desk)
    assert fold(desk.journal.ledger.events()).last_session is None


def test_cash_of_the_next_session_does_not_get_into_a_close(desk):
    stand_at(desk, "2025-01-03 21:05")
    close_books(desk)
    desk.session = MONDAY
    desk.broker.cash += 7
    desk.broker.tell(CashActivity("20250107120000000::d", MONDAY + pd.Timedelta(days=1), CashKind.INTEREST, Decimal(7)))
    desk.broker.now = pd.Timestamp("2025-01-07 12:00", tz="UTC")
    with pytest.raises(AccountError, match="2025-01-06 is past"):
        close_books(desk)
    assert fold(desk.journal.ledger.events(), up_to=MONDAY).cash == 4_000
