"""Every dataset of the catalog lies in a bucket as it lies in a folder."""

import json

import pandas as pd
import plotly.graph_objects as go
import pytest
import yaml
from kedro.framework.project import pipelines
from kedro.framework.startup import bootstrap_project
from kedro.io import DatasetError
from pandas.testing import assert_frame_equal

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.datasets.atomic import CsvTable, Figure, JsonDocument, ParquetTable, TextDocument
from quant_pipeline.datasets.bundle import MeasuresByVersion
from quant_pipeline.datasets.chunks import ChunkedTable
from quant_pipeline.datasets.cumulative import CumulativeTable, EarlierLog
from quant_pipeline.datasets.earlier import EarlierTables, OptionalTable, OptionalText
from quant_pipeline.datasets.factor_file import FactorFile
from quant_pipeline.datasets.ledger import LedgerEvents
from quant_pipeline.datasets.order_list import EXECUTES, OrderList
from quant_pipeline.datasets.panel import YearlyPanel
from quant_pipeline.datasets.point_in_time import LabelTable, PointInTimeTable
from quant_pipeline.datasets.score_file import ScoreFile
from quant_pipeline.datasets.statements import StatementFolder
from quant_pipeline.datasets.study import OptunaStudy
from quant_pipeline.datasets.trading_desk import BrokerDesk
from quant_pipeline.project.hooks.storage import path_of
from quant_pipeline.project.opened_catalog import open_catalog
from tests.helpers.buckets import Bucket
from tests.helpers.project import PROJECT, copy_project
from tests.helpers.servers import running_s3

DAYS = pd.to_datetime(["2023-12-29", "2024-01-02", "2024-01-03"])
TABLE = pd.DataFrame({"date": DAYS, "instrument": ["A", "A", "B"], "score": [0.5, 0.25, -1.0]})
PANEL = pd.DataFrame(
    {"factor": [1.0, 2.0, 3.0]},
    index=pd.MultiIndex.from_arrays([DAYS, ["A", "A", "B"]], names=["datetime", "instrument"]),
    dtype="float32",
)
ORDERS = pd.DataFrame({"instrument": ["A"], "decided_on": ["2024-01-02"], "executes_on": ["2024-01-03"]})
ORDERS.attrs[EXECUTES] = "2024-01-03"
AS_OF = {"as_of": "2024-01-03"}
SAVED = {
    "parquet": (lambda at: ParquetTable(filepath=f"{at}/t.parquet", csv_twin=True), TABLE),
    "optional table": (lambda at: OptionalTable(filepath=f"{at}/t.parquet"), TABLE),
    "point in time": (lambda at: PointInTimeTable(filepath=f"{at}/t.parquet", **AS_OF), TABLE),
    "labels": (
        lambda at: LabelTable(filepath=f"{at}/t.parquet", column="datetime", **AS_OF),
        PANEL.rename(columns={"factor": "label"}),
    ),
    "log": (lambda at: CumulativeTable(filepath=f"{at}/t.parquet", csv_twin=True, **AS_OF), TABLE),
    "csv": (lambda at: CsvTable(filepath=f"{at}/t.csv", save_args={"index": False}), TABLE[["instrument", "score"]]),
    "json": (lambda at: JsonDocument(filepath=f"{at}/t.json"), {"a": [1, 2]}),
    "text": (lambda at: TextDocument(filepath=f"{at}/t.html"), "<p>−3</p>"),
    "optional text": (lambda at: OptionalText(filepath=f"{at}/t.html"), "<p>−3</p>"),
    "figure": (lambda at: Figure(filepath=f"{at}/t.json"), go.Figure(layout={"title": "−3"})),
    "panel": (lambda at: YearlyPanel(f"{at}/panel"), PANEL),
    "measures": (lambda at: MeasuresByVersion(f"{at}/measures"), {"1f": {"rank_ic": 0.02}}),
    "orders": (lambda at: OrderList(f"{at}/orders", as_of="2024-01-02"), ORDERS),
}
"""What writes, and what it writes; `test_store.py` of the models has the bundles."""


@pytest.fixture(scope="module")
def s3_server():
    with running_s3() as server:
        yield server


@pytest.fixture(params=["memory", pytest.param("s3", marks=pytest.mark.slow)])
def bucket(request, tmp_path_factory, monkeypatch):
    """An empty bucket, in memory and at an S3 server."""
    if request.param == "s3":
        for name, value in request.getfixturevalue("s3_server").environment.items():
            monkeypatch.setenv(name, value)
    made = Bucket(tmp_path_factory.mktemp("machines"), monkeypatch, request.param)
    yield made
    made.remove()


def same(left, right):
    if isinstance(left, pd.DataFrame):
        assert_frame_equal(left, right, check_dtype=False)
        return
    assert left == right


@pytest.mark.parametrize("kind", SAVED)
def test_what_is_saved_in_a_bucket_is_what_would_be_saved_in_a_folder(kind, bucket, tmp_path, monkeypatch):
    make, data = SAVED[kind]
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for place in (str(tmp_path / "here"), f"{bucket.address}/there"):
        dataset = make(place)
        assert not dataset.exists() or kind == "panel"
        dataset.save(data)
        bucket.another_machine()
        assert make(place).exists()
    same(make(f"{bucket.address}/there").load(), make(str(tmp_path / "here")).load())
    assert list((tmp_path / "elsewhere").iterdir()) == [], "a bucket is no folder of this machine"
    here = sorted(str(file.relative_to(tmp_path / "here")) for file in (tmp_path / "here").rglob("*") if file.is_file())
    assert [name.removeprefix("there/") for name in bucket.names()] == here
    make(f"{bucket.address}/there").preview()


def test_saving_a_panel_again_leaves_no_year_of_the_former_one(bucket):
    YearlyPanel(bucket.address).save(PANEL)
    bucket.another_machine()
    YearlyPanel(bucket.address).save(PANEL.loc["2024"])
    bucket.another_machine()
    assert_frame_equal(YearlyPanel(bucket.address).load(), PANEL.loc["2024"])
    assert [name for name in bucket.names() if name.endswith(".parquet")] == ["2024.parquet"]


def test_rows_of_some_instruments_are_read_from_a_bucket(bucket):
    dataset = ParquetTable(filepath=f"{bucket.address}/t.parquet")
    dataset.save(TABLE)
    assert dataset.load_where("instrument", ["B"])["score"].tolist() == [-1.0]


def test_a_log_in_a_bucket_keeps_later_rows(bucket):
    where = {"filepath": f"{bucket.address}/log.parquet"}
    assert EarlierLog(**where, as_of="2024-01-02").load() is None
    CumulativeTable(**where, as_of="2024-01-03").save(TABLE)
    CumulativeTable(**where, as_of="2024-01-02").save(TABLE.head(2))
    assert_frame_equal(CumulativeTable(**where, as_of="2024-01-03").load(), TABLE)
    assert len(EarlierLog(**where, as_of="2024-01-02").load()) == 2


def test_chunks_and_sessions_are_added_to_a_bucket(bucket):
    ChunkedTable(f"{bucket.address}/chunks").save({"a/b": TABLE})
    bucket.another_machine()
    ChunkedTable(f"{bucket.address}/chunks").save({"c": TABLE.head(1)})
    chunks = ChunkedTable(f"{bucket.address}/chunks").load()
    assert {key: len(read()) for key, read in chunks.items()} == {"a/b": 3, "c": 1}
    for session in ("2024-01-02", "2024-01-03"):
        ParquetTable(filepath=f"{bucket.address}/latest/{session}.parquet").save(TABLE)
    earlier = EarlierTables(folder=f"{bucket.address}/latest", before="2024-01-03").load()
    assert list(earlier) == ["2024-01-02"]
    assert_frame_equal(earlier["2024-01-02"](), TABLE)


def test_files_that_others_bring_are_read_from_a_bucket(bucket):
    score, factor = f"{bucket.address}/scores.csv", f"{bucket.address}/factors.parquet"
    assert ScoreFile(score).load() is None
    bucket.write("scores.csv", TABLE.to_csv(index=False).encode())
    assert ScoreFile(score).load()["score"].tolist() == [0.5, 0.25, -1.0]
    bucket.write("factors.parquet", PANEL.to_parquet())
    assert_frame_equal(FactorFile(factor).load(), PANEL)
    bucket.write("statements/broker/day.csv", b"a,b")
    assert [(file.name, file.content) for file in StatementFolder(f"{bucket.address}/statements").load()] == [
        ("broker/day.csv", b"a,b")
    ]


def test_what_is_a_database_or_a_switch_says_that_a_bucket_is_none(bucket, tmp_path):
    with pytest.raises(ConfigurationError, match=r"^a ledger, which is .* cannot lie at \w+:"):
        LedgerEvents(f"{bucket.address}/ledger.sqlite")
    with pytest.raises(ConfigurationError, match=r"^the study gru cannot lie at \w+:"):
        OptunaStudy(f"{bucket.address}/study.sqlite", "gru")
    ledger = {"filepath": str(tmp_path / "ledger.sqlite")}
    with pytest.raises(ConfigurationError, match=r"^the file that stops every sender cannot lie at \w+:"):
        BrokerDesk("simulated", ledger, {"filepath": f"{bucket.address}/STOP"})


def test_a_table_that_is_not_in_the_bucket_is_not_there(bucket):
    with pytest.raises(DatasetError):
        ParquetTable(filepath=f"{bucket.address}/t.parquet").load()


def test_every_dataset_of_a_market_goes_into_the_bucket_that_the_globals_name(bucket, tmp_path, monkeypatch):
    bootstrap_project(PROJECT)
    copy = copy_project(PROJECT, tmp_path / "project").path
    settings = copy / "conf/base/globals.yml"
    named = settings.read_text().replace("market: data/markets/simulated", f"market: {bucket.address}")
    settings.write_text(named)
    assert yaml.safe_load(named)["paths"]["market"] == bucket.address
    monkeypatch.chdir(tmp_path)
    local, catalog = open_catalog(PROJECT), open_catalog(copy)
    seen = 0
    for name in sorted({name for pipeline in pipelines.values() for name in pipeline.datasets()}):
        path = path_of(name, local)
        if name.startswith("param") or name.endswith(".study") or path is None or "data/markets" not in str(path):
            continue
        described = json.loads(json.dumps(catalog.get(name)._describe(), default=str))
        address = described.get("folder") or described["filepath"]
        assert (
            address.startswith(bucket.address)
            or f"{described['protocol']}://" == bucket.address[: bucket.address.index("//") + 2]
        ), name
        seen += 1
    assert seen > 80
    assert sorted(path.name for path in tmp_path.iterdir()) == ["project"]
