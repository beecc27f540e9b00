"""A panel year by year."""

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.datasets.panel import YearlyPanel
from quant_pipeline.exceptions import MarketDataError


def panel(sessions):
    index = pd.MultiIndex.from_product([pd.DatetimeIndex(sessions), ["AAA", "BBB"]], names=["datetime", "instrument"])
    return pd.DataFrame({"factor": np.arange(len(index), dtype="float32")}, index=index)


def test_round_trip_keeps_index_and_dtype(tmp_path):
    dataset = YearlyPanel(str(tmp_path))
    written = panel(["2019-12-31", "2020-01-02", "2021-01-04"])
    dataset.save(written)
    pd.testing.assert_frame_equal(dataset.load(), written)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["2019.parquet", "2020.parquet", "2021.parquet"]


def test_appending_a_session_rewrites_its_year_only(tmp_path):
    dataset = YearlyPanel(str(tmp_path))
    dataset.save(panel(["2019-12-31", "2020-01-02"]))
    before = (tmp_path / "2019.parquet").stat().st_mtime_ns
    dataset.save(panel(["2019-12-31", "2020-01-02", "2020-01-03"]))
    assert (tmp_path / "2019.parquet").stat().st_mtime_ns == before
    assert len(dataset.load()) == 6


def test_a_year_that_disappears_is_removed(tmp_path):
    dataset = YearlyPanel(str(tmp_path))
    dataset.save(panel(["2019-12-31", "2020-01-02"]))
    dataset.save(panel(["2020-01-02"]))
    assert [file.name for file in tmp_path.iterdir()] == ["2020.parquet"]


def test_an_absent_panel_says_which_stage_writes_it(tmp_path):
    dataset = YearlyPanel(str(tmp_path))
    assert not dataset.exists()
    with pytest.raises(Exception, match="--pipelines features") as failure:
        dataset.load()
    assert isinstance(failure.value.__cause__ or failure.value, MarketDataError)
