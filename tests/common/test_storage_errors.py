"""What the operating system and SQLite refuse becomes one line with the remedy."""

import errno
import os
import sqlite3
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from kedro.io import DatasetError

from quant_pipeline.common.exceptions import AccountError, StorageError
from quant_pipeline.common.storage_errors import KnownErrorsInOneLine, explain_storage_error
from quant_pipeline.datasets.atomic import JsonDocument, ParquetTable
from quant_pipeline.datasets.point_in_time import PointInTimeTable
from tests.helpers.damaged_json import DAMAGED_JSON


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "no space is left on the disk. Free some"),
        (errno.EROFS, "it cannot be written"),
        (errno.EACCES, "this user may not use it"),
        (errno.EMFILE, "ulimit -n"),
        (errno.EISDIR, "a folder is there instead of a file"),
    ],
)
def test_an_error_of_the_operating_system_names_file_and_remedy(number, remedy):
    told = explain_storage_error(OSError(number, os.strerror(number), "/data/bars.parquet"))
    assert told.message.startswith("/data/bars.parquet: ")
    assert remedy in told.message
    assert "\n" not in told.message


def test_a_full_disk_is_recognised_through_the_dataset_that_met_it():
    with Path("/dev/full").open("wb", buffering=0) as full, pytest.raises(OSError, match="No space") as met:
        full.write(b"content")
    error = DatasetError("orders: Failed while saving data to dataset.")
    error.__cause__ = met.value
    assert explain_storage_error(error).message.startswith("orders: Failed while saving data to dataset: no space")


def test_a_database_that_may_not_be_written_is_named(tmp_path):
    file = tmp_path / "ledger.sqlite"
    sqlite3.connect(file).execute("create table event (a)")
    engine = sa.create_engine(f"sqlite:///file:{file}?mode=ro&uri=true")
    with (
        pytest.raises(StorageError, match=r"readonly database.*: it cannot be written"),
        KnownErrorsInOneLine(),
        engine.begin() as connection,
    ):
        connection.exec_driver_sql("insert into event values (1)")


def test_a_file_that_is_no_database_is_named(tmp_path):
    file = tmp_path / "ledger.sqlite"
    file.write_text("no database" * 100)
    with pytest.raises(sqlite3.DatabaseError) as refused:
        sqlite3.connect(file).execute("select 1 from event")
    assert "it is no database. Restore a backup" in explain_storage_error(refused.value).message


def test_an_error_that_says_already_what_to_do_stays():
    error = AccountError("the ledger knows better")
    error.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    assert explain_storage_error(error) is None


def test_other_errors_stay(tmp_path):
    with pytest.raises(FileNotFoundError), KnownErrorsInOneLine():
        (tmp_path / "nothing").read_text()


def test_an_error_of_ours_that_kedro_wraps_as_one_of_a_dataset_is_raised_as_it_was():
    error = DatasetError("Failed while loading data from dataset LedgerEvents()")
    error.__cause__ = AccountError("the ledger knows better")
    with pytest.raises(AccountError, match="the ledger knows better"), KnownErrorsInOneLine():
        raise error


@pytest.mark.parametrize("text", DAMAGED_JSON.values(), ids=DAMAGED_JSON)
def test_a_table_or_a_document_that_is_damaged_is_one_line_with_its_file(tmp_path, text):
    table, document = tmp_path / "bars.parquet", tmp_path / "facts.json"
    for file, dataset in (
        (table, PointInTimeTable(filepath=str(table), as_of="2025-01-03")),
        (table, ParquetTable(filepath=str(table))),
        (document, JsonDocument(filepath=str(document))),
    ):
        file.write_bytes(text)
        if file is document and text in (b"[]", b"5"):
            continue
        told = rf"^{file}: it is damaged \(.*\)\. Remove it and run the stage again "
        with pytest.raises(StorageError, match=told), KnownErrorsInOneLine():
            dataset.load()


def test_notes_of_a_table_that_are_damaged_are_one_line_with_its_file(tmp_path):
    file = tmp_path / "bars.parquet"
    dataset = PointInTimeTable(filepath=str(file), as_of="2025-01-03")
    dataset.save(pd.DataFrame({"date": pd.to_datetime(["2025-01-02"])}))
    stored = pq.read_table(file)
    pq.write_table(stored.replace_schema_metadata(stored.schema.metadata | {b"PANDAS_ATTRS": b"{"}), file)
    with pytest.raises(StorageError, match=rf"^{file}: it is damaged "), KnownErrorsInOneLine():
        dataset.load()
