"""What a run sees of tables that reach further than its session."""

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.datasets.panel import YearlyPanel
from quant_pipeline.datasets.point_in_time import LabelTable, PointInTimeTable

DAYS = pd.DatetimeIndex(["2024-12-30", "2024-12-31", "2025-01-02", "2025-01-03"])


def panel(column="label"):
    index = pd.MultiIndex.from_product([DAYS, ["AAA", "BBB"]], names=["datetime", "instrument"])
    return pd.DataFrame({column: np.arange(8.0)}, index=index)


def test_rows_after_the_session_are_left_out(tmp_path):
    stored = pd.DataFrame({"date": DAYS, "close": [1.0, 2.0, 3.0, 4.0]}).astype({"date": "datetime64[ns]"})
    PointInTimeTable(filepath=str(tmp_path / "bars.parquet"), as_of="2024-12-31").save(stored)
    seen = PointInTimeTable(filepath=str(tmp_path / "bars.parquet"), as_of="2024-12-31").load()
    assert seen["close"].tolist() == [1.0, 2.0]
    whole = PointInTimeTable(filepath=str(tmp_path / "bars.parquet"), as_of="2025-01-03").load()
    pd.testing.assert_frame_equal(whole, stored)


def test_a_panel_knows_no_session_and_no_instrument_that_came_later(tmp_path):
    later = panel("score").drop(index=[(DAYS[0], "BBB"), (DAYS[1], "BBB")])
    YearlyPanel(str(tmp_path)).save(later)
    seen = YearlyPanel(str(tmp_path), as_of="2024-12-31").load()
    assert seen["score"].tolist() == [0.0, 2.0]
    assert list(seen.index.levels[1]) == ["AAA"]
    assert len(YearlyPanel(str(tmp_path)).load()) == 6


@pytest.mark.parametrize(
    ("expression", "known"),
    [("Ref($open, -2)/Ref($open, -1)-1", 2), ("Ref($open, -3)/Ref($open, -1)-1", 0), ("", 0)],
)
def test_labels_that_are_realised_later_are_missing(tmp_path, expression, known):
    stored = panel()
    stored.attrs["expression"] = expression
    LabelTable(filepath=str(tmp_path / "labels.parquet"), as_of="2025-01-03", column="datetime").save(stored)
    seen = LabelTable(filepath=str(tmp_path / "labels.parquet"), as_of="2025-01-02", column="datetime").load()
    assert len(seen) == 6
    assert seen["label"].notna().sum() == known
    assert seen.attrs["expression"] == expression
