"""Membership by what was known at the close."""

import pandas as pd
import pytest

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.market.universe import UniverseParameters, reasons_against, require_known_names, select_universe

SESSIONS = pd.bdate_range("2020-01-06", periods=4, unit="ns")
INSTRUMENTS = pd.DataFrame({"instrument": ["AAA", "BBB"], "sector": ["Energy", "Utilities"]})


@pytest.fixture
def bars():
    return pd.DataFrame(
        {
            "date": list(SESSIONS) + list(SESSIONS[1:]),
            "instrument": ["AAA"] * 4 + ["BBB"] * 3,
            "close": [10.0, 10.0, 2.0, 10.0, 5.0, 5.0, 5.0],
            "volume": [100.0, 100.0, 100.0, 100.0, 10.0, 1000.0, 1000.0],
        }
    )


def members(bars, **parameters):
    table = select_universe(bars, INSTRUMENTS, UniverseParameters(**parameters))
    return [(SESSIONS.get_loc(date), name) for date, name in table.itertuples(index=False)]


def test_without_conditions_everything_with_a_bar_is_a_member(bars):
    assert members(bars) == [(0, "AAA"), (1, "AAA"), (1, "BBB"), (2, "AAA"), (2, "BBB"), (3, "AAA"), (3, "BBB")]


def test_listing_age_counts_bars_of_the_instrument(bars):
    assert members(bars, min_listing_sessions=3) == [(2, "AAA"), (3, "AAA"), (3, "BBB")]


def test_a_price_below_the_minimum_counts_on_that_session_only(bars):
    assert members(bars, min_price=3.0, instruments=["AAA"]) == [(0, "AAA"), (1, "AAA"), (3, "AAA")]


def test_traded_value_is_the_median_of_the_window_so_far(bars):
    # BBB trades 50, 5000, 5000: medians over two bars are 50, 2525, 5000.
    wanted = members(bars, min_median_traded_value=2000.0, traded_value_window=2, sectors=["Utilities"])
    assert wanted == [(2, "BBB"), (3, "BBB")]


def test_sector_filter_and_exclusion(bars):
    assert {name for _, name in members(bars, sectors=["Energy"])} == {"AAA"}
    assert {name for _, name in members(bars, exclude=["AAA"])} == {"BBB"}


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"instruments": ["AAB"]}, "unknown instrument 'AAB'.*did you mean 'AAA'"),
        ({"sectors": ["Enery"]}, "unknown sector 'Enery'.*did you mean 'Energy'"),
        ({"min_price": 1e6}, "no instrument meets the conditions"),
    ],
)
def test_names_that_do_not_exist_and_empty_universes_are_errors(bars, parameters, message):
    with pytest.raises(ConfigurationError, match=message):
        members(bars, **parameters)


NAMED = pd.DataFrame({"universe": ["csi300", "csi500"], "instrument": "AAA", "start": SESSIONS[0], "end": SESSIONS[3]})


@pytest.mark.parametrize(
    ("parameters", "universes", "message"),
    [
        ("csi30", NAMED, r"no universe 'csi30': did you mean 'csi300'\? It has csi300, csi500"),
        ("sp500", NAMED, "no universe 'sp500': .*It has csi300, csi500"),
        ("nothing", NAMED, "no universe 'nothing': it has csi300, csi500"),
        ("csi300", None, "its market source has none; leave `universe.name` out"),
        ({"exclude": ["AAB"]}, None, "unknown instrument 'AAB'.*did you mean 'AAA'"),
    ],
)
def test_a_market_is_refused_that_lacks_a_name_before_anything_is_selected(parameters, universes, message):
    with pytest.raises(ConfigurationError, match=message):
        require_known_names(UniverseParameters.model_validate(parameters), INSTRUMENTS, universes)


def test_names_that_the_market_has_are_taken():
    for parameters in ("csi300", {"instruments": ["AAA"], "sectors": ["Energy"]}, {}):
        require_known_names(UniverseParameters.model_validate(parameters), INSTRUMENTS, NAMED)


def test_later_bars_never_change_earlier_members(bars):
    parameters = UniverseParameters(min_median_traded_value=500.0, traded_value_window=2, min_price=3.0)
    before = select_universe(bars[bars["date"] <= SESSIONS[2]], INSTRUMENTS, parameters)
    poisoned = bars.assign(close=bars["close"].where(bars["date"] <= SESSIONS[2], 1e-3))
    after = select_universe(poisoned, INSTRUMENTS, parameters)
    pd.testing.assert_frame_equal(after[after["date"] <= SESSIONS[2]].reset_index(drop=True), before)


def test_each_condition_that_keeps_an_instrument_out_is_named_with_its_value():
    sessions = pd.bdate_range("2025-01-01", periods=5)
    bars = pd.DataFrame({"date": sessions, "instrument": "AAA", "close": 2.0, "volume": 100.0})
    known = pd.DataFrame({"instrument": ["AAA"], "sector": ["Energy"]})
    strict = UniverseParameters(
        exclude=["AAA"], sectors=["Utilities"], min_listing_sessions=6, min_price=5, min_median_traded_value=1000
    )
    assert reasons_against(bars, known, UniverseParameters(), sessions[-1]) == []
    assert reasons_against(bars, known, strict, sessions[-1]) == [
        "universe.exclude names it",
        "its sector Energy is not one of universe.sectors",
        "bars 5 below universe.min_listing_sessions 6",
        "close 2 below universe.min_price 5",
        "median of the traded value 200 below universe.min_median_traded_value 1,000",
    ]
    late = sessions[-1] + pd.Timedelta(days=7)
    assert reasons_against(bars, known, strict, late) == [
        f"it has no bar in this session (the last one is of {sessions[-1]:%Y-%m-%d})"
    ]
    assert reasons_against(bars, known[:0], strict, late) == ["the market does not know it"]
