"""Alpha101 against the printed formulas evaluated by other means, and against what it must not depend on."""

import warnings

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.factors.alpha101 import EXPRESSIONS
from quant_pipeline.factors.engine import compile_factors, compute_factors
from quant_pipeline.factors.expression.traded_fields import columns_of
from tests.helpers.paper_alphas import Paper, read_formulas

SESSIONS, INSTRUMENTS = 290, 12
REACH = 252
"""Sessions that the longest formula depends on, the newest one included."""
DAYS = pd.bdate_range("2020-01-06", periods=SESSIONS)
NAMES = [f"I{number:02d}" for number in range(INSTRUMENTS)]
SECTORS = pd.Series(np.arange(INSTRUMENTS) % 3, index=NAMES)

DECIDED_BY_THE_LAST_BIT = {13, 15, 16, 31, 68, 75, 76, 85, 94, 96, 97, 98}
"""These rank sums or correlations of few ranks: values equal on paper, of which rounding makes an order."""

PRICES_NEUTRALISED = {58, 59, 63, 67, 69, 70, 76, 79, 80, 82, 89, 91, 93, 97}
"""These take the sector's mean of a price away and look at the rest over time: it depends on the base of the price."""


def wide_fields():
    """Return random bars as wide frames, in numbers that float32 holds."""
    random = np.random.default_rng(1)
    shape = (SESSIONS, INSTRUMENTS)
    # Prices near each other that overtake each other daily, or ranks would stand still.
    close = 100 * np.exp(np.cumsum(random.normal(0, 0.005, shape), axis=0) + random.normal(0, 0.05, shape))
    opening = close * np.exp(random.normal(0, 0.01, shape))
    high = np.maximum(close, opening) * np.exp(np.abs(random.normal(0, 0.01, shape)))
    low = np.minimum(close, opening) * np.exp(-np.abs(random.normal(0, 0.01, shape)))
    volume = np.exp(random.normal(12, 0.5, shape))
    fields = {"open": opening, "high": high, "low": low, "close": close, "volume": volume}
    fields["vwap"] = (high + low + close) / 3
    return {
        name: pd.DataFrame(values.astype("float32").astype("float64"), index=DAYS, columns=NAMES)
        for name, values in fields.items()
    }


def as_bars(fields, factor=1.0):
    """Return the frames as adjusted bars, with another base of the adjustment when asked for."""
    base = pd.Series(factor, index=NAMES, dtype="float64")
    scaled = {name: frame / base if name == "volume" else frame * base for name, frame in fields.items()}
    scaled["factor"] = fields["close"] * 0 + base
    scaled["sector"] = fields["close"] * 0 + SECTORS
    long = pd.DataFrame({name: frame.T.stack() for name, frame in scaled.items()})
    return long.rename_axis(["instrument", "date"]).reset_index()


@pytest.fixture(scope="module")
def fields():
    return wide_fields()


@pytest.fixture(scope="module")
def alphas(fields):
    return compute_factors(as_bars(fields), EXPRESSIONS, DAYS)


@pytest.fixture(scope="module")
def paper(fields):
    frames = dict(fields)
    frames["returns"] = frames["close"] / frames["close"].shift(1) - 1
    frames["traded"] = frames["vwap"] * frames["volume"]
    return Paper(frames, SECTORS)


def differing_share(ours, theirs):
    close = np.isclose(ours, theirs, rtol=1e-3, atol=1e-5) | (np.isnan(ours) & np.isnan(theirs))
    return 1 - close.mean()


@pytest.mark.parametrize(("number", "formula"), read_formulas().items())
def test_the_formula_means_what_the_paper_prints(alphas, paper, number, formula):
    ours = alphas[f"ALPHA{number:03d}"].unstack().to_numpy(dtype="float64")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        theirs = paper.alpha(formula).to_numpy(dtype="float64")
    # Before the windows are full, Qlib's weighted mean divides by what it has.
    ours, theirs = ours[REACH:], theirs[REACH:]
    assert np.isfinite(theirs).mean() > 0.5
    assert np.array_equal(np.isnan(ours), np.isnan(theirs))
    assert differing_share(ours, theirs) <= (0.2 if number in DECIDED_BY_THE_LAST_BIT else 0.005)


def test_there_are_101_and_the_compiled_program_knows_how_far_they_look_back():
    assert list(EXPRESSIONS) == [f"ALPHA{number:03d}" for number in range(1, 102)]
    assert compile_factors(EXPRESSIONS).program.back + 1 == REACH


def test_every_field_is_one_that_adjusted_bars_have():
    columns = columns_of(compile_factors(EXPRESSIONS).program.fields)
    assert set(columns) <= {"open", "high", "low", "close", "vwap", "volume", "factor", "sector"}


def test_no_formula_depends_on_where_the_adjustment_starts_but_those_that_neutralise_prices(fields, alphas):
    # Powers of two: float32 scales exactly, so that what is left of a difference is not rounding.
    other = compute_factors(as_bars(fields, 2.0 ** (np.arange(INSTRUMENTS) % 5 - 2)), EXPRESSIONS, DAYS)
    moved = set()
    for number in range(1, 102):
        name = f"ALPHA{number:03d}"
        if differing_share(other[name].to_numpy()[-400:], alphas[name].to_numpy()[-400:]) > 0.01:
            moved.add(number)
    assert moved == PRICES_NEUTRALISED


def test_a_poisoned_future_changes_nothing_before_it_by_one_bit(fields, alphas):
    cut = DAYS[270]
    random = np.random.default_rng(2)
    poisoned = {name: frame.copy() for name, frame in fields.items()}
    for frame in poisoned.values():
        frame.loc[frame.index > cut] *= random.uniform(0.3, 3.0, size=(SESSIONS - 271, INSTRUMENTS))
    after = compute_factors(as_bars(poisoned), EXPRESSIONS, DAYS)
    pd.testing.assert_frame_equal(after.loc[:cut], alphas.loc[:cut], check_exact=True)
    changed = (after.loc[DAYS[275] :] != alphas.loc[DAYS[275] :]).any()
    assert changed.mean() > 0.9


def test_the_newest_session_needs_its_reach_and_no_more(fields, alphas):
    recent = {name: frame.iloc[-REACH:] for name, frame in fields.items()}
    newest = compute_factors(as_bars(recent), EXPRESSIONS, DAYS[-REACH:], start=DAYS[-1])
    pd.testing.assert_frame_equal(newest, alphas.loc[[DAYS[-1]]], check_exact=True)
    shorter = {name: frame.iloc[1 - REACH :] for name, frame in fields.items()}
    too_short = compute_factors(as_bars(shorter), EXPRESSIONS, DAYS[1 - REACH :], start=DAYS[-1])
    assert not too_short.equals(newest)
