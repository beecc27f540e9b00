"""Files are complete or absent."""

import pandas as pd
import pytest

from quant_pipeline.datasets.atomic import ParquetTable, TextDocument


class Unwritable:
    """Fails in the middle of being written."""

    def __str__(self):
        raise RuntimeError("disk full")


def test_a_failed_save_keeps_the_old_file_and_leaves_no_rest(tmp_path):
    dataset = ParquetTable(filepath=str(tmp_path / "table.parquet"))
    dataset.save(pd.DataFrame({"a": [1, 2]}))
    with pytest.raises(Exception, match=r"Parquet|convert|conversion|object"):
        dataset.save(pd.DataFrame({"a": [1, Unwritable()]}))
    assert dataset.load()["a"].tolist() == [1, 2]
    assert [file.name for file in tmp_path.iterdir()] == ["table.parquet"]


def test_saving_twice_gives_the_same_bytes(tmp_path):
    dataset = ParquetTable(filepath=str(tmp_path / "table.parquet"))
    table = pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]})
    dataset.save(table)
    first = (tmp_path / "table.parquet").read_bytes()
    dataset.save(table.copy())
    assert (tmp_path / "table.parquet").read_bytes() == first


def test_a_text_is_saved_where_the_catalog_says(tmp_path):
    dataset = TextDocument(filepath=str(tmp_path / "deep" / "page.html"))
    dataset.save("<html></html>")
    assert (tmp_path / "deep" / "page.html").read_text() == "<html></html>"
    assert dataset.load() == "<html></html>"


def test_the_preview_shows_missing_dates_and_numbers_as_nothing(tmp_path):
    dataset = ParquetTable(filepath=str(tmp_path / "table.parquet"))
    dates = pd.to_datetime(["2024-12-31", None])
    dataset.save(pd.DataFrame({"delisted": dates, "price": [1.5, float("nan")]}))
    assert dataset.preview(2) == {
        "columns": ["delisted", "price"],
        "index": [0, 1],
        "data": [["2024-12-31T00:00:00", 1.5], [None, None]],
    }
