"""Every dataset of the catalog lies in a bucket as it lies in a folder."""

import json
import sys
from importlib import import_module
from pathlib import Path

import pandas as pd
import plotly.graph_objects as go
import pytest
import yaml
from kedro.framework.project import pipelines
from kedro.framework.startup import bootstrap_project
from kedro.io import DatasetError
from kedro_datasets.matplotlib import MatplotlibDataset
from pandas.testing import assert_frame_equal

from quant_pipeline.common.exceptions import ConfigurationError
from quant_pipeline.common.places import MIRROR, Place
from quant_pipeline.common.storage_errors import KnownErrorsInOneLine
from quant_pipeline.datasets.atomic import CsvTable, Figure, JsonDocument, ParquetTable, TextDocument, _with_every_name
from quant_pipeline.datasets.bundle import BundlesByWindow, Champions, MeasuresByVersion, ModelBundles
from quant_pipeline.datasets.chunks import ChunkedTable
from quant_pipeline.datasets.cumulative import CumulativeTable, EarlierLog
from quant_pipeline.datasets.earlier import EarlierTable, EarlierTables, OptionalTable, OptionalText
from quant_pipeline.datasets.factor_file import FactorFile
from quant_pipeline.datasets.ledger import LedgerEvents
from quant_pipeline.datasets.market import Market
from quant_pipeline.datasets.market_table import MarketTable
from quant_pipeline.datasets.order_list import EXECUTES, OrderList
from quant_pipeline.datasets.panel import YearlyPanel
from quant_pipeline.datasets.point_in_time import LabelTable, PointInTimeTable
from quant_pipeline.datasets.qlib_provider import QlibProvider
from quant_pipeline.datasets.score_file import ScoreFile
from quant_pipeline.datasets.statements import StatementFolder
from quant_pipeline.datasets.study import OptunaStudy
from quant_pipeline.datasets.trading_desk import BrokerDesk
from quant_pipeline.models.tuning import model_of
from quant_pipeline.project.hooks.storage import path_of
from quant_pipeline.project.opened_catalog import open_catalog
from tests.helpers.buckets import Bucket
from tests.helpers.dataset_kinds import KINDS
from tests.helpers.few_bars import bars
from tests.helpers.project import PROJECT, copy_project
from tests.helpers.servers import running_postgres, running_s3

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
PROVIDER = {
    "adjusted_bars": bars([10.0, 11.0, 12.0], days=DAYS).assign(vwap=10.5, factor=1.0),
    "sessions": pd.DataFrame({"date": DAYS}),
}


def picture():
    """Return a figure; pictures of the same figure have the same bytes."""
    from matplotlib.figure import Figure as Drawing

    drawing = Drawing()
    drawing.subplots().plot([1, 2])
    return drawing


SAVED = {
    "parquet": (lambda at: ParquetTable(filepath=f"{at}/t.parquet", csv_twin=True), TABLE),
    "optional table": (lambda at: OptionalTable(filepath=f"{at}/t.parquet"), TABLE),
    "point in time": (lambda at: PointInTimeTable(filepath=f"{at}/t.parquet", **AS_OF), TABLE),
    "labels": (
        lambda at: LabelTable(filepath=f"{at}/t.parquet", column="datetime", **AS_OF),
        PANEL.rename(columns={"factor": "label"}),
    ),
    "market table": (lambda at: MarketTable(filepath=f"{at}/t.parquet", **AS_OF), TABLE),
    "log": (lambda at: CumulativeTable(filepath=f"{at}/t.parquet", csv_twin=True, **AS_OF), TABLE),
    "csv": (lambda at: CsvTable(filepath=f"{at}/t.csv", save_args={"index": False}), TABLE[["instrument", "score"]]),
    "json": (lambda at: JsonDocument(filepath=f"{at}/t.json"), {"a": [1, 2]}),
    "text": (lambda at: TextDocument(filepath=f"{at}/t.html"), "<p>−3</p>"),
    "optional text": (lambda at: OptionalText(filepath=f"{at}/t.html"), "<p>−3</p>"),
    "figure": (lambda at: Figure(filepath=f"{at}/t.json"), go.Figure(layout={"title": "−3"})),
    "picture": (lambda at: MatplotlibDataset(filepath=f"{at}/t.png", save_args={"metadata": {}}), picture()),
    "qlib": (lambda at: QlibProvider(f"{at}/qlib"), PROVIDER),
    "panel": (lambda at: YearlyPanel(f"{at}/panel"), PANEL),
    "measures": (lambda at: MeasuresByVersion(f"{at}/measures"), {"1f": {"rank_ic": 0.02}}),
    "orders": (lambda at: OrderList(f"{at}/orders", as_of="2024-01-02"), ORDERS),
}
"""What writes, and what it writes."""
READ = {ChunkedTable, EarlierLog, EarlierTable, EarlierTables, FactorFile, ScoreFile, StatementFolder}
"""What is read from a bucket in tests of its own here."""
BUNDLES = {BundlesByWindow, Champions, ModelBundles}
"""What `test_store.py` of the models keeps in a bucket."""
NO_FILES = {LedgerEvents, BrokerDesk, OptunaStudy, Market}
"""Databases, brokers and sources."""


@pytest.fixture(scope="module")
def s3_server():
    with running_s3() as server:
        yield server


@pytest.fixture(params=["memory", "s3"])
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
    if isinstance(left, Path):
        left, right = contents(left), contents(right)
    assert left == right


def contents(folder):
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_no_kind_of_dataset_is_left_out():
    saved = {type(make("a")) for make, _ in SAVED.values()}
    assert {*KINDS} - saved - READ - BUNDLES == NO_FILES


@pytest.mark.parametrize("kind", SAVED)
def test_what_is_saved_in_a_bucket_is_what_would_be_saved_in_a_folder(kind, bucket, tmp_path, monkeypatch):
    make, data = SAVED[kind]
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for place in (str(tmp_path / "here"), f"{bucket.address}/there"):
        dataset = make(place)
        # A panel is written again in any case.
        assert not dataset.exists() or isinstance(dataset, YearlyPanel)
        dataset.save(data)
        bucket.another_machine()
        assert make(place).exists()
    there, here = make(f"{bucket.address}/there"), make(str(tmp_path / "here"))
    if is_read(there):
        same(there.load(), here.load())
    assert list((tmp_path / "elsewhere").iterdir()) == [], "a bucket is no folder of this machine"
    written = {name.removeprefix("there/"): bucket.read(name) for name in bucket.names()}
    wanted = contents(tmp_path / "here")
    assert written == wanted if not isinstance(there, YearlyPanel) else written.keys() == wanted.keys()
    if hasattr(there, "preview") and is_read(there):
        there.preview()


def is_read(dataset):
    """Return whether a dataset can be loaded; pictures are only written."""
    return not isinstance(dataset, MatplotlibDataset)


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
    bucket.write("books/2024-01-02/fills.parquet", TABLE.to_parquet())
    folders = {"folder": f"{bucket.address}/books", "file": "fills.parquet"}
    assert_frame_equal(EarlierTable(**folders, before="2024-01-03").load(), TABLE)
    assert EarlierTable(**folders, before="2024-01-02").load() is None
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


NOT_HERE = ["s3://desk/file", "memory://desk/file", "nowhere://desk/file", "mysqll://desk/file"]


@pytest.mark.parametrize("address", NOT_HERE)
def test_what_is_a_database_or_a_switch_says_that_an_address_is_none(address, tmp_path):
    ledger = {"filepath": str(tmp_path / "ledger.sqlite")}
    with pytest.raises(ConfigurationError, match=r"^a ledger, which is .* cannot lie at \w+.*file: (it needs|SQLAlch)"):
        LedgerEvents(address)
    with pytest.raises(ConfigurationError, match=r"^a ledger, which is .* cannot lie at \w+"):
        BrokerDesk("simulated", {"filepath": address}, {"filepath": str(tmp_path / "STOP")})
    with pytest.raises(ConfigurationError, match=r"^the study gru, which is .* cannot lie at \w+"):
        OptunaStudy(address, "gru")
    with pytest.raises(ConfigurationError, match=r"^the file that stops every sender cannot lie at \w+"):
        BrokerDesk("simulated", ledger, {"filepath": address})
    with pytest.raises(ConfigurationError, match=r"^the file that knows how far a ledger went cannot lie at \w+"):
        LedgerEvents("postgresql+psycopg://desk/ledger", {"filepath": address})
    for source, key in (("files", "folder"), ("qlib", "provider_uri")):
        with pytest.raises(ConfigurationError, match=rf"^`{key}` cannot lie at \w+"):
            Market(source, "2024-01-03", {key: address})


@pytest.mark.parametrize("address", ["nowhere://desk/t", "postgresql+psycopg://desk:secret@host/t"])
@pytest.mark.parametrize("make", [YearlyPanel, ScoreFile, ChunkedTable, lambda at: ParquetTable(filepath=at)])
def test_a_place_of_files_is_no_database_and_has_a_protocol_that_is_known(make, address, monkeypatch, tmp_path):
    monkeypatch.setenv(MIRROR, str(tmp_path))
    with pytest.raises(ConfigurationError, match="no file system has the protocol") as refused, KnownErrorsInOneLine():
        make(address).load()
    assert "secret" not in refused.value.message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("make", [YearlyPanel, lambda at: ParquetTable(filepath=at)])
def test_a_bucket_of_google_names_the_library_that_it_needs(make, monkeypatch):
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(ConfigurationError, match=r"pip install gcsfs"), KnownErrorsInOneLine():
        make("gs://desk/t").load()


def test_a_bucket_of_google_is_given_to_its_library(monkeypatch, tmp_path):
    """The library stands for itself: its file system is a bucket in memory."""
    from fsspec.implementations.memory import MemoryFileSystem

    class OfGoogle(MemoryFileSystem):
        protocol = ("gs", "gcs")
        store, pseudo_dirs = {}, [""]

        @classmethod
        def _strip_protocol(cls, path):
            return MemoryFileSystem._strip_protocol(str(path).replace("gs://", "memory://"))

    monkeypatch.setitem(import_module("fsspec.registry")._registry, "gs", OfGoogle)
    monkeypatch.setenv(MIRROR, str(tmp_path / "one"))
    YearlyPanel("gs://desk/panel").save(PANEL)
    ParquetTable(filepath="gs://desk/t.parquet").save(TABLE)
    monkeypatch.setenv(MIRROR, str(tmp_path / "other"))
    assert_frame_equal(YearlyPanel("gs://desk/panel").load(), PANEL)
    assert_frame_equal(ParquetTable(filepath="gs://desk/t.parquet").load(), TABLE)
    assert [name for name in OfGoogle.store if name.endswith("t.parquet")] == ["/desk/t.parquet"]


def test_the_study_of_a_market_in_a_bucket_lies_with_the_account(tmp_path, caplog):
    file = tmp_path / "06_models" / "gru" / "study.sqlite"
    dataset = OptunaStudy("s3://desk/06_models/gru/study.sqlite", "gru", "us", {"filepath": str(file)})
    assert not dataset.exists()
    with caplog.at_level("INFO"):
        study = dataset.load()
    study.tell(study.ask(), 0.5)
    assert f"The study gru lies in {file}" in caplog.text
    assert OptunaStudy(str(file), "gru").load().best_value == 0.5


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def database(request, tmp_path):
    """Return the URL of an empty database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/studies.db"
        return
    with running_postgres() as url:
        yield url


def test_studies_of_several_markets_lie_in_the_database_that_their_address_names(database):
    us, cn = (OptunaStudy(database, "gru", market) for market in ("us", "cn"))
    assert not us.exists()
    study = us.load()
    study.tell(study.ask(), 0.5)
    assert us.exists()
    assert (model_of(study), study.study_name) == ("gru", "us/gru")
    assert cn.load().trials == []
    assert us.load().best_value == 0.5


def test_the_password_of_a_study_is_never_shown():
    secret = OptunaStudy("postgresql+psycopg://desk:secret@host/studies", "gru")
    assert secret._describe() == {"filepath": "postgresql+psycopg://desk:***@host/studies", "name": "gru"}


def test_a_study_lies_in_the_file_that_is_named_whatever_signs_its_name_has(tmp_path):
    files = [tmp_path / name / "study.sqlite" for name in ("acc?1", "acc?2", "a%20b", "a#b", "{a}")]
    for number, file in enumerate(files):
        OptunaStudy(str(file), "gru").load().optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=number)
    assert [len(OptunaStudy(str(file), "gru").load().trials) for file in files] == [0, 1, 2, 3, 4]
    assert all(file.is_file() for file in files)


def test_the_name_of_a_database_of_studies_may_have_braces(tmp_path):
    dataset = OptunaStudy(f"sqlite:///{tmp_path}/{{a}}.db", "gru", "us")
    assert (dataset.load().trials, dataset.exists()) == ([], True)
    assert [file.name for file in tmp_path.iterdir()] == ["{a}.db"]


def test_a_study_that_nothing_would_keep_and_one_without_a_file_are_refused(tmp_path):
    with pytest.raises(ConfigurationError, match=r"^the study gru, which .* cannot lie at sqlite://: it would be kept"):
        OptunaStudy("sqlite://", "gru")
    with pytest.raises(ConfigurationError, match=rf"^the study gru cannot be {tmp_path}, a f"), KnownErrorsInOneLine():
        OptunaStudy(str(tmp_path), "gru").load()


def test_tables_and_panels_of_one_address_lie_in_one_bucket(tmp_path, monkeypatch):
    monkeypatch.setenv(MIRROR, str(tmp_path))
    ParquetTable(filepath="memory://desk-of-both/us/t.parquet").save(TABLE)
    YearlyPanel("memory://desk-of-both/us/panel").save(PANEL)
    assert Place.of("memory://desk-of-both").glob("us/*") == ["us/panel", "us/t.parquet"]


@pytest.mark.parametrize("address", ["ftp://me@desk/us/t.json", "http://desk/t.json", "s3://desk/us/t.json", "a.json"])
def test_the_name_of_a_server_is_none_of_a_folder(address):
    assert _with_every_name(address) == address


def test_a_table_that_is_not_in_the_bucket_is_not_there(bucket):
    with pytest.raises(DatasetError):
        ParquetTable(filepath=f"{bucket.address}/t.parquet").load()


def test_every_dataset_of_a_market_goes_into_the_bucket_that_the_globals_name(tmp_path, monkeypatch):
    bucket = "memory://desk"
    bootstrap_project(PROJECT)
    copy = copy_project(PROJECT, tmp_path / "project").path
    settings = copy / "conf/base/globals.yml"
    named = settings.read_text().replace("market: data/markets/simulated", f"market: {bucket}")
    settings.write_text(named)
    assert yaml.safe_load(named)["paths"]["market"] == bucket
    monkeypatch.chdir(tmp_path)
    local, catalog = open_catalog(PROJECT), open_catalog(copy)
    seen = 0
    for name in sorted({name for pipeline in pipelines.values() for name in pipeline.datasets()}):
        path = path_of(name, local)
        if name.startswith("param") or path is None or "data/markets" not in str(path):
            continue
        if name.endswith(".study"):
            assert path_of(name, catalog).is_relative_to(copy / "data/accounts/sim")
            continue
        described = json.loads(json.dumps(catalog.get(name)._describe(), default=str))
        address = described.get("folder") or described["filepath"]
        assert address.startswith(bucket) or described["protocol"] == "memory", name
        seen += 1
    assert seen > 80
    assert sorted(path.name for path in tmp_path.iterdir()) == ["project"]
