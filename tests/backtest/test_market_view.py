"""The view of an event strategy holds what has been delivered, and nothing later, whatever is to come."""

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.backtest.event_engine.engine import run_events
from quant_pipeline.backtest.event_engine.market_view import BAR_COLUMNS
from quant_pipeline.common.exceptions import StrategyError
from quant_pipeline.exchange.market import TradingMarket
from quant_pipeline.exchange.rules import CostRules, MarketRules
from tests.helpers.random_market import random_market


class Watcher:
    """Writes down everything a view shows; keeps the views."""

    def __init__(self):
        self.shown = []
        self.views = []

    def react(self, view):
        self.views.append(view)
        shown = [view.prices, view.tradable, view.scores, *(view.history(name, 9_999) for name in BAR_COLUMNS)]
        values = [table.to_numpy(copy=True) for table in (*shown, view.minutes(9_999)["close"])]
        self.shown.append([view.kind.value, view.time, *values])
        return []


def watch(bars, actions, sessions, scores, minutes, watcher=None):
    market = TradingMarket.from_bars(bars, actions, sessions, MarketRules())
    watcher = watcher or Watcher()
    run_events(watcher, market, bars, CostRules(), 1_000, scores=scores, minutes=minutes)
    return watcher


def minutes_of(sessions, instrument):
    times = [session + pd.Timedelta(hours=10, minutes=m) for session in sessions for m in range(2)]
    price = np.arange(len(times), dtype=float) + 5
    bars = dict.fromkeys(("open", "high", "low", "close", "volume"), price)
    return pd.DataFrame({"time": times, "instrument": instrument, **bars})


@pytest.fixture(scope="module")
def market_parts():
    bars, actions, sessions, scores = random_market(5, n_sessions=30, n_instruments=6)
    return bars, actions, sessions, scores, minutes_of(sessions[8:14], "I01")


def test_poisoned_future_changes_nothing_that_was_shown_before(market_parts):
    bars, actions, sessions, scores, minutes = market_parts
    clean = watch(*market_parts)
    cut = sessions[10]
    poisoned_bars = bars.copy()
    later = bars["date"] > cut
    poisoned_bars.loc[later, ["open", "high", "low", "close", "volume"]] *= 3.0
    poisoned_scores = scores.where(scores.index.get_level_values(0) <= cut, 99.0)
    late_minutes = minutes["time"] > cut + pd.Timedelta(days=1)
    poisoned_minutes = minutes.assign(close=minutes["close"].where(~late_minutes, 1.0))
    poisoned = watch(poisoned_bars, actions, sessions, poisoned_scores, poisoned_minutes)
    before = sum(1 for entry in clean.shown if entry[1] < cut + pd.Timedelta(days=1))
    assert before == 11 * 3 + 3 * 2
    for ours, theirs in zip(clean.shown[:before], poisoned.shown[:before], strict=True):
        assert ours[:2] == theirs[:2]
        for one, other in zip(ours[2:], theirs[2:], strict=True):
            np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(clean.shown[before][8], poisoned.shown[before][8])
    assert not np.array_equal(clean.shown[before][2], poisoned.shown[before][2], equal_nan=True)


def test_a_kept_view_still_shows_its_own_moment(market_parts):
    watcher = watch(*market_parts)
    early = watcher.views[9]
    np.testing.assert_array_equal(early.prices.to_numpy(), watcher.shown[9][2])
    np.testing.assert_array_equal(early.history("close", 9_999).to_numpy(), watcher.shown[9][8])
    assert len(early.history("close", 9_999)) == 3
    assert early.history("close", 2).index.tolist() == market_parts[2][1:3].tolist()


def test_session_is_complete_at_its_bar_and_scored_at_its_close(market_parts):
    bars, _, sessions, scores, _ = market_parts
    watcher = watch(*market_parts)
    opening, bar, close = watcher.views[3:6]
    assert [view.kind.value for view in (opening, bar, close)] == ["open", "bar", "close"]
    assert opening.history("high", 1).index[0] == sessions[0]
    assert bar.history("high", 1).index[0] == sessions[1]
    expected = scores.xs(sessions[0]).replace(np.inf, np.nan)
    np.testing.assert_array_equal(bar.scores.to_numpy(), expected.to_numpy())
    np.testing.assert_array_equal(close.scores.to_numpy(), scores.xs(sessions[1]).replace(np.inf, np.nan).to_numpy())
    today = bars[bars["date"] == sessions[1]].set_index("instrument")
    assert bar.history("low", 1).iloc[0].dropna().to_dict() == today["low"].to_dict()


def test_changing_what_a_view_shows_changes_nothing_else(market_parts):
    class Vandal(Watcher):
        def react(self, view):
            super().react(view)
            for shown in (view.history("close", 5), view.prices, view.scores, view.positions):
                shown.iloc[:] = 1
            view.tradable.iloc[:] = True
            minutes = view.minutes(99)
            minutes["close"] = 1.0
            return []

    vandal = watch(*market_parts, Vandal())
    for ours, theirs in zip(watch(*market_parts).shown, vandal.shown, strict=True):
        for one, other in zip(ours[2:], theirs[2:], strict=True):
            np.testing.assert_array_equal(one, other)


def test_unknown_column_and_missing_minutes_are_explained(market_parts):
    view = watch(*market_parts).views[0]
    with pytest.raises(StrategyError, match="no column 'colse'"):
        view.history("colse", 1)

    class Asks:
        def react(self, view):
            view.minutes(1)
            return []

    bars, actions, sessions, _, _ = market_parts
    market = TradingMarket.from_bars(bars, actions, sessions, MarketRules())
    with pytest.raises(StrategyError, match="no minute bars"):
        run_events(Asks(), market, bars, CostRules(), 1_000)
