"""Labels by literal numbers: what a position really received when its listing ended, and what stays missing."""

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.factors.engine import compute_factors
from quant_pipeline.factors.labels import compute_labels, label_expression
from quant_pipeline.market.price_adjustment import adjust_bars
from quant_pipeline.market.sources.simulated import SimulatedMarketParameters, generate_market
from tests.helpers.random_market import random_market

DAYS = pd.bdate_range("2024-01-01", periods=8, unit="ns")
HORIZONS = {"one": 1, "three": 3}


def market(opens, acted=(), days=DAYS):
    """Return adjusted bars and actions of instruments with one open per session, None for a suspended one."""
    rows = [
        (day, name, price)
        for name, prices in sorted(opens.items())
        for day, price in zip(days, prices, strict=False)
        if price is not None
    ]
    table = pd.DataFrame(rows, columns=["date", "instrument", "open"]).astype({"instrument": "str"})
    table = table.assign(high=table["open"], low=table["open"], close=table["open"], volume=1000.0)
    actions = pd.DataFrame(list(acted), columns=["date", "instrument", "kind", "value"])
    actions = actions.astype({"date": "datetime64[ns]", "instrument": "str", "kind": "str", "value": float})
    return adjust_bars(table, actions), actions


def labels_of(name, opens, acted=(), days=DAYS, horizons=HORIZONS):
    panel = compute_labels(*market(opens, acted, days), days, "open", horizons)
    return panel.xs(name, level="instrument")


def test_a_bar_without_volume_begins_and_ends_no_label():
    adjusted, actions = market({"A": STAYS, "B": STAYS})
    quiet = adjusted.assign(volume=adjusted["volume"].mask(adjusted["date"] == DAYS[3], 0.0))
    found = compute_labels(quiet, actions, DAYS, "open", HORIZONS).xs("A", level="instrument")
    # Bought in the next session and sold one later: neither is possible on the fourth day.
    assert values(found["one"]) == [0.0, None, None, 0.0, 0.0, 0.0, None, None]


def values(column):
    return [None if np.isnan(value) else round(value, 6) for value in column]


STAYS = [10.0, 10.0, 10.0, 10.0, 10.0, 10.0, 10.0, 10.0]


def test_a_bankruptcy_is_the_loss_of_those_who_held_it():
    found = labels_of("A", {"A": [10.0, 10.0, 8.0, 5.0], "B": STAYS}, [(DAYS[4], "A", "delisting", 1.0)])
    # Bought at 10, 8, 5; the last is sold by the bankruptcy. Who decides at the last close can buy nothing.
    assert values(found["one"]) == [-0.2, -0.375, -0.8, None]
    assert values(found["three"]) == [-0.9, -0.875, -0.8, None]


def test_a_worthless_end_is_a_loss_of_everything_and_a_takeover_pays_its_cash():
    worthless = labels_of("A", {"A": [10.0, 8.0], "B": STAYS}, [(DAYS[2], "A", "delisting", 0.0)])
    assert values(worthless["one"]) == [-1.0, None]
    takeover = labels_of("A", {"A": [10.0, 8.0], "B": STAYS}, [(DAYS[2], "A", "delisting", 12.0)])
    assert values(takeover["one"]) == [0.5, None]


def test_a_dividend_paid_with_the_end_belongs_to_what_was_received():
    acted = [(DAYS[2], "A", "cash_dividend", 1.0), (DAYS[2], "A", "delisting", 9.0)]
    assert values(labels_of("A", {"A": [10.0, 8.0], "B": STAYS}, acted)["one"]) == [0.25, None]


def test_a_split_before_the_end_is_on_both_sides_of_the_label():
    acted = [(DAYS[2], "A", "split", 2.0), (DAYS[3], "A", "delisting", 3.0)]
    found = labels_of("A", {"A": [10.0, 10.0, 5.0], "B": STAYS}, acted)
    assert values(found["one"]) == [0.0, -0.4, None]


def test_a_live_name_at_the_end_of_the_panel_is_no_delisting():
    found = labels_of("B", {"A": [10.0, 8.0], "B": STAYS}, [(DAYS[2], "A", "delisting", 0.0)])
    assert values(found["one"]) == [0.0] * 6 + [None] * 2
    assert values(found["three"]) == [0.0] * 4 + [None] * 4


def test_a_label_is_not_known_before_its_horizon_has_passed_although_the_end_is():
    """The market ends with the delisting: over one session the exit has happened, over three it has not."""
    days = DAYS[:5]
    found = labels_of("A", {"A": [10.0, 10.0, 8.0, 5.0], "B": STAYS[:5]}, [(DAYS[4], "A", "delisting", 1.0)], days)
    assert values(found["one"]) == [-0.2, -0.375, -0.8, None]
    assert values(found["three"]) == [-0.9, None, None, None]


def test_an_end_that_has_not_happened_yet_is_in_no_label():
    """The same market at the close before: it knows of no delisting, so the last labels are missing."""
    found = labels_of("A", {"A": [10.0, 10.0, 8.0, 5.0], "B": STAYS[:4]}, days=DAYS[:4])
    assert values(found["one"]) == [-0.2, -0.375, None, None]


def test_bars_that_stop_without_a_word_have_no_label_behind_them():
    found = labels_of("A", {"A": [10.0, 10.0, 8.0, 5.0], "B": STAYS})
    assert values(found["one"]) == [-0.2, -0.375, None, None]
    assert values(found["three"]) == [None, None, None, None]


def test_who_is_suspended_at_entry_or_exit_has_no_label_and_a_halt_between_them_matters_not():
    found = labels_of("A", {"A": [10.0, 10.0, None, 8.0, 8.0, 4.0], "B": STAYS})
    assert values(found["one"]) == [None, None, 0.0, -0.5, None, None]
    assert values(found["three"]) == [-0.2, None, None, None, None, None]


def test_a_position_suspended_until_its_end_exits_with_the_end():
    found = labels_of("A", {"A": [10.0, 10.0, 8.0], "B": STAYS}, [(DAYS[5], "A", "delisting", 2.0)])
    # Sold in the third session or not at all: in the fourth and fifth it is suspended, in the sixth it is paid out.
    assert values(found["one"]) == [-0.2, None, None]
    assert values(found["three"]) == [None, -0.75, None]


def test_a_name_that_is_listed_again_is_another_position():
    opens = {"A": [10.0, 10.0, None, None, 30.0, 33.0], "B": STAYS}
    found = labels_of("A", opens, [(DAYS[2], "A", "delisting", 4.0)])
    assert values(found["one"]) == [-0.6, None, None, 0.1, None, None]
    assert values(found["three"]) == [-0.6, None, None, None, None, None]


def test_an_end_on_the_session_of_the_last_bar_pays_before_that_bar_is_traded():
    found = labels_of("A", {"A": [10.0, 10.0, 5.0], "B": STAYS}, [(DAYS[2], "A", "delisting", 4.0)])
    assert values(found["one"]) == [-0.6, None, None]


@pytest.mark.parametrize("deal_price", ["open", "close", "vwap"])
@pytest.mark.parametrize("seed", range(3))
def test_all_labels_that_no_delisting_ends_are_those_of_the_expression(deal_price, seed):
    bars, actions, sessions, _ = random_market(seed)
    adjusted = adjust_bars(bars, actions)
    horizons = {"1": 1, "5": 5, "20": 20}
    found = compute_labels(adjusted, actions, sessions, deal_price, horizons)
    expressions = {name: label_expression(deal_price, horizon) for name, horizon in horizons.items()}
    plain = compute_factors(adjusted, expressions, sessions, allow_future=True).astype("float64")
    assert found.index.equals(plain.index)
    ended = {row.instrument: row.date for row in actions[actions["kind"] == "delisting"].itertuples()}
    assert len(ended) > 3
    place = sessions.get_indexer(found.index.get_level_values("datetime"))
    end = np.array(
        [sessions.get_loc(ended[name]) if name in ended else 10**6 for name in found.index.get_level_values(1)]
    )
    for name, horizon in horizons.items():
        held_to_the_end = end <= place + 1 + horizon
        pd.testing.assert_series_equal(found.loc[~held_to_the_end, name], plain.loc[~held_to_the_end, name])
        # What the expression cannot know, in the sessions in which there is something to buy.
        assert plain.loc[held_to_the_end, name].isna().all()
        assert found.loc[held_to_the_end, name].notna().sum() > len(ended) * horizon * 0.7


def test_no_label_depends_on_what_happens_after_it_is_known():
    """At the close of each session, the labels known by then are those of the whole history, delistings and all."""
    bars, actions, sessions, _ = random_market(5, n_sessions=60)
    whole = compute_labels(adjust_bars(bars, actions), actions, sessions, "open", HORIZONS)
    seen = 0
    for last in range(30, 60):
        known_bars = bars[bars["date"] <= sessions[last]].reset_index(drop=True)
        known_actions = actions[actions["date"] <= sessions[last]]
        known = compute_labels(
            adjust_bars(known_bars, known_actions), known_actions, sessions[: last + 1], "open", HORIZONS
        )
        for name, horizon in HORIZONS.items():
            realised = known.index.get_level_values(0) <= sessions[last - horizon - 1]
            assert known.loc[~realised, name].isna().all()
            expected = whole[name].reindex(known.index)[realised]
            pd.testing.assert_series_equal(known.loc[realised, name], expected)
            seen += expected.notna().sum()
    assert seen > 10_000


def test_every_bankruptcy_of_the_simulated_market_is_in_the_labels():
    """Found by an independent check: 27 of 27 were missing, with these returns of ten bankruptcies."""
    whole = generate_market(SimulatedMarketParameters())
    ended = whole.corporate_actions[whole.corporate_actions["kind"] == "delisting"]
    names = set(ended["instrument"])
    bars = whole.bars[whole.bars["instrument"].isin(names)].reset_index(drop=True)
    panel = compute_labels(
        adjust_bars(bars, whole.corporate_actions), whole.corporate_actions, whole.sessions, "open", {"label": 1}
    )["label"]
    last_holders = {
        row.instrument: round(100 * panel[whole.sessions[whole.sessions.get_loc(row.date) - 2], row.instrument], 1)
        for row in ended.itertuples()
    }
    assert len(last_holders) == 27
    assert np.isfinite(list(last_holders.values())).all()
    assert {name: value for name, value in last_holders.items() if value < -10} == {
        "PATA": -69.6, "SASA": -69.7, "GESE": -88.9, "MOFI": -69.6, "FIFE": -100.0,
        "RUSI": -69.3, "NOFI": -90.2, "RIDE": -90.3, "DINE": -72.2,
    }  # fmt: skip
