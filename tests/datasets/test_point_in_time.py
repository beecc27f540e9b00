"""What a run sees of tables that reach further than its session."""

import numpy as np
import pandas as pd
import pytest

from quant_pipeline.datasets.panel import YearlyPanel
from quant_pipeline.datasets.point_in_time import LabelTable, PointInTimeTable, cut_at

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


@pytest.mark.parametrize("as_of", ["2024-12-29", "2024-12-31", "2025-01-01", "2025-01-03", "2026-01-02"])
@pytest.mark.parametrize("statistics", [True, False])
@pytest.mark.parametrize("kind", ["table", "panel"])
def test_of_a_table_that_reaches_further_only_known_rows_are_read(kind, statistics, as_of, tmp_path, monkeypatch):
    stored, column = panel("score").assign(name=["a", "b"] * 4), "datetime"
    stored.attrs["expression"] = "x"
    if kind == "table":
        stored, column = stored.reset_index().rename(columns={"datetime": "date"}), "date"
        stored = stored.sort_values(["instrument", "date"], ignore_index=True)
    place = {"filepath": str(tmp_path / "t.parquet"), "as_of": as_of, "column": column}
    PointInTimeTable(**place, save_args={"write_statistics": statistics, "row_group_size": 3}).save(stored)
    wanted, came = cut_at(stored, as_of, column), []
    read = pd.read_parquet

    def watched(*words, **options):
        came.append(read(*words, **options))
        return came[-1]

    monkeypatch.setattr(pd, "read_parquet", watched)
    seen = PointInTimeTable(**place).load()
    pd.testing.assert_frame_equal(seen, wanted, check_exact=True)
    assert seen.attrs == stored.attrs
    assert [len(table) for table in came] == [len(wanted)]
    if kind == "panel":
        assert [list(level) for level in seen.index.levels] == [list(level) for level in wanted.index.levels]


def test_a_file_that_is_replaced_between_its_footer_and_its_rows_tells_nothing_of_later_sessions(tmp_path, monkeypatch):
    place = {"filepath": str(tmp_path / "t.parquet"), "as_of": "2024-12-31", "column": "datetime"}
    PointInTimeTable(**place).save(panel())
    monkeypatch.setattr(PointInTimeTable, "_ends_by_session", lambda _self: True)
    assert PointInTimeTable(**place).load()["label"].tolist() == [0.0, 1.0, 2.0, 3.0]


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
