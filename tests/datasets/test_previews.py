"""What kedro-viz shows of each kind of dataset; it draws nothing of a type that it does not know."""

import inspect
import json
from pathlib import Path

import pandas as pd
import pytest
from kedro_datasets._typing import HTMLPreview, ImagePreview, JSONPreview, PlotlyPreview, TablePreview

from quant_pipeline.datasets.atomic import ParquetTable, TextDocument
from quant_pipeline.datasets.chunks import ChunkedTable
from quant_pipeline.datasets.earlier import EarlierTable, EarlierTables, OptionalTable, OptionalText
from quant_pipeline.datasets.ledger import LedgerEvents
from quant_pipeline.datasets.market import Market
from quant_pipeline.datasets.panel import YearlyPanel
from quant_pipeline.datasets.qlib_provider import QlibProvider
from quant_pipeline.datasets.score_file import ScoreFile
from quant_pipeline.datasets.statements import StatementFolder
from quant_pipeline.datasets.study import OptunaStudy
from quant_pipeline.datasets.trading_desk import BrokerDesk
from tests.helpers.dataset_kinds import KINDS

KNOWN = {kind.__name__ for kind in (HTMLPreview, ImagePreview, JSONPreview, PlotlyPreview, TablePreview)}
NOTHING_TO_SHOW = {Market, QlibProvider, StatementFolder, BrokerDesk}
"""Doors to folders of others and to brokers."""
SHOWN = [kind for kind in KINDS if "preview" in vars(kind)]


@pytest.mark.parametrize("kind", SHOWN, ids=lambda kind: kind.__name__)
def test_every_preview_has_a_type_that_kedro_viz_draws(kind):
    returned = inspect.signature(kind.preview).return_annotation
    assert getattr(returned, "__name__", returned) in KNOWN


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_dataset_has_a_preview_or_holds_nothing_to_show(kind):
    assert hasattr(kind, "preview") or kind in NOTHING_TO_SHOW


def test_a_panel_shows_session_and_instrument(tmp_path):
    index = pd.MultiIndex.from_product([pd.to_datetime(["2024-01-02"]), ["A", "B"]], names=["datetime", "instrument"])
    panel = YearlyPanel(str(tmp_path / "panel"))
    panel.save(pd.DataFrame({"signal": pd.array([0.5, None], dtype="float32")}, index=index))
    shown = panel.preview(nrows=2)
    assert shown["columns"] == ["datetime", "instrument", "signal"]
    assert [row[1:] for row in shown["data"]] == [["A", 0.5], ["B", None]]


def test_a_page_shows_its_words_without_scripts_and_styles(tmp_path):
    page = TextDocument(filepath=str(tmp_path / "page.html"))
    page.save(
        "<html><head><style>b {}</style></head><body><h1>Report</h1><script>draw()</script><td>1</td></body></html>"
    )
    assert page.preview() == "<html><body><h1>Report</h1><td>1</td></body></html>"
    text = TextDocument(filepath=str(tmp_path / "summary.txt"))
    text.save("a < b")
    assert text.preview() == "<pre>a &lt; b</pre>"


def test_what_holds_nothing_shows_nothing_and_fails_nothing(tmp_path):
    assert OptionalTable(filepath=str(tmp_path / "table.parquet")).preview()["data"] == []
    assert OptionalText(filepath=str(tmp_path / "text.txt")).preview() == ""
    assert EarlierTables(folder=str(tmp_path), before="2025-01-02").preview()["data"] == []
    assert EarlierTable(folder=str(tmp_path), file="x.parquet", before="2025-01-02").preview()["data"] == []
    assert OptunaStudy(str(tmp_path / "study.sqlite"), "x").preview()["data"] == []
    assert ScoreFile(str(tmp_path / "scores.csv")).preview()["columns"] == ["date", "instrument", "score"]
    assert ChunkedTable(str(tmp_path / "chunks")).preview()["data"] == []
    assert LedgerEvents(str(tmp_path / "ledger.sqlite")).preview()["data"] == []


def test_a_table_with_a_missing_date_can_be_shown(tmp_path):
    table = ParquetTable(filepath=str(Path(tmp_path, "table.parquet")))
    table.save(pd.DataFrame({"delisted": pd.to_datetime([None, "2024-01-02"])}))
    assert json.dumps(table.preview(nrows=2)["data"]) == '[[null], ["2024-01-02T00:00:00"]]'
