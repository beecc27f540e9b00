"""Tables that may not be there."""

import pandas as pd
import pytest
from kedro.io.core import DatasetError

from quant_pipeline.datasets.earlier import EarlierTable, EarlierTables, OptionalTable


def test_the_newest_table_of_an_earlier_session_is_read(tmp_path):
    for session in ("2024-01-02", "2024-01-03", "2024-01-05"):
        (tmp_path / session).mkdir()
        pd.DataFrame({"session": [session]}).to_parquet(tmp_path / session / "ranking.parquet")
    (tmp_path / "backtest").mkdir()

    def read(before):
        return EarlierTable(folder=str(tmp_path), file="ranking.parquet", before=before).load()

    assert read("2024-01-05")["session"].tolist() == ["2024-01-03"]
    assert read("2024-01-08")["session"].tolist() == ["2024-01-05"]
    assert read("2024-01-02") is None


def test_an_earlier_table_is_not_written(tmp_path):
    with pytest.raises(DatasetError, match="not written again"):
        EarlierTable(folder=str(tmp_path), file="ranking.parquet", before="2024-01-05").save(pd.DataFrame())
    with pytest.raises(DatasetError, match="not written again"):
        EarlierTables(folder=str(tmp_path), before="2024-01-05").save(pd.DataFrame())


def test_a_table_of_a_stage_that_has_not_run_is_none(tmp_path):
    table = OptionalTable(filepath=str(tmp_path / "table.parquet"))
    assert table.load() is None
    table.save(pd.DataFrame({"decile": [1]}))
    assert table.load()["decile"].tolist() == [1]


def test_tables_of_all_earlier_sessions_are_read_when_they_are_asked_for(tmp_path):
    for day in ("2024-01-03", "2024-01-04", "2024-01-05"):
        pd.DataFrame({"day": [day]}).to_parquet(tmp_path / f"{day}.parquet")
    pd.DataFrame({"day": ["other"]}).to_parquet(tmp_path / "notes.parquet")
    tables = EarlierTables(folder=str(tmp_path), before="2024-01-05").load()
    assert {day: read()["day"].item() for day, read in tables.items()} == {
        "2024-01-03": "2024-01-03",
        "2024-01-04": "2024-01-04",
    }
    assert EarlierTables(folder=str(tmp_path), before="2024-01-03").load() == {}
