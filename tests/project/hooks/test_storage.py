"""Runs lock what they write into and remove what killed runs have left."""

import multiprocessing
import os
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline, node

from quant_pipeline.common.exceptions import BusyError, StorageError
from quant_pipeline.common.places import Place
from quant_pipeline.datasets.atomic import ParquetTable
from quant_pipeline.datasets.bundle import ModelBundles
from quant_pipeline.datasets.panel import YearlyPanel
from quant_pipeline.project.hooks.storage import Area, StorageHooks, path_of, without_locks

started = []
"""A lock is held until its run ends, not until the test forgets the run."""


@pytest.fixture(autouse=True)
def _end_all():
    yield
    while started:
        started.pop().end()


class Run:
    """A run of one node that writes into the market, the account, or nowhere."""

    def __init__(self, project, writes, namespaces=()):
        self.hooks = StorageHooks()
        names = {"account": "sim", "market": "tiny", "paths": {"account": "data/sim", "market": "data/tiny"}}
        self.hooks.after_context_created(
            SimpleNamespace(config_loader={"globals": names}, project_path=project, env=None)
        )
        paths = {
            "market": "data/tiny/bars.parquet",
            "account": "data/sim/orders.parquet",
            "reports": "data/sim/08_reporting/backtest.parquet",
        }
        self.catalog = DataCatalog({kind: ParquetTable(filepath=str(project / paths[kind])) for kind in writes})
        self.pipeline = Pipeline([node(pd.DataFrame, None, kind, name=kind) for kind in writes or ("memory",)])
        self.namespaces = list(namespaces)

    def start(self):
        started.append(self)
        self.hooks.before_pipeline_run({"namespaces": self.namespaces}, self.pipeline, self.catalog)

    def end(self):
        self.hooks.after_pipeline_run()


def test_the_second_run_of_an_account_is_refused_at_once_with_the_first_one_named(tmp_path):
    first, second = Run(tmp_path, ["account"]), Run(tmp_path, ["market", "account"])
    first.start()
    with pytest.raises(BusyError, match=rf"the account 'sim' is in use by process {os.getpid()} \(`"):
        second.start()
    first.end()
    second.start()


def test_a_run_that_only_reads_is_not_held_up(tmp_path):
    Run(tmp_path, ["market", "account"]).start()
    Run(tmp_path, []).start()


def test_a_search_of_an_account_holds_up_no_execution_of_it(tmp_path):
    Run(tmp_path, ["reports"]).start()
    Run(tmp_path, ["account"]).start()


@pytest.mark.parametrize(
    "market", ["sftp://host:22/data/me@corp/us", "s3://desk/run#k=1/us", "s3://me:secret@desk/us", "https://me@host/us"]
)
def test_a_market_is_locked_whatever_messages_hide_of_its_address(tmp_path, monkeypatch, market):
    monkeypatch.setenv("QUANT_PIPELINE_MIRROR", str(tmp_path))
    catalog = DataCatalog({"panel": YearlyPanel(f"{market}/panel"), "bundle": ModelBundles(f"{market}/bundle")})
    for name in ("panel", "bundle"):
        assert path_of(name, catalog).is_relative_to(Place.of(market).path)


def test_an_execution_is_not_held_up_by_research_in_its_market(tmp_path):
    Run(tmp_path, ["market"]).start()
    Run(tmp_path, ["account"]).start()


def test_models_are_trained_side_by_side_but_each_by_one_run(tmp_path):
    Run(tmp_path, ["account"], ["ridge"]).start()
    Run(tmp_path, ["account"], ["gru"]).start()
    with pytest.raises(BusyError, match="ridge of the account 'sim' is in use"):
        Run(tmp_path, ["account"], ["ridge"]).start()
    with pytest.raises(BusyError, match="the account 'sim' is in use"):
        Run(tmp_path, ["account"]).start()


def test_an_emergency_waits_for_no_run_and_takes_nothing_from_it(tmp_path):
    Run(tmp_path, ["account"]).start()
    with without_locks():
        Run(tmp_path, ["account"]).start()
    with pytest.raises(BusyError):
        Run(tmp_path, ["account"]).start()


def test_a_run_that_failed_releases_its_locks(tmp_path):
    failing = Run(tmp_path, ["account"])
    failing.start()
    failing.hooks.on_pipeline_error()
    Run(tmp_path, ["account"]).start()


def test_a_session_after_one_that_was_interrupted_in_the_same_process_starts(tmp_path):
    run = Run(tmp_path, ["account"])
    run.start()
    run.start()


def test_leftovers_of_killed_runs_are_removed(tmp_path):
    dead = multiprocessing.get_context("spawn").Process()
    dead.start()
    dead.join()
    leftover = tmp_path / "data" / "tiny" / "deep" / f".bars.parquet.{dead.pid}.tmp"
    leftover.parent.mkdir(parents=True)
    leftover.write_text("half")
    Run(tmp_path, ["account"]).start()
    assert leftover.exists()
    Run(tmp_path, ["market"]).start()
    assert not leftover.exists()


def test_a_folder_that_cannot_be_made_is_named_in_one_line(tmp_path):
    run = Run(tmp_path, ["account"])
    run.hooks._areas = [Area("the account 'sim'", Path("/sys/sim"), 0.0)]
    run.catalog = DataCatalog({"account": ParquetTable(filepath="/sys/sim/orders.parquet")})
    with pytest.raises(StorageError, match=r"/sys/sim.*: (this user may not use it|it cannot be written)"):
        run.start()
