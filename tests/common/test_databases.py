"""The file that a URL of SQLite names, and the URL of a file."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from quant_pipeline.common.databases import lasting_database, read_url, sqlite_file, sqlite_url
from quant_pipeline.common.exceptions import ConfigurationError


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


@pytest.mark.parametrize(
    "address",
    [
        "postgresql+psycopg://trader@host/studies",
        "postgresql+psycopg://trader@host?dbname=studies",
        "postgresql+psycopg://trader:p%40s%3As@host",
        "postgresql+psycopg://?service=desk",
        "postgresql+psycopg://trader@/?host=/run/postgresql&dbname=a@b",
        "mssql+pyodbc:///?odbc_connect=DRIVER%3D%7BX%7D",
        "oracle+oracledb://trader:pw@host:1521/?service_name=studies",
        "mysql+pymysql://trader@host/?read_default_file=~/.my.cnf",
        "postgresql+psycopg://trader@tenant:pw@host/studies",
        "postgresql+psycopg://trader@tenant@host/studies",
        "postgresql+psycopg://trader@host/a@b",
        "postgresql+psycopg://trader:pw@host:5432/a%40b",
        "sqlite:////srv/a@b@c.db",
        "sqlite:////srv/a:b@c@d.db",
    ],
)
def test_a_server_knows_by_itself_which_database_is_meant(address):
    assert lasting_database(address, "a study") == address


@pytest.mark.parametrize("address", ["studies.db", "/srv/a:b@c/studies.db", "s3://desk/studies.db", "file:///srv/a.db"])
def test_an_address_of_files_is_no_database(address):
    assert lasting_database(address, "a study") is None


@pytest.mark.parametrize(
    ("address", "fault"),
    [
        ("sqlite://", "it would be kept in memory alone"),
        ("sqlite:///:memory:", "it would be kept in memory alone"),
        ("sqlite:///file::memory:?uri=true", "it would be kept in memory alone"),
        ("sqlite:///file:a?mode=memory&cache=shared&uri=true", "it would be kept in memory alone"),
        ("sqlite:///data/a.db", "its file would lie in the folder in which a command is typed"),
        ("sqlite://data/a.db", "a file has three slashes before its path"),
    ],
)
def test_what_sqlite_would_forget_or_lose_sight_of_is_refused(address, fault):
    with pytest.raises(ConfigurationError) as refused:
        lasting_database(address, "a study")
    assert refused.value.message == f"a study cannot lie at {address}: {fault}. Write the path of the file alone."


@pytest.mark.parametrize(
    "address",
    [
        "postgresql+psycopg://desk:a@b:secret@host/studies",
        "postgresql+psycopg://desk:pass@secret@host/studies",
        "postgresql+psycopg://desk:pass@se/secret@host/studies",
        "postgresql+psycopg://desk:pass?secret@secret@host/studies",
        "postgresql+psycopg://desk:pass?pass@se/secret@host/studies",
        "postgresql+psycopg://desk@tenant:pass@secret@host/studies",
        "postgresql+psycopg://desk@host:5432/a@secret",
        "postgresql+psycopg://desk:secret@host:PORT/studies",
        "postgresql+psycopg://desk:secret@[::1/studies",
    ],
)
def test_a_url_that_cannot_be_read_is_refused_without_any_part_of_its_password(address):
    with pytest.raises(ConfigurationError) as refused:
        read_url(address, "a ledger")
    assert refused.value.message == (
        "a ledger cannot lie at postgresql+psycopg://…, which cannot be read as a URL. Write @ : / ? # and % in its "
        "user, password and database as %40 %3A %2F %3F %23 and %25, and its port as a number."
    )
    assert refused.value.__cause__ is None
    assert refused.value.__context__ is None


@pytest.mark.parametrize("protocol", ["postgres", "ftps", "postgresql+psycopg2x", "POSTGRESQL"])
def test_a_protocol_that_no_database_has_is_refused_with_one_that_has(protocol):
    with pytest.raises(ConfigurationError) as refused:
        lasting_database(f"{protocol}://desk:secret@host/studies", "a study")
    assert refused.value.message == (
        f"a study cannot lie at {protocol}://desk:***@host/studies: SQLAlchemy knows no database {protocol}://. Write "
        "the path of a file of this machine, or a URL as postgresql+psycopg://user@host/name."
    )


def test_an_unknown_protocol_shows_nothing_where_it_is_not_clear_what_is_the_password():
    with pytest.raises(
        ConfigurationError, match=r"^a study cannot lie at postgres://…: SQLAlchemy knows no database po"
    ):
        lasting_database("postgres://desk:pass@se/secret@host/studies", "a study")


@pytest.mark.parametrize("driver", ["postgresql+asyncpg", "sqlite+aiosqlite"])
def test_a_driver_that_answers_later_is_refused(driver):
    with pytest.raises(ConfigurationError) as refused:
        lasting_database(f"{driver}://desk:secret@host/studies", "a study")
    assert refused.value.message == (
        f"a study cannot lie at {driver}://desk:***@host/studies: the driver {driver.partition('+')[2]} is an "
        "asynchronous one. Name another one, as in postgresql+psycopg://user@host/name."
    )
