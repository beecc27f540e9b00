"""The embedded market: deterministic, consistent, and weakly predictable."""

import numpy as np
import pandas as pd
import pytest
from pandera.errors import SchemaError

from quant_pipeline.common.exceptions import MarketDataError
from quant_pipeline.evaluation.information_coefficient import information_coefficients
from quant_pipeline.market.price_adjustment import adjust_bars
from quant_pipeline.market.schemas import BARS_SCHEMA, CORPORATE_ACTIONS_SCHEMA, INSTRUMENTS_SCHEMA
from quant_pipeline.market.sources.simulated import SimulatedMarketParameters, generate_market
from quant_pipeline.market.sources.simulated_bars import TradedPrices, _volume
from quant_pipeline.market.sources.simulated_names import name_instruments
from quant_pipeline.market.sources.simulated_returns import Returns

LAST = pd.Timestamp("2024-12-31")


@pytest.fixture(scope="module")
def market():
    return generate_market()


@pytest.fixture(scope="module")
def known(market):
    return market.as_of(LAST)


def test_the_same_seed_gives_the_same_market_and_another_seed_another():
    parameters = SimulatedMarketParameters(n_instruments=8, start="2023-01-03", end="2024-12-31")
    first, second = generate_market(parameters), generate_market(parameters)
    pd.testing.assert_frame_equal(first.bars, second.bars, check_exact=True)
    pd.testing.assert_frame_equal(first.benchmark, second.benchmark, check_exact=True)
    other = generate_market(parameters.model_copy(update={"seed": 8}))
    assert not np.array_equal(first.benchmark["close"], other.benchmark["close"])


def test_a_market_of_thousands_has_names_enough():
    named = name_instruments(np.random.default_rng(7), np.zeros(5_500, dtype=np.int64))
    assert named["instrument"].is_unique
    assert len(named) == 5_500


def test_a_market_of_thousands_lists_and_delists_and_every_bar_is_one_of_a_market():
    parameters = SimulatedMarketParameters(n_instruments=2_000, start="2022-01-03", end="2023-12-29")
    market = generate_market(parameters)
    first, last = market.sessions[0], market.sessions[-1]
    known = market.as_of(last)
    BARS_SCHEMA.validate(known.bars)
    CORPORATE_ACTIONS_SCHEMA.validate(known.corporate_actions)
    INSTRUMENTS_SCHEMA.validate(known.instruments)
    assert not known.bars.duplicated(["date", "instrument"]).any()
    assert not known.corporate_actions.duplicated(["date", "instrument", "kind"]).any()
    names = known.instruments.set_index("instrument")
    assert len(names) == names.index.nunique() == known.bars["instrument"].nunique() == 2_000
    assert (names["listed"] > first).sum() == pytest.approx(0.15 * 2_000, rel=0.1)
    ended = known.corporate_actions.query("kind == 'delisting'").set_index("instrument")
    assert len(ended) == pytest.approx(0.02 * 2_000 * 2, rel=0.25)
    assert set(ended.index) == set(names.index[names["delisted"].notna()])
    span = known.bars.groupby("instrument")["date"].agg(["min", "max"])
    assert (span["min"] >= names["listed"].reindex(span.index)).all()
    assert (span["max"].reindex(ended.index) < ended["date"]).all()
    assert (span["max"].drop(ended.index) > last - pd.Timedelta(days=60)).all()


def test_tables_satisfy_their_schemas(known):
    BARS_SCHEMA.validate(known.bars)
    CORPORATE_ACTIONS_SCHEMA.validate(known.corporate_actions)
    INSTRUMENTS_SCHEMA.validate(known.instruments)


@pytest.mark.parametrize("column", ["open", "high", "low", "close", "volume"])
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, -1.0])
def test_values_that_are_no_numbers_of_a_market_are_refused(known, column, value):
    bars = known.bars.head(3).copy()
    bars.loc[1, column] = value
    with pytest.raises(SchemaError, match=column):
        BARS_SCHEMA.validate(bars)


def test_a_shock_that_comes_once_in_a_large_market_leaves_volumes_that_are_numbers():
    quiet = np.ones((2, 1))
    returns = Returns(total=quiet * 0, own_volatility=quiet, own_surprise=quiet * [[1.0], [-231.0]], signal=quiet * 0)
    volume = _volume(np.random.default_rng(1), returns, TradedPrices(close=quiet, split=quiet, dividend=quiet * 0))
    assert volume[1, 0] > volume[0, 0]
    assert volume[1, 0] < 1e13


def test_low_and_high_enclose_open_and_close_in_cents(known):
    bars = known.bars
    assert (bars["low"] <= bars[["open", "close"]].min(axis=1)).all()
    assert (bars["high"] >= bars[["open", "close"]].max(axis=1)).all()
    cents = bars[["open", "high", "low", "close"]] * 100
    assert np.allclose(cents, cents.round(), atol=1e-6)
    assert (bars["volume"] == bars["volume"].round()).all()


def test_everything_that_happens_in_a_market_happens_here(known):
    kinds = known.corporate_actions["kind"].value_counts()
    assert kinds["cash_dividend"] > 1000
    assert kinds["split"] > 10
    assert kinds["delisting"] > 10
    assert (known.instruments["listed"] > pd.Timestamp("2015-01-02")).sum() > 10
    splits = known.corporate_actions.query("kind == 'split'")["value"]
    assert (splits < 1).any()
    assert (splits > 1).any()


def test_halts_are_absent_rows_that_never_hide_a_corporate_action(known, market):
    per_instrument = known.bars.groupby("instrument")["date"]
    place = pd.Series(market.sessions.get_indexer(known.bars["date"]), index=known.bars.index)
    gaps = place.groupby(known.bars["instrument"]).diff().dropna() - 1
    assert (gaps > 0).sum() > 20
    assert gaps.max() > 1
    assert per_instrument.size().min() > 60
    dealt = known.corporate_actions.query("kind != 'delisting'")
    with_bar = dealt.merge(known.bars[["date", "instrument"]], on=["date", "instrument"])
    assert len(with_bar) == len(dealt)


def test_a_cut_is_the_beginning_of_the_whole(market):
    early, late = market.as_of(pd.Timestamp("2020-06-30")), market.as_of(LAST)
    columns = ["date", "instrument", "open", "high", "low", "close", "volume"]
    prefix = late.bars[late.bars["date"] <= early.as_of].reset_index(drop=True)
    pd.testing.assert_frame_equal(early.bars[columns], prefix[columns], check_exact=True)


def test_a_delisting_is_known_only_once_it_has_happened(market):
    ended = market.corporate_actions.query("kind == 'delisting'").iloc[0]
    paid = pd.Timestamp(ended["date"])
    before = market.as_of(market.sessions[market.sessions.get_loc(paid) - 1])
    after = market.as_of(paid)
    row = "instrument == @ended.instrument"
    assert before.instruments.query(row)["delisted"].isna().all()
    assert after.instruments.query(row)["delisted"].notna().all()
    assert "delisting" not in set(before.corporate_actions.query(row)["kind"])


def test_adjusted_prices_have_no_jump_on_split_days(known):
    adjusted = adjust_bars(known.bars, known.corporate_actions)
    move = adjusted["close"].groupby(adjusted["instrument"]).pct_change()
    splits = known.corporate_actions.query("kind == 'split'")[["date", "instrument"]]
    on_split = adjusted.assign(move=move).merge(splits, on=["date", "instrument"])
    assert on_split["move"].abs().max() < 0.25


def test_a_date_outside_the_market_names_its_bounds(market):
    with pytest.raises(MarketDataError, match="2015-01-02 to 2025-12-31"):
        market.as_of(pd.Timestamp("2030-01-02"))


def place_of_close(known):
    """A simple score that sees the hidden signal: where the last five closes lay within their bars."""
    adjusted = adjust_bars(known.bars, known.corporate_actions)
    wide = {
        name: adjusted.pivot(index="date", columns="instrument", values=name)
        for name in ("open", "high", "low", "close")
    }
    score = -((wide["close"] - wide["low"]) / (wide["high"] - wide["low"])).rolling(5).mean()
    label = wide["open"].shift(-2) / wide["open"].shift(-1) - 1
    index = ["datetime", "instrument"]
    return (frame.stack().rename_axis(index) for frame in (score, label))


def test_the_signal_can_be_learned_and_no_signal_cannot(known):
    coefficients = information_coefficients(*place_of_close(known))["rank_ic"]
    assert 0.02 < coefficients.mean() < 0.08
    null = generate_market(SimulatedMarketParameters(signal=0.0)).as_of(LAST)
    without = information_coefficients(*place_of_close(null))["rank_ic"].dropna()
    assert abs(without.mean() / without.std() * np.sqrt(len(without))) < 3


def test_a_shuffled_label_has_no_information(known):
    score, label = place_of_close(known)
    shuffled = pd.Series(np.random.default_rng(1).permutation(label.to_numpy()), index=label.index)
    coefficients = information_coefficients(score, shuffled)["rank_ic"].dropna()
    assert abs(coefficients.mean() / coefficients.std() * np.sqrt(len(coefficients))) < 3


def test_the_index_falls_with_a_bankruptcy_by_its_weight():
    parameters = SimulatedMarketParameters(
        seed=29, n_instruments=2, start="2022-01-03", end="2023-12-29", ended_per_year=0.6, listed_late=0, halt_rate=0
    )
    market = generate_market(parameters)
    (end,) = market.corporate_actions.query("kind == 'delisting'").to_dict("records")
    closes = market.bars.pivot(index="date", columns="instrument", values="close").reindex(market.sessions)
    broken, other = closes[end["instrument"]], closes.drop(columns=end["instrument"]).squeeze()
    index = market.benchmark.set_index("date")["total_return_close"]
    day = market.sessions.get_loc(end["date"])
    before, after = slice(day - 2, day), slice(day - 1, day + 1)
    lost, moved, whole = (series.iloc[before].pct_change().iloc[-1] for series in (broken, other, index))
    weight = (whole - moved) / (lost - moved) * (1 + lost) / (1 + whole)
    residual = end["value"] / broken.iloc[day - 1]
    assert residual == pytest.approx(0.3, abs=1e-3)
    expected = weight * (residual - 1) + (1 - weight) * other.iloc[after].pct_change().iloc[-1]
    assert expected < -0.2
    assert index.iloc[after].pct_change().iloc[-1] == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(("seed", "last_level"), [(1, 0.0), (2, 908.2540605769075)])
def test_an_index_of_which_nothing_is_left_stands_still(seed, last_level):
    """Both members end: the only one left by a bankruptcy that pays nothing, or by one that leaves cash."""
    parameters = SimulatedMarketParameters(
        seed=seed, n_instruments=2, start="2015-01-02", end="2022-12-31", ended_per_year=1.0, listed_late=0.5
    )
    market = generate_market(parameters)
    assert market.instruments["delisted"].notna().all()
    benchmark = market.benchmark.set_index("date")
    after = benchmark[benchmark.index > market.corporate_actions["date"].max()]
    assert len(after) > 250
    assert after["total_return_close"].unique() == pytest.approx([last_level])
    assert benchmark.notna().all(axis=None)
