"""What a pane shows is stale from the session on that it does not have; accounts with a time of their own never are."""

from types import SimpleNamespace

import pandas as pd
import pytest

from quant_pipeline.market.calendar import TradingCalendar
from quant_pipeline.service.page import freshness

LONG_AGO = pd.Timestamp("2025-01-02")


def look_of(closed, market=None, plan=None, **live):
    live = {"is_simulated": False, "is_rehearsed": False, **live}
    project = SimpleNamespace(has=lambda name: market is not None, calendar=[market])
    plans = {} if plan is None else {plan: SimpleNamespace(execution_session=plan)}
    account = SimpleNamespace(calendar="XNYS", state=SimpleNamespace(plans=plans))
    return SimpleNamespace(
        live=SimpleNamespace(**live), served=SimpleNamespace(project=project), account=account, closed=closed
    )


@pytest.fixture
def newest():
    """The last session that has closed."""
    clock = pd.Timestamp.now("UTC")
    return TradingCalendar.of("XNYS", clock.tz_localize(None) - freshness.BACK, clock.tz_localize(None)).latest_closed(
        clock
    )


def test_books_market_and_plan_of_long_ago_are_stale_and_say_since_when():
    look = look_of(LONG_AGO, LONG_AGO, LONG_AGO)
    for found, why in ((freshness.books, "no later close"), (freshness.market, "end there"), (freshness.plan, "newer")):
        stale = found(look)
        assert stale.since == "the close of 2025-01-02"
        assert why in stale.why
        assert "sessions closed since" in stale.why


def test_what_has_the_newest_close_is_not_stale_and_what_is_not_there_is_none(newest):
    for look in (look_of(newest, newest, newest), look_of(None)):
        assert [found(look) for found in (freshness.books, freshness.market, freshness.plan)] == [None] * 3


def test_books_at_prices_of_long_ago_are_stale_too(newest):
    assert "market data end there" in freshness.books(look_of(newest, LONG_AGO)).why


@pytest.mark.parametrize("live", [{"is_simulated": True}, {"is_rehearsed": True}])
def test_a_time_of_its_own_does_not_pass_by_waiting(live):
    look = look_of(LONG_AGO, LONG_AGO, LONG_AGO, **live)
    assert [found(look) for found in (freshness.books, freshness.market, freshness.plan)] == [None] * 3
