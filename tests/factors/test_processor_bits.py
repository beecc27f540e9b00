"""Processors return the same bits on one core and on two, and those of pandas and of sums in the order of the rows."""

import os
import threading
import warnings

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.factors.feature_sets import TRADED
from quant_pipeline.factors.processors import (
    MAD_TO_DEVIATION,
    CrossSectionalFill,
    CrossSectionalRank,
    CrossSectionalZScore,
    FillMissing,
    Neutralise,
    ProcessorChain,
    RobustZScore,
    Winsorise,
    chain,
    fitted,
)
from quant_pipeline.factors.session_rows import SessionRows

N_SESSIONS, N_NAMES = 40, 37
COLUMNS = ["noise", "ties", "holes", "single", "empty", "equal", "tiny", "sector"]


@pytest.fixture(scope="module")
def panel():
    """Sessions of different length; columns with ties, holes, infinities, signed zeros and tiny spreads."""
    random = np.random.default_rng(5)
    days = pd.bdate_range("2024-01-02", periods=N_SESSIONS, unit="ns")
    names = pd.array([f"N{number:02d}" for number in range(N_NAMES)], dtype="str")
    index = pd.MultiIndex.from_product([days, names], names=["datetime", "instrument"])
    index = index[random.random(len(index)) < 0.8]
    size = len(index)
    columns = {
        "noise": random.normal(size=size),
        "ties": random.integers(-2, 3, size=size) * np.where(random.random(size) < 0.5, -1.0, 1.0),
        "holes": np.where(random.random(size) < 0.4, np.nan, random.normal(size=size)),
        "single": np.where(random.random(size) < 0.03, random.normal(size=size), np.inf),
        "empty": np.full(size, np.nan),
        "equal": np.full(size, 0.1),
        "tiny": random.normal(size=size) * 1e-30,
        "sector": random.integers(0, 4, size=size).astype(float),
    }
    columns["holes"][::50], columns["noise"][::70] = -np.inf, np.inf
    return pd.DataFrame(columns, index=index).astype("float32")


def ranked(column):
    ranks = column.groupby(level="datetime", sort=False).rank(pct=True)
    return ((ranks - 0.5) * np.sqrt(12.0)).astype("float32")


def filled(column, counted):
    session = column.index.codes[0]
    known = np.isfinite(column.to_numpy()) & counted
    total = np.bincount(session, np.where(known, column, 0.0))
    count = np.bincount(session, known)
    means = np.divide(total, count, out=np.zeros(len(total)), where=count > 0)
    return column.where(np.isfinite(column), means.astype("float32")[session])


def scaled(column, robust):
    session = column.index.codes[0]
    values = column.where(np.isfinite(column)).astype("float64").to_numpy()
    known = np.isfinite(values)
    if robust:
        centre = pd.Series(values).groupby(session).median().to_numpy()
        spread = pd.Series(np.abs(values - centre[session])).groupby(session).median().to_numpy() * MAD_TO_DEVIATION
    else:
        count = np.bincount(session, known)
        total = np.bincount(session, np.where(known, values, 0.0))
        centre = np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)
        gap = np.where(known, values - centre[session], 0.0)
        spread = np.sqrt(np.bincount(session, gap * gap) / np.maximum(count - 1, 1))
        spread = np.where(spread > 1e-12 * np.abs(np.nan_to_num(centre)), spread, 0.0)
    gap = values - centre[session]
    zeros = np.where(np.isnan(gap), np.nan, 0.0)
    result = np.divide(gap, spread[session], out=zeros, where=spread[session] > 0)
    return pd.Series(result.astype("float32"), index=column.index)


def assert_same_bits(found, expected):
    """Compare bit for bit; NaN is NaN."""
    left, right = np.asarray(found, dtype="float32"), np.asarray(expected, dtype="float32")
    same = (left.view("uint32") == right.view("uint32")) | (np.isnan(left) & np.isnan(right))
    assert same.all(), np.flatnonzero(~same)[:5]


@pytest.mark.parametrize("kind", ["float32", "float64"])
@pytest.mark.parametrize("column", COLUMNS)
def test_ranks_are_those_of_pandas(panel, column, kind):
    given = panel[[column]].astype(kind)
    if kind == "float64":
        given = given * np.pi
    assert_same_bits(ProcessorChain([CrossSectionalRank()]).transform(given)[column], ranked(given[column]))


@pytest.mark.parametrize("column", COLUMNS)
def test_places_are_those_of_pandas(panel, column):
    expected = panel[column].groupby(level="datetime", sort=False).rank().to_numpy()
    np.testing.assert_array_equal(SessionRows(panel.index).rank(panel[column].to_numpy()), expected)


@pytest.mark.parametrize("n", [1, 2, 15, 16, 17, 18, 300, 5000, 70_000])
def test_places_do_not_depend_on_where_values_differ(n):
    """Numbers are sorted by the first bits in which they differ, and by all where these leave too much."""
    random = np.random.default_rng(n)
    near = 1.0 + random.permutation(n) * 2.0**-52
    columns = {
        "spread": random.normal(size=n) ** 9,
        "near each other": near,
        "near but for one": np.where(np.arange(n) == n // 2, -1e300, near),
        "falling": -np.arange(n) - 2.0**40,
        "tiny": random.permutation(n) * 5e-324,
        "zeros and infinities": np.array([-np.inf, -0.0, 0.0, np.inf])[random.integers(0, 4, size=n)],
        "holes": np.where(random.random(n) < 0.3, np.nan, near),
    }
    index = pd.MultiIndex.from_product([pd.bdate_range("2024-01-02", periods=1), range(n)], names=["datetime", "id"])
    for name, values in columns.items():
        expected = pd.Series(values).rank().to_numpy()
        np.testing.assert_array_equal(SessionRows(index).rank(values), expected, err_msg=name)


@pytest.mark.parametrize("robust", [False, True])
@pytest.mark.parametrize("column", COLUMNS)
def test_scales_are_those_of_sums_in_the_order_of_the_rows(panel, column, robust):
    found = ProcessorChain([CrossSectionalZScore(robust=robust)]).transform(panel[[column]])[column]
    assert_same_bits(found, scaled(panel[column], robust))


@pytest.mark.parametrize("number", [2, 10_001, 300_000])
@pytest.mark.parametrize("value", [0.1, -1 / 3, 1e30, 7e-30])
def test_equal_values_have_no_scale_however_many_a_session_has(number, value):
    session = pd.MultiIndex.from_product(
        [pd.bdate_range("2024-01-02", periods=2), range(number)], names=["datetime", "instrument"]
    )
    values = np.full(len(session), value)
    values[number // 2] = np.nan
    table = pd.DataFrame({"equal": values, "one": values}, index=session)
    table.iloc[-1, 1] = np.nextafter(value, np.inf)
    found = ProcessorChain([CrossSectionalZScore()]).transform(table.astype("float64"))
    assert np.array_equal(np.unique(found["equal"].dropna()), [0.0])
    # What differs, by however little, keeps the bits that it has.
    assert_same_bits(found["one"].iloc[-number:], scaled(table["one"].iloc[-number:], robust=False))


@pytest.mark.parametrize("column", COLUMNS)
def test_means_that_fill_are_those_of_sums_in_the_order_of_the_rows(panel, column):
    counted = np.random.default_rng(1).random(len(panel)) < 0.9
    given = panel[[column]].assign(**{TRADED: np.where(counted, 1.0, np.nan).astype("float32")})
    found = ProcessorChain([CrossSectionalFill()]).transform(given)[column]
    assert_same_bits(found, filled(panel[column], counted))


CHAINS = {
    "learned": [Winsorise(), RobustZScore(), FillMissing()],
    "ranked": [CrossSectionalRank()],
    "scaled": [CrossSectionalFill(), CrossSectionalZScore(clip=2.0)],
    "robust": [CrossSectionalZScore(robust=True), FillMissing(value=-1.0)],
    "neutral": [Winsorise(), Neutralise(sector="sector", size="noise"), CrossSectionalRank()],
}


@pytest.mark.filterwarnings("ignore:All-NaN slice")
@pytest.mark.parametrize("steps", CHAINS.values(), ids=CHAINS)
def test_bits_do_not_depend_on_cores_or_on_the_size_of_blocks(panel, steps, monkeypatch):
    given = panel.assign(**{TRADED: np.where(np.arange(len(panel)) % 9, 1.0, np.nan).astype("float32")})
    results = []
    for cores, at_once in (({0}, 2**17), ({0, 1}, 1), ({0, 1}, 3 * len(panel))):
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid, cores=cores: cores, raising=False)
        monkeypatch.setattr(chain, "AT_ONCE", at_once)
        results.append(ProcessorChain(steps).fit_transform(given, np.arange(0, len(panel), 2)))
    for result in results:
        assert result.columns.tolist() == COLUMNS
        assert_same_bits(result, results[0])


def test_each_core_reads_what_it_learns_from(panel, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1}, raising=False)
    together, asked = threading.Barrier(2, timeout=60), []

    def read(names):
        asked.append(names)
        together.wait()  # Only two readings at the same time pass.
        return panel[names]

    ProcessorChain([RobustZScore()]).fit(read, COLUMNS[:4], at_once=4)
    assert sorted(asked) == sorted([COLUMNS[:2], COLUMNS[2:4]])


@pytest.mark.parametrize(("rows", "widths"), [(0, [20]), (500, [20]), (2**14, [8, 8, 4]), (2**21, [8, 8, 4])])
def test_few_values_are_one_task(rows, widths):
    blocks = chain._blocks(rows, 20)
    assert [block.stop - block.start for block in blocks] == widths
    assert [block.start for block in blocks] == list(range(0, 20, widths[0]))


@pytest.mark.parametrize("size", [1, 2, 7, 200])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_what_is_learned_does_not_depend_on_the_signs_of_zeros(size, share):
    signs = np.where(np.random.default_rng(size).random(size) < share, 1, -1).astype("float32")
    given = pd.DataFrame({"zeros": signs * np.float32(0)})
    steps = ProcessorChain([RobustZScore(), Winsorise()])
    for step in steps._steps:
        step.fit(lambda names: given[names], [["zeros"]])
    robust, winsorised = steps.states
    for learned in (robust["median"], winsorised["lower"], winsorised["upper"]):
        assert learned.tobytes() == np.float32([0.0]).tobytes()


def test_a_panel_of_doubles_is_neutralised_as_one_of_singles(panel):
    given = panel[["holes", "sector", "noise"]]
    steps = ProcessorChain([Neutralise(sector="sector", size="noise")])
    doubles = given.astype("float64") + np.float64(1e-12)
    doubles["sector"] = given["sector"].astype("float64")
    singles = doubles.astype("float32").assign(noise=doubles["noise"])
    assert_same_bits(steps.transform(doubles)["holes"], steps.transform(singles)["holes"])


@pytest.mark.parametrize("name", CHAINS)
def test_rows_in_any_order_have_the_values_of_sorted_ones(panel, name):
    mixed = panel.iloc[np.random.default_rng(2).permutation(len(panel))]
    fitted = ProcessorChain(CHAINS[name])
    fitted.fit_transform(panel.drop(columns="empty"))
    sorted_rows = fitted.transform(panel.drop(columns="empty"))
    found = fitted.transform(mixed.drop(columns="empty")).loc[sorted_rows.index]
    if name not in ("scaled", "neutral"):
        np.testing.assert_array_equal(found, sorted_rows)
    # Means and slopes are sums of doubles in the order of the rows: a result, which is single, may round to its
    # neighbour, and one that is zero but for the rounding of such a sum stays below that.
    np.testing.assert_allclose(found, sorted_rows, rtol=2**-23, atol=1e-12)


def every_other(random, size, first, others):
    """Numbers of which those that are looked at before a median are all equal, and the others are drawn."""
    return np.where(np.arange(size) % max(size // fitted._SOME, 1) == 0, first, random.choice(others, size))


@pytest.mark.parametrize("size", [0, 1, 2, 7, 8, 1001, 4096, 40_000, 40_001])
def test_medians_and_quantiles_are_those_of_numpy(size):
    random = np.random.default_rng(size)
    columns = {
        "noise": random.normal(size=size),
        "ties": random.integers(-2, 3, size=size) / 3,
        "holes": np.where(random.random(size) < 0.4, np.nan, random.normal(size=size)),
        "infinite": np.where(random.random(size) < 0.4, np.inf, random.normal(size=size)),
        "huge": random.uniform(-1e38, 1e38, size=size),
        "repeated": random.choice([np.nan, -1.0, 0.0, 0.0, 3.0], size),
        "halves": np.where(np.arange(size) < size // 2, -3.0, 7.0),
        "few below": every_other(random, size, -1.0, [2.0, 3.0]),
        "many below": every_other(random, size, 1.0, [-2.0, -3.0, np.nan]),
    }
    given = pd.DataFrame(columns).astype("float32")
    learned, pulled = ProcessorChain([RobustZScore()]), ProcessorChain([Winsorise()])
    with np.errstate(over="ignore"):
        for steps in (learned, pulled):
            steps.fit(lambda names: given[names], list(columns))
        with warnings.catch_warnings(action="ignore"):
            known = np.where(np.isfinite(given), given, np.float32(np.nan))
            medians = np.nanmedian(known, axis=0)
            deviations = np.nanmedian(np.abs(known - medians), axis=0) * np.float32(MAD_TO_DEVIATION)
            ends = np.nanquantile(known, [Winsorise().lower, Winsorise().upper], axis=0)
    (state,), (limits,) = learned.states, pulled.states
    assert_same_bits(limits["lower"], ends[0])
    assert_same_bits(limits["upper"], ends[1])
    assert_same_bits(state["median"], medians)
    assert_same_bits(state["deviation"], np.where(deviations > 0, deviations, np.float32(1)))


@pytest.mark.parametrize("steps", CHAINS.values(), ids=CHAINS)
def test_nullable_numbers_are_processed_as_those_of_numpy(panel, steps):
    given = panel.drop(columns="empty").assign(**{TRADED: np.float32(1)})
    nullable = given.astype("Float32")
    assert nullable["holes"].isna().any()
    assert_same_bits(ProcessorChain(steps).fit_transform(nullable), ProcessorChain(steps).fit_transform(given))
    assert_same_bits(ProcessorChain([]).transform(nullable), ProcessorChain([]).transform(given))


def test_a_panel_without_rows_or_without_factors_stays_one(panel):
    for empty in (panel.iloc[:0], panel[[]]):
        for steps in ([CrossSectionalRank(), FillMissing()], [CrossSectionalFill(), CrossSectionalZScore(robust=True)]):
            assert ProcessorChain(steps).transform(empty).shape == empty.shape
