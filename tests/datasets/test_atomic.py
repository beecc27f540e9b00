"""Files are complete or absent."""

import json
import os
import subprocess
import sys

import pandas as pd
import pytest

from quant_pipeline.datasets import atomic
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


SAVED_IN_ASCII = """
import locale, sys
from quant_pipeline.datasets.atomic import CsvTable, Figure, JsonDocument, TextDocument
import pandas, plotly.graph_objects
assert locale.getencoding() == "ANSI_X3.4-1968"
text = "\\N{MINUS SIGN}3.0%"
TextDocument(filepath=sys.argv[1] + "/page.html").save(text)
CsvTable(filepath=sys.argv[1] + "/table.csv", save_args={"index": False}).save(pandas.DataFrame({"a": [text]}))
Figure(filepath=sys.argv[1] + "/figure.json").save(plotly.graph_objects.Figure(layout={"title": text}))
JsonDocument(filepath=sys.argv[1] + "/document.json", save_args={"ensure_ascii": False}).save({"a": text})
"""


def test_texts_are_written_as_utf_8_in_every_locale(tmp_path):
    ascii_locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    subprocess.run(
        [sys.executable, "-c", SAVED_IN_ASCII, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **ascii_locale},
        check=True,
    )
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == "\N{MINUS SIGN}3.0%"
    for name in ("table.csv", "document.json"):
        assert "\N{MINUS SIGN}3.0%" in (tmp_path / name).read_text(encoding="utf-8")
    assert json.loads((tmp_path / "figure.json").read_text(encoding="utf-8"))["layout"]["title"]["text"]


def test_a_table_whose_twin_was_not_written_is_not_there(tmp_path, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(atomic, "write_text", killed)
    dataset = ParquetTable(filepath=str(tmp_path / "table.parquet"), csv_twin=True)
    with pytest.raises(KeyboardInterrupt):
        dataset.save(pd.DataFrame({"a": [1]}))
    assert not dataset.exists()


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
