"""A panel in parts has the bits of the whole one, whatever a factor looks at."""

import hashlib

import numpy as np
import pandas as pd
import pytest
from kedro.io import DataCatalog
from kedro.pipeline import Node, Pipeline
from kedro.runner import SequentialRunner

from quant_pipeline.common.exceptions import FactorError, MarketDataError
from quant_pipeline.datasets.panel import YearlyPanel
from quant_pipeline.factors import panel_parts
from quant_pipeline.factors.engine import compile_factors, compute_factors
from quant_pipeline.factors.feature_sets import LIBRARIES, FeatureSet
from quant_pipeline.factors.grid import lay_out
from quant_pipeline.factors.panel_parts import PanelInParts, compute_in_parts
from quant_pipeline.pipelines.features.nodes import compute_feature_set
from quant_pipeline.pipelines.wiring import by_name
from tests.helpers.suspended_bars import SESSIONS, TODAY, same_bits, suspended_bars
from tests.helpers.user_expressions import USER_EXPRESSIONS

CALENDAR = pd.DataFrame({"date": SESSIONS})
SETS = {
    "alpha101": LIBRARIES["alpha101"],
    "alpha158": LIBRARIES["alpha158"],
    "what users write": USER_EXPRESSIONS,
}
STRETCHES = [(0, 5), (120, 130), (TODAY - 290, TODAY - 10), (TODAY - 60, TODAY - 3), (TODAY, 439)]
"""In the second, third and fourth one an instrument has no bar at all, although it had some and has some again."""


@pytest.fixture(scope="module")
def bars():
    return suspended_bars()


@pytest.fixture(scope="module", params=SETS)
def expressions(request):
    return SETS[request.param]


@pytest.fixture(scope="module")
def whole(bars, expressions):
    return compute_factors(bars, expressions, SESSIONS)


@pytest.fixture
def by_years(monkeypatch):
    monkeypatch.setattr(panel_parts, "PART_BYTES", 1)


@pytest.mark.parametrize(("first", "last"), STRETCHES)
def test_a_stretch_has_the_rows_and_bits_of_the_whole(bars, expressions, whole, first, last):
    found = compute_factors(bars, expressions, SESSIONS, start=SESSIONS[first], end=SESSIONS[last])
    days = whole.index.get_level_values("datetime")
    wanted = whole[(days >= SESSIONS[first]) & (days <= SESSIONS[last])]
    assert found.index.equals(wanted.index)
    assert same_bits(found, wanted)


@pytest.mark.parametrize(("first", "last"), STRETCHES)
def test_a_stretch_of_bars_that_are_laid_out_already_has_the_same_bits(bars, expressions, whole, first, last):
    plan = compile_factors(expressions)
    found = plan.part(lay_out(bars, SESSIONS, plan.program.fields), SESSIONS[first], SESSIONS[last])
    days = whole.index.get_level_values("datetime")
    wanted = whole[(days >= SESSIONS[first]) & (days <= SESSIONS[last])]
    assert found.index.equals(wanted.index)
    assert same_bits(found, wanted)


def test_parts_are_years_and_make_up_the_whole(bars, expressions, whole, by_years):
    parts = compute_in_parts(bars, expressions, SESSIONS)
    assert [sorted(set(part.index.levels[0].year)) for part in parts] == [[2021], [2022]]
    together = parts.whole()
    pd.testing.assert_frame_equal(together, whole)
    assert same_bits(together, whole)


def test_a_panel_that_fits_is_computed_at_once(bars, monkeypatch):
    monkeypatch.setattr(panel_parts, "PART_BYTES", 4 * len(bars))
    factor = {"factor": "$close/$open"}
    assert isinstance(compute_in_parts(bars, factor, SESSIONS), pd.DataFrame)
    assert len(compute_in_parts(bars, {**factor, "other": "$close"}, SESSIONS).stretches) == 2


def test_columns_that_are_compared_across_instruments_count_as_the_panel_does(bars, monkeypatch):
    monkeypatch.setattr(panel_parts, "PART_BYTES", 4 * len(bars))
    assert isinstance(compute_in_parts(bars, {"factor": "CSRank($close)"}, SESSIONS), PanelInParts)


def test_years_are_put_together_up_to_the_size_of_a_part(monkeypatch):
    sessions = pd.bdate_range("2015-06-01", "2021-03-01")
    bars = pd.DataFrame({"date": sessions, "instrument": "A", "close": 1.0})
    monkeypatch.setattr(panel_parts, "PART_BYTES", 4 * 540)
    parts = compute_in_parts(bars, {"factor": "$close"}, sessions)
    years = [(stretch.start.year, stretch.end.year) for stretch in parts.stretches]
    assert years == [(2015, 2016), (2017, 2018), (2019, 2020), (2021, 2021)]
    assert sum(len(part) for part in parts) == len(sessions)


@pytest.mark.parametrize(
    ("expression", "years"),
    [
        ("$close", [(2015, 2015), (2016, 2016), (2017, 2017), (2018, 2018), (2019, 2019)]),
        ("Ref($close, 50)", [(2015, 2016), (2017, 2018), (2019, 2019)]),
        ("Ref($close, 80)", [(2015, 2018), (2019, 2019)]),
        ("EMA($close, 5)", None),
        ('ChangeInstrument("A", $close)', None),
    ],
)
def test_a_panel_that_would_fit_is_cut_where_that_costs_little(monkeypatch, expression, years):
    sessions = pd.bdate_range("2015-01-01", "2019-12-31")
    bars = pd.DataFrame({"date": sessions, "instrument": "A", "close": np.arange(len(sessions), dtype=float)})
    monkeypatch.setattr(panel_parts, "WHOLE_BYTES", 8 * 300)
    parts = compute_in_parts(bars, {"factor": expression}, sessions)
    if years is None:
        assert isinstance(parts, pd.DataFrame)
        return
    assert [(stretch.start.year, stretch.end.year) for stretch in parts.stretches] == years
    assert same_bits(parts.whole(), compute_factors(bars, {"factor": expression}, sessions))


def test_what_cannot_be_computed_is_refused_before_the_first_part(bars, by_years):
    with pytest.raises(FactorError, match="looks ahead"):
        compute_in_parts(bars, {"future": "Ref($close, -1)"}, SESSIONS)


def test_a_market_without_a_session_is_refused(bars):
    with pytest.raises(MarketDataError, match="no session up to that of the run; name a later one"):
        compute_in_parts(bars.iloc[:0], {"factor": "$close"}, SESSIONS[:0])


def files_of(folder):
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}


@pytest.fixture(scope="module")
def factor_file(bars):
    index = pd.MultiIndex.from_frame(bars[["date", "instrument"]].rename(columns={"date": "datetime"}))
    return pd.DataFrame({"found": np.arange(len(bars), dtype=float)}, index=index).iloc[::2]


def test_a_run_that_computes_in_parts_writes_the_same_files(bars, factor_file, tmp_path, monkeypatch):
    noted = bars.assign()
    noted.attrs["source"] = "simulated"
    inputs = {"adjusted_bars": noted, "sessions": CALENDAR, "factor_file": factor_file}
    inputs["feature_set"] = FeatureSet(library="alpha158", file="others", file_factors=["found"])
    node = Node(compute_feature_set, by_name(*inputs), "features")

    def run(folder):
        catalog = DataCatalog({"features": YearlyPanel(str(folder))})
        for name, value in inputs.items():
            catalog[name] = value
        SequentialRunner().run(Pipeline([node]), catalog)
        return files_of(folder)

    at_once = run(tmp_path / "at_once")
    monkeypatch.setattr(panel_parts, "PART_BYTES", 1)
    assert run(tmp_path / "in_parts") == at_once
    assert sorted(at_once) == ["2021.parquet", "2022.parquet", "_manifest.json"]
