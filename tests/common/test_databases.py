"""The file that a URL of SQLite names, and the URL of a file."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from quant_pipeline.common.databases import sqlite_file, sqlite_url


@pytest.mark.parametrize(
    "name", ["a b", "ü", "a?b", "a%20b", "100%", "a#b", "a&b=c;d", "a:b@c", "a+b", "a\\b", "a\nb", "file:a", ":memory:"]
)
def test_a_url_names_the_file_that_it_was_made_of(tmp_path, name):
    file = tmp_path / name
    url = sqlite_url(file)
    assert sqlite_file(url) == sqlite_file(sa.make_url(url)) == file
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("create table t (a integer)")
    assert [found.name for found in tmp_path.iterdir()] == [name]


def test_users_can_read_the_url_of_a_file_as_they_write_it():
    assert sqlite_url(Path("/srv/mein Örtchen/mlflow.db")) == "sqlite:////srv/mein Örtchen/mlflow.db"


@pytest.mark.parametrize(
    ("url", "file"),
    [
        ("sqlite:///a.db", "a.db"),
        ("sqlite:///file:a.db", "file:a.db"),
        ("sqlite:///file:a%2520b?mode=rwc&uri=true", "a b"),
        ("sqlite:///file:a?uri=1", "a"),
        ("sqlite://", None),
        ("sqlite:///", None),
        ("sqlite:///:memory:", None),
        ("sqlite:///%3Amemory%3A", None),
        ("sqlite:///file::memory:?uri=true", None),
        ("sqlite:///file:?cache=shared&uri=true", None),
        ("sqlite:///file:a?mode=memory&cache=shared&uri=true", None),
        ("sqlite:///file:a%3Fmode=memory?uri=true", None),
        ("sqlite:///file:/a?vfs=memdb&uri=true", None),
    ],
)
def test_the_file_of_a_url_is_the_one_that_sqlite_opens(tmp_path, monkeypatch, url, file):
    monkeypatch.chdir(tmp_path)
    assert sqlite_file(url) == (None if file is None else Path(file))
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("create table t (a integer)")
        opened = connection.exec_driver_sql("pragma database_list").one().file
    assert file is None or Path(opened) == tmp_path / file
    assert [found.name for found in tmp_path.iterdir()] == [file] * (file is not None)


def test_a_server_has_no_file():
    assert sqlite_file("postgresql+psycopg://me@host/a.db") is None
