"""Logs that grow are one file; a run sees, writes and asks for its own part of it."""

import pandas as pd
import pytest

from quant_pipeline.datasets.cumulative import CumulativeTable, EarlierLog


def log_until(*days, value=1.0):
    return pd.DataFrame({"date": pd.to_datetime(days), "nav": value})


@pytest.fixture
def log_of(tmp_path):
    return lambda as_of: CumulativeTable(filepath=str(tmp_path / "log.parquet"), as_of=as_of, csv_twin=True)


def dates(log):
    return log.load()["date"].dt.strftime("%m-%d").tolist()


def test_the_log_grows_in_one_file_with_a_twin_to_open(log_of, tmp_path):
    log_of("2025-01-02").save(log_until("2025-01-02"))
    log_of("2025-01-03").save(log_until("2025-01-02", "2025-01-03"))
    assert dates(log_of("2025-01-03")) == ["01-02", "01-03"]
    assert dates(log_of("2025-01-02")) == ["01-02"]
    assert {file.name for file in tmp_path.iterdir()} == {"log.parquet", "log.csv"}
    assert (tmp_path / "log.csv").read_text() == "date,nav\n2025-01-02,1.0\n2025-01-03,1.0\n"


def test_an_earlier_session_again_replaces_its_rows_and_keeps_the_later_ones(log_of):
    log_of("2025-01-03").save(log_until("2025-01-02", "2025-01-03"))
    log_of("2025-01-02").save(log_until("2025-01-02", value=7.0))
    assert log_of("2025-01-03").load()["nav"].tolist() == [7.0, 1.0]
    assert log_of("2025-01-03").exists()


def test_the_log_is_missing_until_it_reaches_the_session_of_the_run(log_of):
    assert not log_of("2025-01-02").exists()
    log_of("2025-01-02").save(log_until())
    assert log_of("2025-01-02").exists()
    assert not log_of("2025-01-03").exists()


def test_log_that_is_continued_is_none_before_the_first_run(tmp_path):
    place = str(tmp_path / "log.parquet")
    assert EarlierLog(filepath=place, as_of="2024-01-03").load() is None
    CumulativeTable(filepath=place, as_of="2024-01-03").save(pd.DataFrame({"date": pd.to_datetime(["2024-01-03"])}))
    assert len(EarlierLog(filepath=place, as_of="2024-01-03").load()) == 1
